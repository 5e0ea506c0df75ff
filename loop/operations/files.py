"""The artifacts that rows name, and the files in the artifacts' folder."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from loop.durable import TEMPORARY_PREFIX
from loop.home.artifacts import DIGEST, SUFFIXES, Artifacts
from loop.store.values import Version


@dataclass(frozen=True, slots=True, order=True)
class Name:
    """The digest and suffix that name an artifact."""

    digest: str
    suffix: str

    @property
    def member(self) -> str:
        """Its name in a backup."""
        return f"artifacts/{self.digest}{self.suffix}"


def named_by(version: Version) -> dict[str, Name]:
    """The artifacts of a version, by their role."""
    names = {
        "model": Name(version.artifact_digest, ".mlmodel"),
        "golden vectors": Name(version.golden_digest, ".json"),
        "weights": Name(version.weights_digest, ".npz"),
        "base": Name(version.base_digest, ".npz"),
        "report": Name(version.report_digest, ".npz"),
    }
    if version.mlpackage_digest is not None:
        names["mlpackage"] = Name(version.mlpackage_digest, ".zip")
    return names


def named(versions: list[Version]) -> dict[Name, list[int]]:
    """Every artifact that a version names, with the numbers of those versions."""
    numbers: dict[Name, list[int]] = {}
    for version in versions:
        for name in set(named_by(version).values()):
            numbers.setdefault(name, []).append(version.number)
    return numbers


def stored(artifacts: Artifacts) -> Iterator[tuple[Name, Path]]:
    """The artifacts in the folder, named by a version or not; files with other names are not ours."""
    for path in sorted(artifacts.root.glob("??/*")):
        if DIGEST.fullmatch(path.stem) and path.suffix in SUFFIXES and path.parent.name == path.stem[:2]:
            yield Name(path.stem, path.suffix), path


def unfinished(folder: Path) -> list[Path]:
    """Files that are being written, or that a killed process left unfinished."""
    return sorted(path for path in folder.rglob(f"{TEMPORARY_PREFIX}*") if path.is_file() and not path.is_symlink())
