"""Return the memory of large images to the system as soon as they are freed."""

import ctypes
import sys

M_MMAP_THRESHOLD = -3  # <malloc.h>
LARGE_BYTES = 1 << 20


def release_large_blocks() -> None:
    """Fix the size from which glibc maps each block separately and unmaps it when it is freed.

    Otherwise glibc raises this size to 32 MiB after the first large image, and each thread keeps up to 64 MiB.
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
