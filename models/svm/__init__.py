"""The second tutorial's family: a support-vector machine on 8×8 tiles, exported as ``.mlmodel``.

Reading order: ``tiles`` (the preprocessing), ``vectors`` (the arrays), ``export``, ``family`` (what the loop calls).
Importing this package loads numpy only; scikit-learn comes with the first machine that is fitted.
"""

from models.svm.family import Machine, Recipe, Svm

__all__ = ["Machine", "Recipe", "Svm"]
