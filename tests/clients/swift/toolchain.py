"""The Swift toolchain, as ``clients/swift/toolchain.sh`` finds it."""

import subprocess

from tests.helpers.paths import ROOT

SWIFT = ROOT / "clients/swift"
TIMEOUT_SECONDS = 1800  # a first build on a busy machine; only a hang reaches it


def toolchain(*command: str) -> subprocess.CompletedProcess[str]:
    """Run ``toolchain.sh``."""
    return subprocess.run(
        [str(SWIFT / "toolchain.sh"), *command],
        cwd=ROOT,
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=TIMEOUT_SECONDS,
    )
