"""Keras's cache of MNIST, and Keras's download into it."""

import contextlib
import os
import socket
import sys
from pathlib import Path

ORIGIN = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz"
SHA256 = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
TIMEOUT_SECONDS = 30.0


class DownloadFailed(Exception):
    """Keras could not download the file; the message gives the reason in one line."""


def cached_mnist() -> Path:
    """Return Keras's path for ``mnist.npz``: under ``KERAS_HOME``, else ``~/.keras``. The file may not exist."""
    home = os.environ.get("KERAS_HOME")
    return (Path(home) if home else Path("~/.keras")).expanduser() / "datasets" / "mnist.npz"


def download_mnist() -> Path:
    """Download ``mnist.npz`` into Keras's cache, check its published SHA-256, and return its path.

    Loads TensorFlow, which takes seconds. Keras's progress goes to standard error. Raises ``DownloadFailed``, also if
    the server sends nothing for ``TIMEOUT_SECONDS``.
    """
    from models.cnn import backend

    backend.tensorflow()  # Keras loads it anyway; this call hides its start-up messages
    from keras.utils import get_file

    home = cached_mnist().parents[1]
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_SECONDS)
    try:
        home.mkdir(parents=True, exist_ok=True)  # if the folder does not exist, Keras uses one in /tmp
        with contextlib.redirect_stdout(sys.stderr):
            return Path(get_file("mnist.npz", origin=ORIGIN, file_hash=SHA256, cache_dir=str(home)))
    except Exception as error:  # Keras raises a plain Exception if the host cannot be reached
        raise DownloadFailed(" ".join(str(error).split())[:200] or type(error).__name__) from error
    finally:
        socket.setdefaulttimeout(before)
