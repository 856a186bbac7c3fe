from __future__ import annotations

import math

import pytest

from dubflow.judging.card.rows import ScoreCard
from dubflow.judging.page.regressions import worst_first
from judging.page.sample import make_card, make_row


def card(*figures: tuple[int, float, float]) -> ScoreCard:
    return make_card("one", [make_row(place, *figure) for place, figure in enumerate(figures)])


BASE = ((1, 0.8, 0.0), (2, 0.7, 1.0), (3, 0.9, -1.0), (0, 0.6, 2.0))


def test_equal_systems_have_no_regression() -> None:
    assert worst_first(card(*BASE), card(*BASE)) == ()


@pytest.mark.parametrize(
    ("place", "worse", "metric"),
    [(0, (4, 0.8, 0.0), "wer"), (1, (2, 0.2, 1.0), "secs"), (3, (0, 0.6, -5.0), "av_offset")],
)
def test_a_loss_shows_in_whatever_direction_its_metric_has(
    place: int, worse: tuple[int, float, float], metric: str
) -> None:
    changed = [*BASE]
    changed[place] = worse
    (found,) = worst_first(card(*changed), card(*BASE))
    assert (found.clip, found.losses[0].metric) == (f"clip{place}", metric)
    assert found.size > 0
    # The other way round it is a gain, and no regression.
    assert worst_first(card(*BASE), card(*changed)) == ()


def test_the_sign_of_an_offset_does_not_matter() -> None:
    turned = [(errors, secs, -offset) for errors, secs, offset in BASE]
    assert worst_first(card(*turned), card(*BASE)) == ()


def test_the_worst_comes_first_and_what_broke_before_it() -> None:
    before = [make_row(place, *figure) for place, figure in enumerate(BASE)]
    after = [
        make_row(0, 2, 0.8, 0.0),
        make_row(1, 6, 0.7, 1.0),
        make_row(2, 0, 0.0, 0.0, broke="no face"),
        make_row(3, 0, None, 2.0),
    ]
    found = worst_first(make_card("after", after), make_card("before", before))
    assert [one.clip for one in found] == ["clip2", "clip3", "clip1", "clip0"]
    assert found[0].broke
    assert found[0].reason == "no face"
    assert found[1].size == math.inf  # a figure that the system's own doing took away
    assert not found[1].broke


def test_what_failed_before_as_well_is_no_regression() -> None:
    rows = [*(make_row(place, *figure) for place, figure in enumerate(BASE)), make_row(4, 0, 0.0, 0.0, broke="no face")]
    assert worst_first(make_card("a", rows), make_card("b", rows)) == ()


def test_only_the_metrics_asked_for_rank() -> None:
    changed = [(6, 0.8, 0.0), *BASE[1:]]
    assert worst_first(card(*changed), card(*BASE), {"secs"}) == ()
    assert len(worst_first(card(*changed), card(*BASE), {"wer"})) == 1


def test_units_do_not_decide_the_order() -> None:
    """One frame of offset is little, one error less or more is much, whatever their numbers are."""
    before = [(place % 2, 0.8, 10.0 * (place % 3 - 1)) for place in range(6)]
    after = [*before]
    after[0], after[1] = (0, 0.8, -12.0), (3, 0.8, 0.0)
    found = worst_first(card(*after), card(*before))
    assert [one.clip for one in found] == ["clip1", "clip0"]


def test_without_a_champion_the_worst_clips_lead() -> None:
    found = worst_first(card((0, 0.8, 0.0), (6, 0.8, 0.0), (1, 0.8, 0.0)), None, {"wer"})
    assert [one.clip for one in found] == ["clip1"]
