"""The readers of published sets: limits before parsing, refusals with row numbers, one wrong image in a set."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from loop.data import conventions, delimited, handwriting, npz, reading_options
from loop.errors import BadImage, BadSettings

ROW = ",".join(["0"] * 64)


def test_malformed_rows_are_listed_and_skipped() -> None:
    """A short row, a word, an empty cell and a fractional label are refused with their lines; the others are read."""
    names = "label," + ",".join(f"p{at}" for at in range(64))
    text = "\n".join([names, f"7,{ROW}", f"3,{ROW[2:]}", f"4,x{ROW[1:]}", f"5,{ROW[:-1]}", f"2.5,{ROW}", f"1,{ROW}"])
    rows = delimited.parse(text.encode())
    assert rows.labels.tolist() == [7, 1]
    assert rows.numbers.tolist() == [2, 7]
    reasons = dict(rows.refused)
    assert "expected 65 values, got 64" in reasons[3]
    assert "column 2: expected a number, got 'x'" in reasons[4]
    assert "column 65: expected a number, got ''" in reasons[5]
    assert "label 2.5 is not a digit" in reasons[6]


def test_labels_at_both_ends_are_not_guessed() -> None:
    """If the first and the last column could both be the label, the file needs a row of names."""
    with pytest.raises(ValueError, match="got both; add a first row of names"):
        delimited.parse("\n".join(f"{at % 10},{ROW[2:]},{at % 7}" for at in range(50)).encode())


def test_a_corner_of_paper_is_not_taken_for_the_label() -> None:
    """Letters numbered 10 to 35 in the first column and paper in the last are refused, not read as zeros."""
    with pytest.raises(ValueError, match="got neither"):
        delimited.parse("\n".join(f"{10 + at % 26},{ROW}" for at in range(50)).encode())


def test_text_is_limited_before_it_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes and rows over the limit are refused with the limit."""
    monkeypatch.setattr(delimited, "MAX_ROWS", 5)
    with pytest.raises(ValueError, match="at most 5 rows"):
        delimited.parse("\n".join(f"{at},{ROW}" for at in range(6)).encode())
    monkeypatch.setattr(delimited, "MAX_BYTES", 100)
    with pytest.raises(ValueError, match="at most 100 bytes"):
        delimited.parse(f"1,{ROW}".encode())


def member(path: Path, header: bytes, values: bytes) -> Path:
    """Write an ``.npz`` of one array with this header."""
    magic = b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", magic + header + values)
    return path


def test_arrays_are_checked_before_memory_is_allocated(tmp_path: Path) -> None:
    """A header of a petabyte, a pickle, and an array over the limit are refused in one line before allocation."""
    huge = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000, 1000000), }\n"
    with pytest.raises(ValueError, match="states 1,000,000,000,000,000 bytes of values, got 3"):
        npz.load(member(tmp_path / "a.npz", huge, b"abc"))
    pickled = b"{'descr': '|O', 'fortran_order': False, 'shape': (3,), }\n"
    with pytest.raises(ValueError, match="pickled objects"):
        npz.load(member(tmp_path / "b.npz", pickled, b"abc"))
    with pytest.raises(ValueError, match="expected at most 50"):
        npz.load(member(tmp_path / "c.npz", huge, bytes(100)), max_bytes=50)


def test_one_wrong_image_does_not_change_the_others() -> None:
    """One image of 0 to 255 in a set of 0 to 1, and one with 300 in a set of 0 to 255, are refused alone."""
    for full, wrong in ((1, 255), (255, 300)):
        images = np.zeros((30, 28, 28), np.int64)
        images[:, 10:18, 12:16] = full
        images[7] *= wrong // full if full == 1 else 1
        images[7, 12, 14] = wrong
        found = conventions.find(images)
        assert (found.low, found.high) == (0, full)
        with pytest.raises(BadImage, match=f"got 0 to {wrong}"):
            found.digit(images[7].tobytes())
        assert found.digit(images[0].tobytes()).pixels.max() == 255


def test_labels_over_nine_are_named(tmp_path: Path) -> None:
    """Label 10, as in MATLAB's files, is refused with its meaning there."""
    np.savez(tmp_path / "set.npz", X=np.eye(20)[None].repeat(3, 0), y=np.array([1, 10, 2]))
    [person] = handwriting.people([tmp_path / "set.npz"])
    samples = list(person.samples())
    assert [sample.label for sample in samples] == [1, -1, 2]
    assert "use 10 for 0" in (samples[1].reason or "")


def test_unknown_options_are_refused() -> None:
    """The refusal of an unknown ``--as`` lists the valid names."""
    assert reading_options.parse("inverted+turned-90") == ("inverted", "turned 90")
    with pytest.raises(BadSettings, match="expected given or one or more of inverted, mirrored"):
        reading_options.parse("sideways")
