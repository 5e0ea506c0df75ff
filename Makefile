# Two commands for a newcomer: `make demo` runs the loop on real handwriting, `make test` runs the tests.
# Both make .venv first: with uv where there is one, else with venv and pip; Python 3.11 or 3.12.
PYTHON ?= $(shell command -v python3.12 >/dev/null 2>&1 && python3.12 -c '' 2>/dev/null && echo python3.12 || \
           (command -v python3.11 >/dev/null 2>&1 && python3.11 -c '' 2>/dev/null && echo python3.11 || echo python3))
BIN := .venv/bin

# uv trusts the certificates that it ships, a company's proxy has its own: believe the system, as pip does.
export UV_SYSTEM_CERTS ?= 1
export UV_NATIVE_TLS ?= 1

.PHONY: demo test check types lint requirements clean
demo: .venv/ready
	$(BIN)/loop demo $(ARGS)

test: .venv/ready
	$(BIN)/python -m pytest $(ARGS)

check: lint types

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/ready
	$(BIN)/mypy

.venv/ready: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 13) else \
	  f"expected Python 3.11 or 3.12, {sys.executable} is {v[0]}.{v[1]}; say make PYTHON=python3.12")'
	@echo "making .venv from requirements.txt: a minute or two, 2 GB"
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv --quiet --clear --python "$$(command -v $(PYTHON))" .venv && \
	  uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.txt && \
	  uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .; \
	else \
	  $(PYTHON) -m venv --clear .venv && \
	  $(BIN)/pip install --quiet --require-hashes -r requirements.txt && \
	  $(BIN)/pip install --quiet --no-deps --no-build-isolation -e .; \
	fi
	@touch $@

requirements: # after changing pyproject.toml
	uv pip compile --quiet pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
	  --no-annotate --no-header -o requirements.txt

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
