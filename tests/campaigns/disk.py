"""A disk whose power can be cut: ext4 in a file, mounted through a loop device.

The cut is the kernel's own (the ioctl that file system tests use): from one instant to the next nothing more reaches
the image, neither data nor journal, and what had not been written out by then is gone with the page cache; mounting
again replays the journal. The image keeps what it was given: a drive that loses its own cache too, although it was
told to flush, is not modelled.
"""

import fcntl
import os
import shutil
import struct
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

TOOLS = ("mkfs.ext4", "mount", "umount")
SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN, _IOR('X', 125, __u32)
WITHOUT_FLUSHING_THE_JOURNAL = struct.pack("I", 2)


class Unavailable(Exception):
    """This machine or this user cannot mount such a disk; the reason is the message."""


@dataclass(frozen=True, slots=True)
class Disk:
    """``image`` is the drive, ``folder`` where it is mounted."""

    image: Path
    folder: Path

    def make(self, mebibytes: int = 256) -> None:
        """An empty drive, mounted. Raises ``Unavailable``."""
        missing = [tool for tool in TOOLS if shutil.which(tool) is None]
        if missing or os.geteuid() != 0:
            raise Unavailable(f"needs root and {', '.join(TOOLS)}; missing: {', '.join(missing) or 'root'}")
        with self.image.open("wb") as file:
            file.truncate(mebibytes << 20)
        self.folder.mkdir()
        _run("mkfs.ext4", "-q", "-F", str(self.image))
        self.mount()

    def mount(self) -> None:
        """As after switching on. Raises ``Unavailable``."""
        _run("mount", "-o", "loop", str(self.image), str(self.folder))

    def unmount(self) -> None:
        """After the last process has let go of it."""
        for _ in range(50):
            if not self.folder.is_mount():
                return
            try:
                _run("umount", str(self.folder))
            except Unavailable:
                time.sleep(0.1)
        raise Unavailable(f"{self.folder} is still in use")

    def cut(self) -> None:
        """Cut the power: every later write fails, and what was not on the image is lost."""
        opened = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(opened, SHUTDOWN, WITHOUT_FLUSHING_THE_JOURNAL)
        finally:
            os.close(opened)


def _run(tool: str, *arguments: str) -> None:
    done = subprocess.run([shutil.which(tool) or tool, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"{tool}: {done.stderr.strip()[:200]}")
