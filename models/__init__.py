"""The model families, one folder each, and ``coreml``, which runs a published ``.mlmodel`` on any machine.

Nothing here imports ``loop``; heavy frameworks are imported inside functions, so importing a family is cheap.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # NumPy takes a tenth of a second, and many commands need only the names
    from models.family import Family

NAMES = ("cnn", "svm")


def get(name: str) -> "Family":
    """Return the family ``name``. Raises ``KeyError`` for an unknown name."""
    if name == "cnn":
        from models.cnn import Cnn

        return Cnn()
    if name == "svm":
        from models.svm import Svm

        return Svm()
    raise KeyError(name)
