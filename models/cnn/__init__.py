"""The convolutional family: a small network trained on MNIST, tuned every night, exported as ``.mlmodel``.

Reading order: ``recipe`` (the literals), ``network`` (the architecture), ``augment``, ``train``, ``export``,
``family`` (what the loop calls). Importing this package loads numpy only; TensorFlow comes with the first
model that is built.
"""

from models.cnn.family import Cnn, Network

__all__ = ["Cnn", "Network"]
