"""Write the stored uploads to files for study elsewhere: IDX, npz or Parquet. Pictures are never all in memory; an npz
takes 70 bytes for each upload, since its columns follow each other.

Pseudonyms are left out unless they are asked for, and nothing says on which side of the split a source is. Only sources
that teach are screened; so an upload that was held back or rejected tells its source's side, and is never exported with
its source. A file gets its name once it is complete; an existing one is never replaced.
"""

import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from loop import durable
from loop.errors import BadSettings
from loop.home import Home
from loop.store.asking.values import Arm
from loop.store.feedback import exported
from loop.store.feedback.exported import Filter, Part
from loop.store.values import Status

FORMATS = ("idx", "npz", "parquet")
TELLING = {Status.QUARANTINED, Status.REJECTED}
"""Statuses that only uploads of teaching sources have."""
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can state: equal uploads give equal files
TEXTS = ("kinds", "statuses", "arms")
"""Columns of short ASCII texts: in memory 12 bytes each, in the file NumPy's Unicode."""
COLUMNS = ("labels", "predicted", "confidences", "versions", "rates", "chances", "received", *TEXTS)


@dataclass(frozen=True, slots=True)
class Exported:
    """The written files, and what is in them."""

    files: tuple[Path, ...]
    format: str
    uploads: int
    labelled: int
    by_label: dict[str, int]
    with_sources: bool


def export(home: Home, target: Path, form: str, wanted: Filter, *, with_sources: bool = False) -> Exported:
    """Write the selected uploads. ``target`` is a file; for IDX, the beginning of two files' names.

    Raises ``BadSettings`` for a wrong format, a missing library, an existing file or sources of held-back uploads;
    ``DiskFull``, ``StoreUnavailable``.
    """
    if form not in FORMATS:
        raise BadSettings(f"format: expected one of {', '.join(FORMATS)}, got {form[:40]!r}; correct --format")
    telling = TELLING & set(wanted.statuses or tuple(Status))
    if with_sources and telling:
        raise BadSettings(
            f"status: expected none of {', '.join(sorted(TELLING))} with sources, since only sources that teach have "
            "them; leave out --with-sources, or name other statuses with --status"
        )
    if with_sources and Arm.QUARANTINE in wanted.arms:
        raise BadSettings("arm: expected another than quarantine with sources: only sources that teach have it")
    if with_sources and form == "idx":
        raise BadSettings("format: expected npz or parquet with sources, got idx, which has no place for them")
    files = _files(target, form)
    for file in files:
        if file.exists():
            raise BadSettings(f"{file}: expected a new file, it exists; delete it or choose another")
    write: dict[str, Callable[[tuple[Path, ...], int, Iterator[Part]], None]] = {
        "idx": _idx,
        "npz": _npz,
        "parquet": _parquet,
    }
    labels = np.zeros(256, np.int64)
    with home.store.frozen() as tx:
        uploads = exported.count(tx, wanted)
        write[form](files, uploads, _counted(exported.parts(tx, wanted, with_sources=with_sources), labels))
    by_label = {str(digit): int(labels[digit]) for digit in range(10)}
    return Exported(files, form, uploads, int(labels[:10].sum()), by_label, with_sources)


def _files(target: Path, form: str) -> tuple[Path, ...]:
    if form == "idx":
        names = (f"{target.name}-images-idx3-ubyte", f"{target.name}-labels-idx1-ubyte")
        return tuple(target.with_name(name) for name in names)
    return (target,)


def _counted(parts: Iterator[Part], labels: np.ndarray[Any, np.dtype[np.int64]]) -> Iterator[Part]:
    for part in parts:
        labels += np.bincount(part.labels, minlength=256)
        yield part


def _idx(files: tuple[Path, ...], uploads: int, parts: Iterator[Part]) -> None:
    """MNIST's format: a magic number, the sizes, the bytes. An upload without a label has 255."""
    size = f"{uploads:,} uploads"
    with durable.whole(files[0], 0o600, size) as images, durable.whole(files[1], 0o600, size) as labels:
        images.write(struct.pack(">4I", 0x803, uploads, 28, 28))
        labels.write(struct.pack(">2I", 0x801, uploads))
        for part in parts:
            images.write(part.images.tobytes())
            labels.write(part.labels.tobytes())


def _npz(files: tuple[Path, ...], uploads: int, parts: Iterator[Part]) -> None:
    """One array a column, none of objects; the pictures are written as they are read."""
    columns: dict[str, list[Any]] = {}
    with durable.whole(files[0], 0o600, f"{uploads:,} uploads") as file, zipfile.ZipFile(file, "w") as archive:
        with _entry(archive, "images") as entry:
            header = {"descr": "|u1", "fortran_order": False, "shape": (uploads, 28, 28)}
            np.lib.format.write_array_header_2_0(entry, header)
            for part in parts:
                entry.write(part.images.tobytes())
                for name in (*COLUMNS, *(("sources",) if part.sources is not None else ())):
                    kind = "S12" if name in TEXTS else None
                    columns.setdefault(name, []).append(np.asarray(getattr(part, name), kind))
        for name, arrays in columns.items():
            _column(archive, name, arrays, uploads)


def _column(archive: zipfile.ZipFile, name: str, arrays: list[Any], uploads: int) -> None:
    kind = np.dtype("U12") if name in TEXTS else np.result_type(*arrays)
    with _entry(archive, name) as entry:
        header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": (uploads,)}
        np.lib.format.write_array_header_2_0(entry, header)
        for array in arrays:
            entry.write(array.astype(kind).tobytes())


def _entry(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    info = zipfile.ZipInfo(f"{name}.npy", EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    return archive.open(info, "w", force_zip64=True)


def _parquet(files: tuple[Path, ...], uploads: int, parts: Iterator[Part]) -> None:
    """One row an upload; ``image`` has 784 bytes, row by row. A missing value is null."""
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError as error:
        raise BadSettings(
            "format: parquet needs pyarrow, which is not installed; run `pip install 'digit-loop[parquet]'`, or use npz"
        ) from error
    with durable.whole(files[0], 0o600, f"{uploads:,} uploads") as file:
        first = _table(arrow, next(parts))
        with parquet.ParquetWriter(file, first.schema) as writer:
            writer.write_table(first)
            for part in parts:
                writer.write_table(_table(arrow, part))


def _table(arrow: Any, part: Part) -> Any:
    def text(values: Any) -> Any:
        return arrow.array(list(values), arrow.string())

    def maybe(values: Any, kind: Any, missing: Any) -> Any:
        return arrow.array(np.asarray(values), kind, mask=missing)

    columns = {
        "image": arrow.array([image.tobytes() for image in part.images], arrow.binary(784)),
        "label": maybe(part.labels.astype(np.uint8), arrow.uint8(), part.labels == exported.NONE),
        "predicted": maybe(part.predicted.astype(np.uint8), arrow.uint8(), part.predicted == exported.NONE),
        "confidence": maybe(part.confidences.astype(np.float32), arrow.float32(), np.isnan(part.confidences)),
        "version": maybe(part.versions.astype(np.int32), arrow.int32(), part.versions == 0),
        "rate": arrow.array(part.rates, arrow.float64()),
        "chance": maybe(part.chances, arrow.float64(), np.isnan(part.chances)),
        "received_at": arrow.array(part.received, arrow.timestamp("us")).cast(arrow.timestamp("us", "UTC")),
        "kind": text(part.kinds),
        "status": text(part.statuses),
        "arm": arrow.array([arm or None for arm in part.arms], arrow.string()),
    }
    if part.sources is not None:
        columns["source"] = text(part.sources)
    return arrow.table(columns)
