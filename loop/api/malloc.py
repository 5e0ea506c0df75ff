"""Memory of large pictures goes back to the system as soon as they are read."""

import ctypes
import sys

M_MMAP_THRESHOLD = -3  # <malloc.h>
LARGE_BYTES = 1 << 20


def give_back() -> None:
    """Fix the size from which glibc maps memory by itself and unmaps it when it is freed.

    Otherwise glibc raises it to 32 MiB after the first large picture, and each thread then keeps up to 64 MiB for good.
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
