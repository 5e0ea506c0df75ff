"""Paths: this repository, and the data beside it that is never part of it."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("TEST_SHARED") or ROOT.parent / "shared")
