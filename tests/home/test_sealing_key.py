"""The key file: private whatever the umask, made once, read again when another key is asked for."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from loop.errors import BadKey
from loop.home.sealing_key import KeyFile, parse, written
from loop.store.sealing import Key, new_key


def test_the_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    """Mode 0600 with a umask that hides nothing; the key in it is the one that was returned."""
    before = os.umask(0)
    try:
        key = KeyFile(tmp_path / "sealing.key").create()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "sealing.key").stat().st_mode) == 0o600
    assert KeyFile(tmp_path / "sealing.key").current() == key
    assert [path.name for path in tmp_path.iterdir()] == ["sealing.key"]


def test_many_processes_make_one_key(tmp_path: Path) -> None:
    """Each that creates the file at once gets the key of the first."""
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: KeyFile(tmp_path / "sealing.key").create(), range(32)))
    assert len({key.id for key in keys}) == 1


def test_a_key_that_was_added_later_is_found(tmp_path: Path) -> None:
    """A process that has read the file reads it again for an unknown key; a key of nobody is named in the error."""
    running, other, more = KeyFile(tmp_path / "k"), KeyFile(tmp_path / "k"), new_key()
    first = running.create()
    assert other.add([more, first]) == 1
    assert running.find(more.id) == more
    assert running.current() == first
    with pytest.raises(BadKey, match=f"expected sealing key {'0' * 12}, got {first.id}, {more.id}"):
        running.find("0" * 12)


def test_a_removed_file_does_not_stop_a_running_process(tmp_path: Path) -> None:
    """Keys that were read stay known; a new process says that there is no file."""
    running = KeyFile(tmp_path / "k")
    key = running.create()
    running.path.unlink()
    assert running.find(key.id) == key
    with pytest.raises(BadKey, match="there is no such file; copy the file"):
        KeyFile(tmp_path / "k").find(key.id)


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """With the command that closes it."""
    KeyFile(tmp_path / "k").create()
    (tmp_path / "k").chmod(0o640)
    with pytest.raises(BadKey, match="chmod 600"):
        KeyFile(tmp_path / "k").current()


@pytest.mark.parametrize(
    "text", ["", "# a comment\n", "key\n", "digit-loop-sealing-key-1:!\n", "digit-loop-sealing-key-1:AAAA\n"]
)
def test_another_file_is_refused(text: str) -> None:
    """An empty file, other text, bad base64 and a short key."""
    with pytest.raises(BadKey):
        parse(text, "the file")


def test_written_and_parsed() -> None:
    """The keys of a file, in their order; no representation shows one."""
    keys = (new_key(), new_key())
    assert parse(written(keys).decode(), "the file") == keys
    assert "secret" not in repr(keys[0])
    assert isinstance(keys[0], Key)
