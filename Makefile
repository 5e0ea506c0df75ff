# `make demo` runs the loop on real handwriting, `make quick` and `make test` run the tests, `make` lists every target.
# Each target makes .venv first, with uv where it is installed, else with venv and pip. VENV=DIR keeps another beside it.
.DEFAULT_GOAL := help
VERSIONS := 3.13 3.12 3.11
PYTHON ?= $(firstword $(foreach version,$(VERSIONS),$(shell python$(version) -c 'print("python$(version)")' 2>/dev/null)) python3)
VENV ?= .venv
JOBS ?= auto
BIN := $(VENV)/bin

# uv trusts the certificates that it ships, a company's proxy has its own: believe the system, as pip does.
export UV_SYSTEM_CERTS ?= 1
export UV_NATIVE_TLS ?= 1

.PHONY: help demo quick test check lint types swift pythons requirements clean
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-14s%s\n", $$1, $$2 }' Makefile

demo: $(VENV)/ready ## run the whole loop once on real handwriting; options in ARGS
	$(BIN)/loop demo $(ARGS)

quick: $(VENV)/ready ## run the fast tests only
	$(BIN)/python -m pytest -m "not slow and not campaign" --durations=5 --durations-min=0.5 $(ARGS)

# The tests of a file stay in one process, with the homes and databases that they share. JOBS=0 runs all tests in one.
# Files begin in alphabetical order: the longest (browsers, campaigns, Swift) are early, and no process ends with one alone.
test: $(VENV)/ready ## run every test except the campaigns
	$(BIN)/python -m pytest -n $(JOBS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

check: lint types ## run ruff and mypy

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/ready
	$(BIN)/mypy

swift: ## build and test the Swift package; where there is no Swift 6, install Debian's in SWIFT_ROOT (root, debootstrap)
	clients/swift/toolchain.sh --make
	clients/swift/toolchain.sh clients/swift/check.sh tests
	clients/swift/toolchain.sh clients/swift/check.sh apple

pythons: ## list the Python versions that run here
	@$(foreach version,$(VERSIONS),python$(version) --version 2>/dev/null || echo "Python $(version): not found";)

# pip compiles byte code, uv does not; compiled once here, every command starts in a third of the time.
$(VENV)/ready: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else \
	  f"expected Python 3.11, 3.12 or 3.13, got {v[0]}.{v[1]} ({sys.executable}); run make PYTHON=python3.12")'
	@echo "making $(VENV) with $$($(PYTHON) --version) from requirements.txt: 3 GB, a minute or more"
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv --quiet --clear --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV) && \
	  uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.txt && \
	  uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .; \
	else \
	  $(PYTHON) -m venv --clear $(VENV) && \
	  $(BIN)/pip install --quiet --require-hashes -r requirements.txt && \
	  $(BIN)/pip install --quiet --no-deps --no-build-isolation -e .; \
	fi
	@PYTHONWARNINGS=ignore $(BIN)/python -m compileall -q -j 0 -x '/tests?/' loop models migrations \
	  "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
	@touch $@

requirements: ## lock pyproject.toml's dependencies in requirements.txt, with hashes; needs uv
	uv pip compile --quiet pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
	  --no-annotate --no-header --no-emit-index-url --no-emit-find-links -o requirements.txt

clean: ## remove the environment, caches and build results
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .build build dist *.egg-info
