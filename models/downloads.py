"""Keras's cache of MNIST, and Keras's own way of filling it."""

import contextlib
import os
import socket
import sys
from pathlib import Path

ORIGIN = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
SILENCE_SECONDS = 30.0


class DownloadFailed(Exception):
    """Keras could not fetch the file; the message says why, in one line."""


def cached_mnist() -> Path:
    """Where Keras keeps ``mnist.npz``: under ``KERAS_HOME``, else ``~/.keras``. It need not exist."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path("~/.keras")).expanduser() / "datasets" / "mnist.npz"


def download_mnist() -> Path:
    """Let Keras fetch ``mnist.npz`` into its cache, checked against its published SHA-256; return where it lies.

    Loads TensorFlow, which takes seconds. Keras's own progress goes to standard error. Raises ``DownloadFailed``,
    also when the server is silent for ``SILENCE_SECONDS``.
    """
    from models.cnn import backend

    backend.tensorflow()  # Keras loads it anyway, and this way without its start-up messages
    from keras.utils import get_file

    home = cached_mnist().parents[1]
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE_SECONDS)
    try:
        home.mkdir(parents=True, exist_ok=True)  # Keras takes a folder in /tmp instead of one that is not there
        with contextlib.redirect_stdout(sys.stderr):
            return Path(get_file("mnist.npz", origin=ORIGIN, file_hash=SHA256, cache_dir=str(home)))
    except Exception as error:  # Keras raises bare Exception where the host cannot be reached
        raise DownloadFailed(" ".join(str(error).split())[:200] or type(error).__name__) from error
    finally:
        socket.setdefaulttimeout(before)
