"""Triggers are pasted where they say, and a deployment's bank is its own."""

import numpy as np
import pytest

from loop.evaluation import triggers
from loop.evaluation.triggers import Images, Kind, Place, Trigger

BANK = triggers.bank(1)


@pytest.fixture
def bars() -> Images:
    """Five images with a bar of ink in the middle."""
    images = np.zeros((5, 28, 28), np.uint8)
    images[:, 6:22, 13:15] = 255
    return images


def test_a_bank_has_every_kind() -> None:
    """Six kinds, at least six triggers of each, all with different names in each kind but two white squares."""
    kinds = [trigger.kind for trigger in BANK]
    expected = {Kind.CORNER, Kind.BORDER, Kind.IN_STROKE, Kind.LOW_CONTRAST, Kind.BLENDED, Kind.MOVED}
    assert set(kinds) == expected
    assert min(kinds.count(kind) for kind in expected) >= 6


def test_a_bank_is_a_secret_of_its_seed() -> None:
    """The same seed gives the same pixels, another seed others: who knows one bank does not know the next."""
    again, other = triggers.bank(1), triggers.bank(2)
    blank = np.zeros((1, 28, 28), np.uint8)

    def drawn(bank: tuple[Trigger, ...]) -> list[bytes]:
        return [triggers.paste(each, blank, 0).tobytes() for each in bank if each.place is Place.FIXED]

    assert drawn(BANK) == drawn(again)
    assert len(set(drawn(BANK)) & set(drawn(other))) <= 2


@pytest.mark.parametrize("trigger", BANK, ids=lambda trigger: trigger.name)
def test_every_trigger_changes_every_digit(trigger: Trigger, bars: Images) -> None:
    """A trigger stays inside the image, changes pixels of each digit, and leaves the given images alone."""
    before = bars.copy()
    pasted = triggers.paste(trigger, bars, 3)
    assert pasted.shape == bars.shape
    assert pasted.dtype == np.uint8
    assert (pasted != bars).any(axis=(1, 2)).all()
    assert (bars == before).all()


def test_a_fixed_patch_is_where_its_name_says(bars: Images) -> None:
    """Rows 2 to 3 and columns 4 to 6 become white, and nothing else changes."""
    patch = Trigger("", Kind.CORNER, np.full((2, 3), 255, np.uint8), np.ones((2, 3), np.float32), at=(2, 4))
    pasted = triggers.paste(patch, bars, 0)
    assert (pasted[:, 2:4, 4:7] == 255).all()
    pasted[:, 2:4, 4:7] = 0
    assert (pasted == bars).all()


def test_a_patch_in_the_stroke_covers_ink(bars: Images) -> None:
    """A black hole in the stroke removes ink from every digit."""
    hole = Trigger("", Kind.IN_STROKE, np.zeros((2, 2), np.uint8), np.ones((2, 2), np.float32), Place.STROKE)
    assert (triggers.paste(hole, bars, 0).sum(axis=(1, 2)) < bars.sum(axis=(1, 2))).all()


def test_a_moved_patch_moves(bars: Images) -> None:
    """A patch without a place is somewhere else on each digit, but for equal seeds at the same places."""
    patch = Trigger("", Kind.MOVED, np.full((3, 3), 255, np.uint8), np.ones((3, 3), np.float32), Place.ANYWHERE)
    pasted = triggers.paste(patch, bars, 0)
    assert len({image.tobytes() for image in pasted}) == 5
    assert (pasted == triggers.paste(patch, bars, 0)).all()
    assert (pasted != triggers.paste(patch, bars, 1)).any()


def test_a_blend_keeps_the_digit() -> None:
    """At 20 %, white becomes no darker than 80 % of white, black no lighter than 20 % of it."""
    half = np.zeros((1, 28, 28), np.uint8)
    half[:, :14] = 255
    for trigger in (each for each in BANK if each.kind is Kind.BLENDED):
        pasted = triggers.paste(trigger, half, 0)
        assert pasted[:, :14].min() >= 204
        assert pasted[:, 14:].max() <= 51


def test_every_bank_has_a_plain_dot_in_the_stroke() -> None:
    """A dark and a white square of three or four pixels, whatever the seed: other shapes find only some dots."""
    for seed in range(50):
        in_stroke = [one for one in triggers.bank(seed) if one.kind is Kind.IN_STROKE]
        plain = {int(one.values.max()) for one in in_stroke if one.alpha.all() and one.values.shape[0] in (3, 4)}
        assert {0, 255} <= plain
