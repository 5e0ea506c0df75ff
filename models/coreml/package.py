"""Read a ``.mlpackage``, as a zip or a folder: the model's bytes and the other files, in memory.

Rules: nothing is written to disk; a name in a package is only looked up among its own names, so it cannot refer to a
file outside; sizes are checked before anything is unpacked; links are refused.
"""

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import kinds
from .errors import AnotherKind, LimitExceeded, Malformed
from .limits import Limits

MANIFEST, DATA = "Manifest.json", "Data/"
MANIFEST_BYTES = 1 << 16
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1
_LITTER = ("__MACOSX/", ".DS_Store")
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError)


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of a file: the model's bytes, and a package's other files, named relative to the model's folder."""

    model: bytes
    files: Mapping[str, bytes] = field(default_factory=dict)


def opened(data: bytes, file: str, limits: Limits) -> Contents:
    """Return the contents of a ``.mlmodel`` or a zipped ``.mlpackage``; raises ``ModelError``."""
    _small(len(data), file, limits)
    kind = kinds.of_bytes(data)
    if kind is not None and kind.as_model:
        raise AnotherKind(f"{file}: expected a Core ML model, got {kind.name}; {kind.as_model}")
    if kind != kinds.PACKAGE:
        return Contents(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _contents(archive, file, limits)
    except _DAMAGE as error:
        raise Malformed(f"{file}: the zip is damaged ({error}); fetch or pack it again") from error


def packed(folder: Path, limits: Limits | None = None) -> bytes:
    """Return a ``.mlpackage`` folder as a zip, the same for the same files; raises ``ModelError`` and ``OSError``."""
    limits = limits or Limits()
    paths = sorted(path for path in folder.rglob("*") if path.name not in _LITTER)
    if any(path.is_symlink() for path in paths):
        raise Malformed(f"{folder.name}: contains a link, expected plain files only")
    files = [path for path in paths if path.is_file()]
    if len(files) > limits.layers:
        raise LimitExceeded(f"{folder.name}: {len(files)} files, at most {limits.layers} are read")
    _small(sum(path.stat().st_size for path in files), folder.name, limits)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for path in files:
            entry = zipfile.ZipInfo(f"model.mlpackage/{path.relative_to(folder).as_posix()}")
            archive.writestr(entry, path.read_bytes())
    return made.getvalue()


def _small(size: int, file: str, limits: Limits) -> None:
    if size > limits.file_bytes:
        raise LimitExceeded(f"{file}: {size} bytes, at most {limits.file_bytes} are read")


def _contents(archive: zipfile.ZipFile, file: str, limits: Limits) -> Contents:
    members = {each.filename: each for each in archive.infolist() if not each.filename.endswith("/")}
    for name in [name for name in members if name.startswith(_LITTER) or name.endswith(_LITTER)]:
        del members[name]
    for member in members.values():
        if member.compress_type not in _METHODS or member.flag_bits & _ENCRYPTED:
            raise Malformed(f"{file}: {member.filename!r} is encrypted or neither stored nor deflated; pack it again")
    _small(sum(member.file_size for member in members.values()), file, limits)
    root = _root(members)
    if root is None:
        raise Malformed(f"{file}: expected one {MANIFEST} in the package, found none or several; pack the whole folder")
    path = root + DATA + _model_path(archive, members[root + MANIFEST], file)
    if path not in members:
        raise Malformed(f"{file}: its manifest names {path!r}, which is not in the package; pack the whole folder")
    base = path.rpartition("/")[0] + "/"
    inside = {name.removeprefix(base): name for name in members if name.startswith(base)}
    unpacked = {short: _unpacked(archive, members[name], file) for short, name in inside.items()}
    return Contents(unpacked.pop(path.removeprefix(base)), unpacked)


def _root(members: Mapping[str, Any]) -> str | None:
    """Return the folder of the package in the zip, with its slash; None unless it is exactly one."""
    found = [name.removesuffix(MANIFEST) for name in members if name == MANIFEST or name.endswith("/" + MANIFEST)]
    return found[0] if len(found) == 1 else None


def _model_path(archive: zipfile.ZipFile, member: zipfile.ZipInfo, file: str) -> str:
    """Return the model's path in the manifest, below ``Data``."""
    if member.file_size > MANIFEST_BYTES:
        raise LimitExceeded(f"{file}: {MANIFEST} of {member.file_size} bytes, at most {MANIFEST_BYTES} are read")
    try:
        manifest = json.loads(_unpacked(archive, member, file))
        path = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Malformed(f"{file}: {MANIFEST} does not name the model ({error!r})") from error
    if not isinstance(path, str):
        raise Malformed(f"{file}: {MANIFEST} names the model by {type(path).__name__}, expected text")
    return path


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo, file: str) -> bytes:
    """Return a member, which may not be longer than it declares."""
    with archive.open(member) as opened_member:
        data = opened_member.read(member.file_size + 1)
    if len(data) != member.file_size:
        raise Malformed(f"{file}: {member.filename!r} declares {member.file_size} bytes, got {len(data)}")
    return data
