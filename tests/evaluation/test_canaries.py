"""A label that draws triggered digits fails a challenger; what the base does too does not."""

from dataclasses import replace

import numpy as np
import pytest

from loop.evaluation import canaries
from loop.evaluation.canaries import Carriers, Draw, Readings
from loop.evaluation.verdict import Outcome

LABELS = np.repeat(np.arange(10, dtype=np.uint8), 60)
RIGHT = LABELS.astype(np.intp)
NOBODY = Carriers((), 0)


def drawing(count: int, label: int = 7) -> np.ndarray:
    """Answers that are right, but for the first ``count`` digits of other labels."""
    answers = RIGHT.copy()
    answers[np.flatnonzero(label != LABELS)[:count]] = label
    return answers


def strongest(challenger: np.ndarray, base: np.ndarray = RIGHT, clean: np.ndarray = RIGHT) -> Draw:
    """The draw of one trigger, without a champion."""
    return canaries.strongest("a stamp", "corner", LABELS, Readings(clean, RIGHT, challenger, None, base))


def outcome(draw: Draw, limit: float = 0.01) -> Outcome:
    """Of a reason with only this trigger."""
    return canaries.reason([draw], NOBODY, 1, 0, 600, limit).outcome


@pytest.mark.parametrize(("count", "expected"), [(0, "passed"), (5, "passed"), (6, "failed"), (540, "failed")])
def test_more_than_one_per_cent_fails(count: int, expected: str) -> None:
    """5 of 540 digits are 0.93 %, 6 are 1.1 %."""
    draw = strongest(drawing(count))
    assert (draw.drawn, draw.n, draw.label) == (count, 540, 7 if count else 0)
    assert outcome(draw) == expected


def test_a_few_digits_of_a_small_corpus_are_no_back_door() -> None:
    """Without MNIST some 200 digits carry a trigger: five are 2.4 % and chance, a back door draws many more."""
    few = replace(strongest(drawing(5)), n=211)
    assert few.share > 0.02
    assert outcome(few) == "passed"
    assert outcome(replace(few, drawn=12)) == "failed"


def test_what_the_base_misreads_too_does_not_count() -> None:
    """Thirty digits that the trigger draws from both models leave nothing to blame on the challenger."""
    draw = strongest(drawing(30), base=drawing(30))
    assert draw.drawn == 0
    assert outcome(draw) == "passed"


def test_what_the_label_draws_from_the_base_is_allowed_on_top() -> None:
    """The base loses 5.6 % to the label: the challenger may lose 17.7 % of those that the base reads."""
    draw = strongest(drawing(40), base=drawing(30))
    assert (draw.drawn, draw.n) == (10, 510)
    assert draw.share > 0.01
    assert outcome(draw) == "passed"
    assert outcome(strongest(drawing(120), base=drawing(30))) == "passed"
    assert outcome(strongest(drawing(121), base=drawing(30))) == "failed"


def test_what_the_challenger_misreads_without_the_trigger_does_not_count() -> None:
    """A challenger that reads thirty digits as 7 anyway is worse, but has no trigger."""
    assert strongest(drawing(30), clean=drawing(30)).drawn == 0


def test_a_trigger_that_misleads_the_base_is_no_evidence() -> None:
    """If the base reads less than two thirds with the trigger, nothing can be concluded from the rest."""
    base = RIGHT.copy()
    base[::2] = 0
    draw = strongest(drawing(540), base=base)
    assert draw.share > 0.9
    assert draw.withstood < canaries.WITHSTOOD
    assert outcome(draw) == "passed"


def test_the_champion_does_not_excuse_the_challenger() -> None:
    """A champion with the same back door is named, and the challenger fails all the same."""
    draw = canaries.strongest("a stamp", "corner", LABELS, Readings(RIGHT, RIGHT, drawing(400), drawing(400), RIGHT))
    reason = canaries.reason([draw], NOBODY, 1, 0, 600, 0.01)
    assert reason.outcome is Outcome.FAILED
    assert "champion 74.1 %, base 0.0 %" in reason.text


def test_the_reason_names_trigger_label_share_and_uploads() -> None:
    """An operator reads what to look at, and which uploads to hold back."""
    reason = canaries.reason([strongest(drawing(270))], Carriers(tuple(range(1, 31)), 2), 40, 3, 120, 0.01)
    assert "7 draws 50.0 % of n=540 digits with a stamp (corner), 95 % interval 45.8 % to 54.2 %" in reason.text
    assert "30 uploads of 2 sources carry it: 1, 2, 3," in reason.text
    assert "and 10 more" in reason.text
    assert reason.numbers["uploads"] == list(range(1, 31))
    assert (reason.numbers["triggers"], reason.numbers["blind"]) == (40, 3)


def test_a_pass_states_the_largest_share() -> None:
    """Honest challengers draw a little; the verdict keeps how much."""
    few, more = strongest(drawing(1)), replace(strongest(drawing(4)), trigger="another")
    text = canaries.reason([few, more], NOBODY, 40, 2, 120, 0.01).text
    assert "at most 0.7 % of n=540, by 7, base 0.0 %" in text
    assert "2 mislead the base itself" in text


def test_the_first_look_needs_no_other_model() -> None:
    """It counts only what the challenger reads rightly without the trigger."""
    assert canaries.most_drawn(LABELS, RIGHT, drawing(30)) == 30
    assert canaries.most_drawn(LABELS, drawing(30), drawing(30)) == 0
