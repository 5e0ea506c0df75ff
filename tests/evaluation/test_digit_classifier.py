"""Foreign files are read as their descriptions state, list what was assumed, and are refused if that is a guess."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loop.data import idx
from loop.errors import BadModel
from loop.evaluation import digit_classifier, scoring
from models.svm.tiles import tiles
from tests.helpers import stripes
from tests.helpers.shared import MNIST, SHARED
from tests.models import converted


def opened(data: bytes) -> digit_classifier.DigitClassifier:
    """The classifier in a file's bytes."""
    return digit_classifier.classifier(digit_classifier.load(data))


def reads_stripes(classifier: digit_classifier.DigitClassifier) -> bool:
    """Whether all ten stripes are classified correctly, with a probability above 0.9."""
    answers = classifier.probabilities(stripes.images())
    return bool((answers.argmax(axis=1) == np.arange(10)).all() and answers.max(axis=1).min() > 0.9)


def notes(classifier: digit_classifier.DigitClassifier) -> str:
    """All assumptions as one text."""
    return "; ".join(classifier.assumptions)


def test_a_file_like_ours() -> None:
    """A grayscale 28×28 classifier works, and a polarity that the file does not state is listed as assumed."""
    classifier = opened(stripes.image_model())
    assert reads_stripes(classifier)
    assert (classifier.kind, classifier.size, classifier.polarity) == ("grayscale image", (28, 28), "white on black")
    assert "assumed" in notes(classifier)
    assert classifier.input == "picture"
    assert not classifier.label_only


@settings(deadline=None, max_examples=15)
@given(order=st.permutations(range(10)), whole=st.booleans())
def test_labels_in_any_order(order: list[int], whole: bool) -> None:
    """Column k is digit k for any order of the labels, as strings or as integers."""
    assert reads_stripes(opened(stripes.image_model(order if whole else [str(digit) for digit in order])))


@pytest.mark.parametrize(("colour", "kind"), [("RGB", "RGB image"), ("BGR", "BGR image")])
@pytest.mark.parametrize("channel", [0, 1, 2])
def test_colour_inputs_get_grey_levels(colour: str, kind: str, channel: int) -> None:
    """A model that uses any single colour channel gets the digit."""
    classifier = opened(stripes.image_model(colour=colour, channel=channel))
    assert reads_stripes(classifier)
    assert classifier.kind == kind


@pytest.mark.parametrize("size", [(14, 14), (56, 56), (32, 32), (40, 28)])
def test_other_sizes_are_resized_and_noted(size: tuple[int, int]) -> None:
    """A model of another input size gets the whole picture at that size."""
    classifier = opened(stripes.image_model(size=size))
    assert (classifier.probabilities(stripes.images()).argmax(axis=1) == np.arange(10)).all()
    assert f"resized to {size[0]}×{size[1]}" in notes(classifier)


DARK_INK = (
    "A digit, black on white",
    "black ink on white paper",
    "Dark strokes on a light background",
    "a black-on-white drawing",
    "white background",
    "inverted MNIST",
    "polarity: black_on_white",
)
LIGHT_INK = ("white on black", "A digit, white ink on black", "white digit on a black background", "black background")


@pytest.mark.parametrize("text", DARK_INK)
@pytest.mark.parametrize("of_input", [True, False])
def test_black_on_white_by_description(text: str, of_input: bool) -> None:
    """A model whose input or model description states dark ink gets inverted images."""
    texts = {"input_text": text} if of_input else {"text": text}
    classifier = opened(stripes.image_model(black_on_white=True, **texts))
    assert classifier.polarity == "black on white"
    assert reads_stripes(classifier)
    assert "stated by" in notes(classifier)


@pytest.mark.parametrize("text", LIGHT_INK)
def test_white_on_black_by_description(text: str) -> None:
    """A description of light ink is understood, and is not listed as an assumption."""
    classifier = opened(stripes.image_model(input_text=text))
    assert classifier.polarity == "white on black"
    assert reads_stripes(classifier)
    assert "assumed" not in notes(classifier)


def test_without_its_description_dark_ink_is_misread() -> None:
    """Negative control: the description makes the difference."""
    assert not reads_stripes(opened(stripes.image_model(black_on_white=True)))


def test_a_description_of_both_polarities() -> None:
    """If a text names both conventions, MNIST's is assumed, and the assumption is listed."""
    classifier = opened(stripes.image_model(input_text="white on black. Not black on white."))
    assert reads_stripes(classifier)
    assert "names both" in notes(classifier)


def test_the_inputs_own_description_counts_first() -> None:
    """If a file's texts contradict each other, the input's own description counts."""
    data = stripes.image_model(black_on_white=True, input_text="black on white", text="Like MNIST, white on black.")
    assert reads_stripes(opened(data))


@pytest.mark.parametrize(
    "shape", [(784,), (28, 28), (1, 28, 28), (28, 28, 1), (1, 1, 28, 28), (3, 28, 28), (28, 28, 3), (1, 784)]
)
def test_array_inputs(shape: tuple[int, ...]) -> None:
    """Arrays that are a picture in any layout are accepted, and values of 0 to 1 are listed as assumed."""
    classifier = opened(stripes.array_model(shape))
    assert reads_stripes(classifier)
    assert classifier.kind == "array"
    assert "values 0 to 1 (assumed" in notes(classifier)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("pixels 0 to 255", 0, 255),
        ("grey levels in 0..255", 0, 255),
        ("values from -1 to 1", -1, 1),
        ("0-255 divided by 255", 0, 1),
        ("normalised pixels", 0, 1),
        ("between 0.0 and 1.0", 0, 1),
    ],
)
def test_scales_by_description(text: str, low: float, high: float) -> None:
    """The model gets values in the range that the input's description names."""
    classifier = opened(stripes.array_model((784,), low, high, input_text=text))
    assert reads_stripes(classifier)
    assert f"values {low} to {high}" in notes(classifier)


def test_without_its_description_another_scale_is_unsure() -> None:
    """Negative control: a model for 0 to 255 whose file does not state it gives no confident answer."""
    assert not reads_stripes(opened(stripes.array_model((784,), 0, 255)))


def test_integers_run_to_255() -> None:
    """An array of integers cannot hold fractions of 1, so 0 to 255 is assumed."""
    classifier = opened(stripes.array_model((784,), 0, 255, dtype="INT32"))
    assert reads_stripes(classifier)
    assert "values 0 to 255 (assumed: integers)" in notes(classifier)


@pytest.mark.parametrize("softmax", [True, False])
def test_a_network_without_labels(softmax: bool) -> None:
    """Ten numbers without labels are taken in the order of the digits, and made probabilities if they are not."""
    classifier = opened(stripes.image_model(labels=None, softmax=softmax))
    assert reads_stripes(classifier)
    assert np.allclose(classifier.probabilities(stripes.images()).sum(axis=1), 1, atol=1e-5)
    assert "number k is taken for digit k" in notes(classifier)
    assert ("a softmax is applied" in notes(classifier)) is not softmax


@pytest.mark.parametrize(
    "labels",
    [
        [str(digit) for digit in range(9)],
        [str(digit) for digit in range(11)],
        ["0", "1", "2", "3", "4", "5", "6", "7", "8", "8"],
        [*range(1, 11)],
    ],
)
def test_other_labels_are_refused_by_name(labels: list[str | int]) -> None:
    """A model with labels other than the ten digits, each once, is refused, and the message names its labels."""
    with pytest.raises(BadModel, match=r"expected the ten labels 0 to 9") as refused:
        opened(stripes.image_model(labels))
    assert all(repr(label) in str(refused.value) for label in labels)


@pytest.mark.slow
def test_another_classifier_by_coremltools_own_builder() -> None:
    """A classifier of cats and dogs, written by coremltools, is refused, and the message names its labels."""
    coremltools = pytest.importorskip("coremltools")
    builder = coremltools.models.neural_network.NeuralNetworkBuilder(
        [("picture", coremltools.models.datatypes.Array(1, 28, 28))],
        [("scores", coremltools.models.datatypes.Array(2))],
        mode="classifier",
    )
    builder.add_flatten("flat", 0, "picture", "flat")
    builder.add_inner_product("dense", np.zeros((2, 784)), np.zeros(2), 784, 2, True, "flat", "dense")
    builder.add_softmax("scores", "dense", "scores")
    builder.set_class_labels(["cat", "dog"])
    with pytest.raises(BadModel, match=r"got 2: 'cat', 'dog'"):
        opened(builder.spec.SerializeToString())


def test_inputs_that_are_no_picture_are_refused() -> None:
    """An array without a picture's shape is refused, and the message gives its shape."""
    with pytest.raises(BadModel, match=r"\(783,\)"):
        opened(stripes.array_model((783,)))


@pytest.mark.parametrize("data", [b"", b"not a model", b"\x08"])
def test_bytes_that_are_no_model(data: bytes) -> None:
    """Bytes that are not a Core ML file raise only BadModel, with the file's name."""
    with pytest.raises(BadModel, match=r"seven\.mlmodel"):
        digit_classifier.load(data, "seven.mlmodel")


@pytest.mark.parametrize("cut", [10, 1000, -1])
def test_a_truncated_file(cut: int) -> None:
    """A file truncated anywhere raises BadModel."""
    with pytest.raises(BadModel):
        opened(stripes.image_model()[:cut])


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255), whole=st.booleans())
def test_damaged_files_only_raise_bad_model(place: float, value: int, whole: bool) -> None:
    """After any change of one byte, the classifier returns ten columns or raises BadModel."""
    data = bytearray(stripes.image_model() if whole else stripes.array_model((8, 98)))
    head = len(data) if whole else 400  # the last bytes are all weights
    data[int(place * min(head, len(data)))] = value
    try:
        answers = opened(bytes(data)).probabilities(stripes.images())
    except BadModel:
        return
    assert answers.shape == (10, 10)


@pytest.mark.parametrize("n", [0, 1, 1001])
def test_any_number_of_images(n: int) -> None:
    """Chunks do not change results: n images give n rows, the same as one by one."""
    classifier = opened(stripes.image_model())
    images = np.resize(stripes.images(), (n, 28, 28))
    answers = classifier.probabilities(images)
    assert answers.shape == (n, 10)
    if n:
        assert np.allclose(answers[-1], classifier.probabilities(images[-1:])[0], atol=1e-6)


def test_images_of_another_shape_are_the_callers_mistake() -> None:
    """A classifier takes 28×28 uint8 and refuses anything else with a message that states it."""
    with pytest.raises(ValueError, match=r"\(n, 28, 28\)"):
        opened(stripes.image_model()).probabilities(np.zeros((3, 27, 28), np.uint8))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "least", "most"), [("keras-cnn-2017", 0.990, 0.994), ("keras-cnn-2021", 0.986, 0.990)]
)
def test_other_peoples_models_on_mnist(name: str, least: float, most: float) -> None:
    """Two files made by others in 2017 and 2021 reach the accuracy on MNIST's test set that such networks reach."""
    file = SHARED / "coreml-models" / f"{name}.mlmodel"
    if not file.exists() or not MNIST.exists():
        pytest.skip(f"no {file} or {MNIST}; TEST_SHARED names the folder that has them under data/")
    images, labels = (idx.load(MNIST / f"t10k-{kind}-ubyte.gz") for kind in ("images-idx3", "labels-idx1"))
    classifier = opened(file.read_bytes())
    part = scoring.Slice("mnist", images, labels, np.ones(len(labels)))
    report = scoring.score(classifier.probabilities, classifier.model, (part,))
    assert report.health.problems == ()
    assert least <= report.scores[0].accuracy <= most


def test_embeddings_are_what_the_last_linear_layer_takes() -> None:
    """A reading has the same probabilities as always, and the values of the layer before the last linear one."""
    classifier = opened(stripes.image_model())
    images = np.concatenate([stripes.images()] * 150)  # more than a chunk
    found = classifier.read(images)
    np.testing.assert_array_equal(found.probabilities, classifier.probabilities(images))
    np.testing.assert_allclose(found.embeddings, images.reshape(-1, 784) / np.float32(255), rtol=1e-6)
    assert classifier.embeddings(images[:0]).shape == (0, 784)
    with pytest.raises(ValueError, match="uint8"):
        classifier.embeddings(images.astype(np.float32))


def test_a_model_without_hidden_layers_gives_its_input() -> None:
    """The embedding of a support-vector machine is the vector that it takes: 64 tiles."""
    classifier = opened(converted.case("tutorial")["file"].tobytes())
    found = classifier.read(stripes.images())
    np.testing.assert_allclose(found.embeddings, tiles(stripes.images()), rtol=1e-6)
    np.testing.assert_array_equal(found.probabilities, classifier.probabilities(stripes.images()))
