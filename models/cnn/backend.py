"""Load TensorFlow once, without messages, and choose the fastest arithmetic of this processor.

Training multiplies in bfloat16 where the processor does so in hardware (2.7 times faster than float32 on an
AMD EPYC with AVX512-BF16) and in float32 elsewhere; weights, sums, averages and everything that is judged or
published are float32. The weights of a training therefore depend on the kind of processor, as they already do
through the order of its float32 sums; on one kind of processor they repeat bit for bit.
"""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

FAST_BFLOAT16 = frozenset({"avx512_bf16", "amx_bf16"})  # as Linux names them


@cache
def tensorflow() -> Any:
    """Import TensorFlow without its start-up messages and make its sums repeatable."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with muted():
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
        tf.constant(0)  # starts the runtime, whose messages are the last
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    return tf


@contextmanager
def muted() -> Iterator[None]:
    """Hide the output of native code on standard error; print it if the block fails.

    TensorFlow's libraries log before their log level can be set, and only the file descriptor reaches them.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def policy(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return Keras's dtype policy for training on this processor."""
    try:
        text = cpuinfo.read_text()
    except OSError:  # not Linux: the flags are unknown, and float32 works everywhere
        return "float32"
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), [])
    return "mixed_bfloat16" if FAST_BFLOAT16.intersection(flags) else "float32"
