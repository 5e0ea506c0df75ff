"""People's handwriting is read from folders, zips and IDX files; paths without one person's digits are refused."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from loop.data import corpus, digits, handwriting, idx
from loop.data.handwriting import Sample
from loop.errors import BadImage
from tests.helpers import shared
from tests.helpers.drawn import encoded, seven

SEVEN = encoded(seven())


def packed(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    """Write a zip with these members."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return path


def read(path: Path) -> list[Sample]:
    """Return all samples of the one person at the path."""
    [person] = handwriting.people([path])
    return list(person.samples())


def unpacked(folder: Path, members: dict[str, bytes]) -> Path:
    """Write a folder with these files."""
    for name, body in members.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(body)
    return folder


TREE = {
    "3/a.png": SEVEN,
    "7/b.JPG": encoded(seven(), "JPEG"),
    "7/c.jpeg": b"not an image",
    "7/.DS_Store": b"litter",
    "__MACOSX/7/._b.jpg": b"litter",
    "11/d.png": SEVEN,
    "-1/e.png": SEVEN,
    "³/f.png": SEVEN,
    "7/notes.txt": b"hello",
    "g.png": SEVEN,
}


@pytest.mark.parametrize("kind", ["folder", "zip", "one folder round it in a zip", "one folder round it"])
def test_one_bad_file_does_not_end_the_others(tmp_path: Path, kind: str) -> None:
    """Labels come from folders 0 to 9; each unusable file becomes a sample with a reason."""
    inner = "person/" if "round" in kind else ""
    tree = {inner + name: body for name, body in TREE.items()}
    path = packed(tmp_path / "p.zip", tree) if "zip" in kind else unpacked(tmp_path / "p", tree)
    samples = {sample.name.removeprefix(inner): sample for sample in read(path)}
    assert {name: sample.label for name, sample in samples.items() if sample.reason is None} == {
        "3/a.png": 3,
        "7/b.JPG": 7,
        "7/c.jpeg": 7,
    }
    assert samples["3/a.png"].digit() == digits.read(SEVEN)
    reasons = {name: sample.reason or "" for name, sample in samples.items()}
    assert "label '11' is not a digit" in reasons["11/d.png"]
    assert "label '-1' is not a digit" in reasons["-1/e.png"]
    assert "not a digit" in reasons["³/f.png"], "a superscript is no folder 0 to 9"
    assert "not a .png" in reasons["7/notes.txt"]
    assert "not" in reasons["g.png"]
    assert not any("DS_Store" in name or "MACOSX" in name for name in samples)
    with pytest.raises(BadImage, match="PNG or JPEG"):
        samples["7/c.jpeg"].digit()
    with pytest.raises(BadImage, match="label '11'"):
        samples["11/d.png"].digit()


def test_folder_and_zip_hold_the_same(tmp_path: Path) -> None:
    """A zip and the same files in a folder give the same samples."""
    folder, archive = unpacked(tmp_path / "p", TREE), packed(tmp_path / "p.zip", TREE)
    assert sorted(read(folder), key=lambda sample: sample.name) == sorted(read(archive), key=lambda sample: sample.name)


def test_reading_is_lazy_and_starts_over(tmp_path: Path) -> None:
    """A file is read only when its sample is taken, and every call begins at the first sample."""
    folder = unpacked(tmp_path / "p", {"1/a.png": SEVEN, "2/b.png": SEVEN})
    [person] = handwriting.people([folder])
    first = next(person.samples())
    (folder / "2/b.png").unlink()
    assert first.label == next(person.samples()).label == 1
    assert [sample.label for sample in person.samples()] == [1]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("0001_CH4M.zip", "0001_CH4M"),
        ("Zoë Müller.zip", "Zo--M-ller"),
        ("a\nb\x1b[31m.zip", "a-b--31m"),
        (".x.zip", "x"),
    ],
)
def test_sources_are_named_by_the_stem(tmp_path: Path, path: str, name: str) -> None:
    """A source's name contains only letters, digits, dot, dash and underscore, because it is printed and stored."""
    [person] = handwriting.people([packed(tmp_path / path, {"1/a.png": SEVEN})])
    assert person.name == name


def test_two_paths_of_one_name_are_not_one_person(tmp_path: Path) -> None:
    """Two paths with one name are refused, because two people would share a holdout split; a repeated path is one."""
    one, other = (packed(unpacked(tmp_path / side, {"x": b""}) / "p.zip", {"1/a.png": SEVEN}) for side in "ab")
    assert len(handwriting.people([one, one])) == 1
    with pytest.raises(BadImage, match="both name the source 'p'"):
        handwriting.people([one, other])


def test_real_writers() -> None:
    """Each of the first European writers' zips is read with all digits labelled and none refused."""
    people = handwriting.people(shared.writers()[:2])
    assert [person.name for person in people] == ["0001_CH4M", "0002_CH5M"]
    for person in people:
        samples = list(person.samples())
        assert len(samples) == 600
        assert {sample.label for sample in samples} == set(range(10))
        assert all(sample.digit().normalised for sample in samples[::60])


# --- IDX


def idx_pair(folder: Path, count: int = 3, labels: bytes = b"\1\2\3") -> Path:
    """Write MNIST-like files and return the path of the images."""
    images = np.stack([np.asarray(seven(28, 0, 255 - number)) for number in range(count)])
    (folder / "my-images-idx3-ubyte").write_bytes(idx.header(images.shape) + images.tobytes())
    (folder / "my-labels-idx1-ubyte").write_bytes(idx.header((len(labels),)) + labels)
    return folder / "my-images-idx3-ubyte"


def test_idx_pairs_are_read_bit_for_bit(tmp_path: Path) -> None:
    """The folder, either file or both give one person; 28×28 is kept bit for bit; label 11 is refused with a reason."""
    images = idx_pair(tmp_path, labels=b"\1\x0b\3")
    labels = images.with_name("my-labels-idx1-ubyte")
    samples = read(tmp_path)
    assert [sample.label for sample in samples] == [1, -1, 3]
    assert "label 11 is not a digit" in (samples[1].reason or "")
    assert not samples[0].digit().normalised
    assert np.array_equal(samples[2].digit().pixels, idx.load(images)[2])
    assert samples == read(images) == read(labels)
    assert len(handwriting.people([labels, images])) == 1


def test_idx_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """Different counts, a missing file and files of another kind are refused before any sample is read."""
    images = idx_pair(tmp_path, labels=b"\1\2")
    with pytest.raises(BadImage, match="do not match"):
        handwriting.people([tmp_path])
    (tmp_path / "my-labels-idx1-ubyte").write_bytes(b"text")
    with pytest.raises(BadImage, match="not readable as IDX"):
        handwriting.people([images])
    (tmp_path / "my-labels-idx1-ubyte").unlink()
    with pytest.raises(BadImage, match="in the same folder"):
        handwriting.people([images])


# --- paths that are refused whole


def test_paths_that_hold_nobody(tmp_path: Path) -> None:
    """A path that is missing, empty, of several people or a folder of zips is refused before reading, with advice."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "zips").mkdir()
    packed(tmp_path / "zips" / "p.zip", {"1/a.png": SEVEN})
    unpacked(tmp_path / "two", {"ann/1/a.png": SEVEN, "bob/1/a.png": SEVEN})
    for name, message in {
        "gone": "does not exist",
        "empty": "no files",
        "zips": "name each zip",
        "two": "ann, bob",
    }.items():
        with pytest.raises(BadImage, match=message):
            handwriting.people([tmp_path / name])
    with pytest.raises(BadImage, match="has no letters or digits"):
        handwriting.people([Path("/")])


# --- scikit-learn's digits


@pytest.mark.slow
def test_bundled_people() -> None:
    """The bundled digits have fourteen forms and 1,797 digits; ``unseen`` skips those in the corpus ``digits``."""
    people = handwriting.bundled()
    assert len({person.name for person in people}) == 14
    samples = [sample for person in people for sample in person.samples()]
    assert len(samples) == 1797
    assert all(sample.digit().normalised for sample in samples[::60])
    unseen = handwriting.bundled(unseen=True)
    assert unseen == people[8:]
    small = corpus.digits()
    known = {*map(bytes, small.train_images), *map(bytes, small.test_images)}
    assert not any(sample.digit().pixels.tobytes() in known for sample in unseen[0].samples())
