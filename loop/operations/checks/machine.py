"""The machine: space, folders, clock, and the base corpus."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import models
from loop import home as homes
from loop.data import corpus as corpora
from loop.errors import CorpusUnavailable
from loop.feed import authority
from loop.home import Home
from loop.operations.checks import Installation
from loop.operations.finding import Finding, broken, ok, warning
from loop.store.service import health

MIB, GIB = 1 << 20, 1 << 30
LOW_BYTES, NO_BYTES = GIB, 100 * MIB
LOW_FILES, NO_FILES = 10_000, 1_000
SKEW, NOT_OURS = timedelta(seconds=5), timedelta(seconds=60)
"""Machines that share a store must agree on the time to within a lease's length; 60 s is the default lease."""


def space(patient: Installation) -> Iterator[Finding]:
    """Room for files, in bytes and in inodes, where the home, the feed and SQLite's file lie."""
    for what, folder in _places(patient.home).items():
        there = existing(folder)
        found = os.statvfs(there)
        free, files = found.f_bavail * found.f_frsize, found.f_favail
        fix = f"free some space on the disk of {there} (loop gc shows what may go), or move {what}"
        if free < LOW_BYTES:
            level = broken if free < NO_BYTES else warning
            yield level("disk", f"{LOW_BYTES / GIB:.0f} GiB free for {what}", f"{free / MIB:,.0f} MiB in {there}", fix)
        if found.f_files and files < LOW_FILES:  # file systems without inodes say 0 of 0
            level = broken if files < NO_FILES else warning
            yield level("disk", f"{LOW_FILES:,} files more for {what}", f"room for {files:,} in {there}", fix)


def folders(patient: Installation) -> Iterator[Finding]:
    """Whoever runs this may write where the loop writes."""
    home = patient.home
    places = _places(home) | {"artifacts": home.artifacts.root, "logs": home.settings.home / "logs"}
    for what, folder in places.items():
        there = existing(folder)
        if not there.is_dir():
            yield broken("folders", f"a folder for {what}", f"{there} is a file", f"move {there} away")
        elif not os.access(there, os.W_OK | os.X_OK):
            fix = f"run this as the user of the loop, or chown {there}"
            yield broken("folders", f"a folder for {what} to write to", f"{there} refuses it", fix)
            if not os.access(there, os.X_OK):
                return  # what lies in it cannot be asked about
    file = Path(home.store.url.database or "")
    if home.store.is_sqlite and file.is_file() and not os.access(file, os.W_OK):
        yield broken("folders", "a database file to write to", f"{file} refuses it", f"chown {file}")
    keys = authority.folder(home)
    if keys.is_dir() and keys.stat().st_mode & 0o022:
        fix = f"chmod 700 {keys}"
        yield warning("folders", "a key folder that only its owner may change", f"{keys} is open to others", fix)


def clock(patient: Installation) -> Iterator[Finding]:
    """This machine's clock is not behind what is stored, nor far from the database server's."""
    fix = "set the clock (timedatectl set-ntp true); leases, quotas and the feed's expiry are told by it"
    with patient.home.store.read() as tx:
        stored, server = health.newest(tx), health.server_clock(tx)
    kind = max(stored, key=lambda name: stored[name], default=None)
    if kind is not None and (ahead := stored[kind] - patient.now) > SKEW:
        level = broken if ahead > NOT_OURS else warning
        yield level("clock", f"{stored[kind]:%Y-%m-%d %H:%M:%S} UTC or later (the last {kind})", _clock(patient), fix)
    if server is not None and (off := abs(server - patient.now)) > SKEW:
        level = broken if off > NOT_OURS else warning
        yield level("clock", f"the database's {server:%Y-%m-%d %H:%M:%S} UTC", _clock(patient), fix)


def corpus(patient: Installation) -> Iterator[Finding]:
    """The base corpus is there, with its checksums; MNIST that was not named may still be fetched."""
    settings = patient.home.settings
    if "digits" in (settings.corpus, models.get(settings.schedule.family).corpus):
        name = homes.corpus(settings, "digits").name  # bundled, so nothing is fetched
    else:
        try:
            name = corpora.mnist(settings.mnist, download=False).name
        except CorpusUnavailable as error:
            level = warning if settings.mnist is None else broken
            fix = "set LOOP_MNIST, or let the next night fetch it: it will try"
            yield level("corpus", "MNIST with its published checksums", str(error), fix)
            return
    yield ok("corpus", name)


def _places(home: Home) -> dict[str, Path]:
    found = {"the home": home.settings.home, "the feed": home.settings.published}
    if home.store.is_sqlite:
        found["the database"] = Path(home.store.url.database or "").absolute().parent
    return found


def existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there already."""
    folder = folder.absolute()
    places = (folder, *folder.parents)
    return next(place for place in places if os.path.exists(place))  # noqa: PTH110 (Path.exists raises where it may not look)


def _clock(patient: Installation) -> str:
    return f"this machine has {patient.now:%Y-%m-%d %H:%M:%S} UTC"
