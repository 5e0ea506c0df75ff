"""What a version answered on earlier nights, image by image, so that a night scores only what is new to it.

The report that is registered with a version covers the slices of its own night. The slices grow, so the report on the
newest ones is kept beside the artifacts, in ``LOOP_HOME/answers``. This is a cache: it is checked by its own digest, a
missing, damaged or outdated file only costs the time of measuring again, backups leave it out, and ``loop gc`` removes
it once no night compares with the version.
"""

import hashlib
import logging
from pathlib import Path

import numpy as np

from loop import durable
from loop.evaluation import digit_classifier, reports
from loop.evaluation.scoring import Report
from loop.home import Home, artifacts
from loop.store.values import Version

log = logging.getLogger(__name__)
DIGEST_BYTES = 32


def folder(home: Home) -> Path:
    """The folder of the files, each named by the SHA-256 of its model."""
    return home.settings.home / "answers"


def load(home: Home, version: Version) -> Report | None:
    """The newest report of this version; None if it has to be measured as a whole.

    That is so if another release wrote it in another form, or another runtime, which may answer differently, made it.
    """
    return _kept(home, version) or _registered(home, version)


def keep(home: Home, version: Version, report: Report) -> None:
    """Keep this report for the next night. Raises ``DiskFull``."""
    data = _pack(report)
    path = folder(home) / version.artifact_digest
    if not path.is_file() or path.read_bytes() != data:
        durable.write_whole(path, data, 0o600)


def _kept(home: Home, version: Version) -> Report | None:
    path = folder(home) / version.artifact_digest
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    if hashlib.sha256(data[DIGEST_BYTES:]).digest() != data[:DIGEST_BYTES]:
        log.warning("%s: its bytes do not match their digest; version %d is measured again", path, version.number)
        return None
    return _unpack(data[DIGEST_BYTES:], version)


def _pack(report: Report) -> bytes:
    runtime = np.array(digit_classifier.runtime())
    data = artifacts.pack(reports.to_arrays(report) | {"runtime": runtime})
    return hashlib.sha256(data).digest() + data


def _unpack(data: bytes, version: Version) -> Report | None:
    arrays = artifacts.unpack(data)
    if str(arrays["runtime"]) != digit_classifier.runtime():
        return None
    try:
        report = reports.from_arrays(arrays)
    except (KeyError, TypeError):
        return None  # written by a release with another form of report
    return report if report.model == version.artifact_digest else None


def _registered(home: Home, version: Version) -> Report | None:
    if version.summary.get("runtime") != digit_classifier.runtime():
        return None
    arrays = artifacts.unpack(home.artifacts.get(version.report_digest, ".npz"))
    try:
        return reports.from_arrays(arrays)
    except (KeyError, TypeError):  # written by a release with another form of report
        return None
