"""An untrusted zip cannot write outside itself, follow links, unpack without limit, or break the reader."""

import struct
import time
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loop.data import archives, handwriting
from loop.data.digits import DEFAULT_LIMITS
from loop.errors import BadImage
from tests.data.test_handwriting import SEVEN, packed, read


def with_member(path: Path, name: str, **fields: int) -> Path:
    """Write a zip of one valid member and one with this name and these fields."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("1/a.png", SEVEN)
        member = zipfile.ZipInfo("placeholder")
        member.filename = name
        for field, value in fields.items():
            setattr(member, field, value)
        archive.writestr(member, SEVEN)
    return path


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("../../etc/cron.d/1/a.png", {}, "outside the zip"),
        ("1/../../a.png", {}, "outside the zip"),
        ("..\\..\\1\\a.png", {}, "outside the zip"),
        ("/1/a.png", {}, "absolute"),
        ("C:\\1\\a.png", {}, "absolute"),
        ("1/a.png\0.txt", {}, "NUL"),
        ("1/link.png", {"external_attr": 0o120777 << 16}, "link"),
        ("1/pipe.png", {"external_attr": 0o010666 << 16}, "link or a device"),
    ],
)
def test_a_zip_with_an_unsafe_member_is_refused_whole(
    tmp_path: Path, name: str, fields: dict[str, int], message: str
) -> None:
    """Parent, absolute and truncated paths, links and devices refuse the whole zip with one line."""
    with pytest.raises(BadImage, match=message) as refusal:
        handwriting.people([with_member(tmp_path / "p.zip", name, **fields)])
    assert "\n" not in str(refusal.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["p.zip"]


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    """An encrypted member refuses the zip, because no command asks for a password."""
    path = packed(tmp_path / "p.zip", {"1/a.png": SEVEN})
    body = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        body[body.index(signature) + flags] |= 1
    path.write_bytes(body)
    with pytest.raises(BadImage, match="encrypted"):
        handwriting.people([path])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "got an empty file"),
        (b"text", "expected rows of a label and the pixels of .*, got 1 value"),
        (b"PK\5\6" + bytes(18), "empty zip"),
        (b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 9, 9, 46 * 9, 0, 0), "not a readable zip"),
    ],
)
def test_files_that_are_not_zips_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    """An empty file, text, an empty zip, and a zip without its directory are refused with different messages."""
    (tmp_path / "p.zip").write_bytes(content)
    with pytest.raises(BadImage, match=message):
        handwriting.people([tmp_path / "p.zip"])


def test_a_zip_of_folders_only_is_empty(tmp_path: Path) -> None:
    """A zip of folders without files is refused."""
    with pytest.raises(BadImage, match="contains no files"):
        handwriting.people([packed(tmp_path / "p.zip", {"1/": b"", "2/": b""})])


# --- sizes


@pytest.mark.slow
def test_a_member_that_declares_too_much_is_a_reason(tmp_path: Path) -> None:
    """A member of 100 MB of zeros in 100 kB is refused without unpacking it, and the other member is read."""
    path = packed(tmp_path / "p.zip", {"1/bomb.png": bytes(100 << 20), "2/a.png": SEVEN})
    tracemalloc.start()
    began = time.process_time()
    samples = read(path)
    took, peak = time.process_time() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [sample.label for sample in samples] == [-1, 2]
    assert "over 1,048,576 bytes" in (samples[0].reason or "")
    assert took < 1
    assert peak < 4 << 20


@pytest.mark.slow
def test_a_member_that_lies_about_its_size_is_bounded(tmp_path: Path) -> None:
    """A member that declares 99 bytes and unpacks to 100 MB is read up to 99 bytes, and then fails its checksum."""
    path = packed(tmp_path / "p.zip", {"1/bomb.png": bytes(100 << 20)})
    body = path.read_bytes().replace(struct.pack("<I", 100 << 20), struct.pack("<I", 99))
    path.write_bytes(body)
    tracemalloc.start()
    [sample] = read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "damaged" in (sample.reason or "")
    assert peak < 4 << 20


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_cannot_be_bounded_are_a_reason(tmp_path: Path, method: int) -> None:
    """Members in bzip2 and lzma are refused, because these unpack a whole block of any size at once."""
    [sample] = read(packed(tmp_path / "p.zip", {"1/a.png": SEVEN}, method))
    assert "neither stored nor deflated" in (sample.reason or "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        ("MAX_FILE_BYTES", 10, "at most 10 bytes"),
        ("MAX_MEMBERS", 1, "at most 1 members, got 2"),
        ("MAX_TOTAL_BYTES", 500, "at most 500 bytes unpacked"),
    ],
)
def test_an_archive_beyond_a_limit_is_refused_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, message: str
) -> None:
    """Bytes on disk, members, and total unpacked bytes are each limited; a zip within the limits is read."""
    path = packed(tmp_path / "p.zip", {"1/a.png": SEVEN, "2/a.png": SEVEN})
    assert len(read(path)) == 2
    monkeypatch.setattr(archives, limit, value)
    with pytest.raises(BadImage, match=message):
        handwriting.people([path])


def test_a_damaged_member_is_a_reason(tmp_path: Path) -> None:
    """A member with changed bytes fails its checksum; the next one is read."""
    path = packed(tmp_path / "p.zip", {"1/a.png": SEVEN, "2/b.png": SEVEN}, zipfile.ZIP_STORED)
    body = bytearray(path.read_bytes())
    body[60] ^= 0xFF
    path.write_bytes(body)
    first, second = read(path)
    assert "damaged" in (first.reason or "")
    assert second.data == SEVEN


@pytest.mark.slow
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 10**6), st.binary(min_size=1, max_size=4)), min_size=1, max_size=6))
def test_damage_anywhere_is_samples_or_a_refusal(tmp_path: Path, edits: list[tuple[int, bytes]]) -> None:
    """A zip with any bytes overwritten raises only BadImage, and gives no sample over the limit."""
    path = packed(tmp_path / "p.zip", {"1/a.png": SEVEN, "2/b.png": SEVEN, "3/": b""})
    body = bytearray(path.read_bytes())
    for position, piece in edits:
        at = position % len(body)
        body[at : at + len(piece)] = piece
    path.write_bytes(body)
    try:
        samples = read(path)
    except BadImage as refusal:
        refused = str(refusal)
    else:
        assert all(len(sample.data) <= DEFAULT_LIMITS.bytes for sample in samples)
        return
    assert "\n" not in refused
