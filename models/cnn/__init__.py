"""The convolutional family: a small network trained on MNIST, tuned every night, exported as ``.mlmodel``.

Reading order: ``recipe`` (the literals), ``network`` (the architecture), ``augment``, ``train``, ``export``,
``family`` (the interface to the loop). Importing this package loads numpy only; TensorFlow is imported when
the first model is built.
"""

from models.cnn.family import Cnn, Network

__all__ = ["Cnn", "Network"]
