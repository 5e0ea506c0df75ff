"""A disk with a simulated power cut: ext4 in a file, mounted through a loop device.

The cut is the kernel's own (the ioctl of file system tests): from one instant on, neither data nor journal reaches the
image, and unwritten pages are lost with the page cache; mounting again replays the journal. The image keeps everything
that was written to it: a drive that loses its own cache despite a flush is not modelled.
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
    """``image`` is the drive, ``folder`` its mount point."""

    image: Path
    folder: Path

    def make(self, mebibytes: int = 256) -> None:
        """Create and mount an empty drive. Raises ``Unavailable``."""
        missing = [tool for tool in TOOLS if shutil.which(tool) is None]
        if missing or os.geteuid() != 0:
            raise Unavailable(f"needs root and {', '.join(TOOLS)}; missing: {', '.join(missing) or 'root'}")
        with self.image.open("wb") as file:
            file.truncate(mebibytes << 20)
        self.folder.mkdir()
        _run("mkfs.ext4", "-q", "-F", str(self.image))
        self.mount()

    def mount(self) -> None:
        """Mount the drive, as after power-on. Raises ``Unavailable``."""
        _run("mount", "-o", "loop", str(self.image), str(self.folder))

    def unmount(self) -> None:
        """Unmount the drive once no process uses it."""
        for _ in range(50):
            if not self.folder.is_mount():
                return
            try:
                _run("umount", str(self.folder))
            except Unavailable:
                time.sleep(0.1)
        raise Unavailable(f"{self.folder} is still in use")

    def cut(self) -> None:
        """Cut the power: every later write fails, and data that is not on the image is lost."""
        opened = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(opened, SHUTDOWN, WITHOUT_FLUSHING_THE_JOURNAL)
        finally:
            os.close(opened)


def _run(tool: str, *arguments: str) -> None:
    done = subprocess.run([shutil.which(tool) or tool, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"{tool}: {done.stderr.strip()[:200]}")
