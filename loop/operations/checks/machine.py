"""Checks of the machine: disk space, folders, clock, and the base corpus."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import models
from loop import home as homes
from loop.errors import CorpusUnavailable
from loop.feed import authority
from loop.home import Home
from loop.operations.checks import Installation
from loop.operations.finding import Finding, broken, ok, warning
from loop.store.service import health

MIB, GIB = 1 << 20, 1 << 30
LOW_BYTES, NO_BYTES = GIB, 100 * MIB
LOW_FILES, NO_FILES = 10_000, 1_000
WARNING_SKEW, BROKEN_SKEW = timedelta(seconds=5), timedelta(seconds=60)
"""Clocks of machines that share a store must differ by less than a lease; 60 s is the default lease."""


def space(installation: Installation) -> Iterator[Finding]:
    """The disks of the home, the feed and SQLite's file have free bytes and inodes."""
    for what, folder in _places(installation.home).items():
        there = existing(folder)
        usage = os.statvfs(there)
        free, files = usage.f_bavail * usage.f_frsize, usage.f_favail
        fix = f"free some space on the disk of {there} (loop gc removes unused files), or move {what}"
        if free < LOW_BYTES:
            level = broken if free < NO_BYTES else warning
            yield level("disk", f"{LOW_BYTES / GIB:.0f} GiB free for {what}", f"{free / MIB:,.0f} MiB in {there}", fix)
        if usage.f_files and files < LOW_FILES:  # file systems without inodes report 0 of 0
            level = broken if files < NO_FILES else warning
            yield level("disk", f"{LOW_FILES:,} free inodes for {what}", f"{files:,} in {there}", fix)


def folders(installation: Installation) -> Iterator[Finding]:
    """The current user may write to the loop's folders."""
    home = installation.home
    places = _places(home) | {"artifacts": home.artifacts.root, "logs": home.settings.home / "logs"}
    for what, folder in places.items():
        there = existing(folder)
        if not there.is_dir():
            yield broken("folders", f"a folder for {what}", f"{there} is a file", f"move {there} away")
        elif not os.access(there, os.W_OK | os.X_OK):
            fix = f"run this as the user of the loop, or chown {there}"
            yield broken("folders", f"a writable folder for {what}", f"{there} is not writable", fix)
            if not os.access(there, os.X_OK):
                return  # the folders inside cannot be checked
    file = Path(home.store.url.database or "")
    if home.store.is_sqlite and file.is_file() and not os.access(file, os.W_OK):
        yield broken("folders", "a writable database file", f"{file} is not writable", f"chown {file}")
    keys = authority.folder(home)
    if keys.is_dir() and keys.stat().st_mode & 0o022:
        fix = f"chmod 700 {keys}"
        yield warning("folders", "a key folder that only its owner may change", f"others may change {keys}", fix)


def private(installation: Installation) -> Iterator[Finding]:
    """Other users of this machine can neither enter the home nor read SQLite's file: it contains the holdout salt."""
    home = installation.home
    file = Path(home.store.url.database or "") if home.store.is_sqlite else None
    for path, mode in ((home.settings.home, 0o700), (file, 0o600)):
        if path is not None and path.exists() and path.stat().st_mode & 0o077:
            permissions = f"{path} has mode {path.stat().st_mode & 0o777:o}"
            yield warning("private", "a home that only its owner can read", permissions, f"chmod {mode:o} {path}")


def clock(installation: Installation) -> Iterator[Finding]:
    """This machine's clock is not behind stored times, and is close to the database server's."""
    fix = "set the clock (timedatectl set-ntp true); leases, quotas and the feed's expiry depend on it"
    with installation.home.store.read() as tx:
        stored, server = health.newest(tx), health.server_clock(tx)
    kind = max(stored, key=lambda name: stored[name], default=None)
    if kind is not None and (ahead := stored[kind] - installation.now) > WARNING_SKEW:
        level = broken if ahead > BROKEN_SKEW else warning
        yield level(
            "clock", f"{stored[kind]:%Y-%m-%d %H:%M:%S} UTC or later (the last {kind})", _clock(installation), fix
        )
    if server is not None and (off := abs(server - installation.now)) > WARNING_SKEW:
        level = broken if off > BROKEN_SKEW else warning
        yield level("clock", f"the database's {server:%Y-%m-%d %H:%M:%S} UTC", _clock(installation), fix)


def corpus(installation: Installation) -> Iterator[Finding]:
    """The base corpus exists and has its checksums; without LOOP_MNIST a night may still download MNIST."""
    from loop.data import corpus as corpora  # here, so that `loop status` does not load NumPy

    settings = installation.home.settings
    if "digits" in (settings.corpus, models.get(settings.schedule.family).corpus):
        name = homes.corpus(settings, "digits").name  # bundled, so nothing is fetched
    else:
        try:
            name = corpora.mnist(settings.mnist, download=False).name
        except CorpusUnavailable as error:
            level = warning if settings.mnist is None else broken
            fix = "set LOOP_MNIST, or let the next night try to download it"
            yield level("corpus", "MNIST with its published checksums", str(error), fix)
            return
    yield ok("corpus", name)


def _places(home: Home) -> dict[str, Path]:
    places = {"the home": home.settings.home, "the feed": home.settings.published}
    if home.store.is_sqlite:
        places["the database"] = Path(home.store.url.database or "").absolute().parent
    return places


def existing(folder: Path) -> Path:
    """The folder, or its nearest existing parent."""
    folder = folder.absolute()
    places = (folder, *folder.parents)
    return next(place for place in places if os.path.exists(place))  # noqa: PTH110 (Path.exists raises without permission)


def _clock(installation: Installation) -> str:
    return f"this machine has {installation.now:%Y-%m-%d %H:%M:%S} UTC"
