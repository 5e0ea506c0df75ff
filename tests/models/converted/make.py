"""Write ``converted.npz.xz``: convert machines with the only pair of versions that coremltools supports.

From the repository's root, in an environment of its own (Python 3.11 or 3.12), never in the repository's:

    python3.12 -m venv converter
    converter/bin/pip install scikit-learn==1.5.1 coremltools==9.0 numpy==2.4.6
    converter/bin/python -m tests.models.converted.make
"""

import io
import lzma
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.models import converted

Arrays = dict[str, NDArray[Any]]


def main() -> None:
    """Write the archive, or stop where other versions are installed."""
    made_with = tuple(f"{package} {version(package)}" for package in ("scikit-learn", "coremltools"))
    if made_with != converted.MADE_WITH:
        raise SystemExit(f"expected {' and '.join(converted.MADE_WITH)}, found {' and '.join(made_with)}")
    plain = io.BytesIO()
    np.savez(plain, made_with=np.array(made_with), **tutorial(), **digits(), **pipelines())
    converted.PATH.write_bytes(lzma.compress(plain.getvalue(), preset=9 | lzma.PRESET_EXTREME))


def tutorial() -> Arrays:
    """The tutorial's machine, taught the first half of the digits: its file and scikit-learn's own attributes."""
    from sklearn.svm import SVC

    data, labels = loaded()
    taught = converted.TUTORIAL_TAUGHT
    machine = SVC(gamma=0.001).fit(data[:taught], labels[:taught])
    fitted = {f"tutorial/fitted/{name}": np.asarray(getattr(machine, name)) for name in converted.FITTED}
    return fitted | {"tutorial/file": file(machine, "tiles", "classLabel"), "tutorial/answers": machine.predict(data)}


def digits() -> Arrays:
    """Every kernel with every kind of label, taught 400 digits, asked about all."""
    from sklearn.svm import SVC

    arrays: Arrays = {}
    data, labels = loaded()
    for kernel, options in converted.KERNELS.items():
        for kind, relabel in converted.LABELS.items():
            case, relabelled = f"{kernel}, {kind}", relabel(labels)
            machine = SVC(**options).fit(data[: converted.TAUGHT], relabelled[: converted.TAUGHT])
            arrays[f"{case}/file"] = file(machine, "pixels", "digit")
            arrays[f"{case}/answers"] = machine.predict(data)
            arrays[f"{case}/classes"] = machine.classes_
            if options.get("probability"):
                arrays[f"{case}/probabilities"] = machine.predict_proba(data[:: converted.PROBABILITIES_EVERY])
    return arrays


def pipelines() -> Arrays:
    """Three loose numbers, joined into a vector, with and without scaling."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    rng = np.random.default_rng(0)
    inputs, labels = rng.normal(3, 2, (150, 3)), rng.integers(0, 4, 150)
    arrays: Arrays = {}
    for case, chain in (("loose numbers", SVC()), ("scaled numbers", make_pipeline(StandardScaler(), SVC()))):
        chain.fit(inputs, labels)
        arrays[f"{case}/file"] = file(chain, ["a", "b", "c"], "t")
        arrays[f"{case}/inputs"], arrays[f"{case}/answers"] = inputs, chain.predict(inputs)
    return arrays


def loaded() -> tuple[NDArray[np.float64], NDArray[Any]]:
    """scikit-learn's 1,797 digits of 8×8, flat, 0 to 16, and their labels."""
    from sklearn.datasets import load_digits

    data, labels = load_digits(return_X_y=True)
    return data, labels


def file(machine: Any, inputs: str | list[str], output: str) -> NDArray[np.uint8]:
    """What coremltools' converter makes of a fitted machine, as bytes."""
    import coremltools

    data = coremltools.converters.sklearn.convert(machine, inputs, output).get_spec().SerializeToString()
    return np.frombuffer(data, np.uint8)


if __name__ == "__main__":
    main()
