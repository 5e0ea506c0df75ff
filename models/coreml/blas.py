"""Run chunks of images on all cores: each core gets a chunk, and numpy's matrix products use one core each.

OpenBLAS, which numpy's wheels contain, would spread one product over all cores. On a busy machine its threads wait
for each other: 10,000 MNIST images took 7.2 s that way and 0.7 s with one thread (2 cores, load 1.5). So its
thread count is set to 1 while chunks run, and set back after. Where no OpenBLAS is found nothing is set, and results
are the same.
"""

import ctypes
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np

T = TypeVar("T")
Switch = tuple[Callable[[], int], Callable[[int], None]]

_lock = threading.Lock()
_running = 0
_before: list[int] = []


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _switches() -> tuple[Switch, ...]:
    """Return the thread-count functions (get, set) of each OpenBLAS library in numpy's wheel."""
    package = Path(np.__file__).parent
    libraries = [*package.parent.glob("numpy.libs/*openblas*"), *package.glob(".dylibs/*openblas*")]
    found = []
    for path in libraries:
        try:
            library = ctypes.CDLL(str(path))
        except OSError:  # a library of another platform; numpy does not use it either
            continue
        for prefix in ("scipy_openblas", "openblas"):
            for suffix in ("64_", "_64", ""):
                get = getattr(library, f"{prefix}_get_num_threads{suffix}", None)
                put = getattr(library, f"{prefix}_set_num_threads{suffix}", None)
                if get is not None and put is not None:
                    found.append((get, put))
    return tuple(found)


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep matrix products on the calling thread; nested and concurrent uses share one setting."""
    global _running
    with _lock:
        _running += 1
        if _running == 1:
            _before[:] = [get() for get, _ in _switches()]
            for _, put in _switches():
                put(1)
    try:
        yield
    finally:
        with _lock:
            _running -= 1
            if _running == 0:
                for (_, put), count in zip(_switches(), _before, strict=True):
                    put(count)


def map_chunks(work: Callable[[slice], T], count: int, size: int) -> Sequence[T]:
    """Return ``work`` of each chunk of at most ``size`` out of ``count``, in order, on all cores."""
    chunks = [slice(start, min(start + size, count)) for start in range(0, count, size)]
    with one_thread():
        if len(chunks) < 2 or cores() < 2:
            return [work(chunk) for chunk in chunks]
        with ThreadPoolExecutor(min(cores(), len(chunks)), "coreml") as pool:
            return list(pool.map(work, chunks))
