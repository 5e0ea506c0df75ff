"""The second tutorial's family: a support-vector machine on 8×8 tiles, exported as ``.mlmodel``.

Reading order: ``tiles`` (the preprocessing), ``vectors`` (the arrays), ``export``, ``family`` (the interface).
Importing this package loads numpy only; scikit-learn is imported when the first machine is fitted.
"""

from models.svm.family import Machine, Recipe, Svm

__all__ = ["Machine", "Recipe", "Svm"]
