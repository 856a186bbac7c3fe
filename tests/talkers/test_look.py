"""People from seeds, and the poses and lights they are drawn in."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from dubflow.errors import WrongUse
from dubflow.talkers.look import Look
from dubflow.talkers.pose import Light, Pose

SEEDS = st.integers(0, 2**63 - 1)


@settings(deadline=None, max_examples=80)
@given(SEEDS, st.sampled_from([None, "feminine", "masculine"]))
def test_every_seed_is_a_valid_person_and_always_the_same(seed, presentation):
    look = Look.from_seed(seed, presentation)
    assert look == Look.from_seed(seed, presentation)
    assert Look.model_validate_json(look.model_dump_json()) == look
    assert presentation in (None, look.presentation)
    assert look.presentation == "masculine" or look.beard == "none"


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**9))
def test_eight_neighbouring_seeds_are_eight_persons(start):
    looks = [Look.from_seed(seed) for seed in range(start, start + 8)]
    assert len({look.presentation for look in looks}) == 2
    assert len({look.hair_style for look in looks}) >= 4
    tones = sorted(look.skin[0] for look in looks)
    assert tones[-1] - tones[0] > 0.3
    for one in looks:
        assert sum(other == one for other in looks) == 1
        # Nobody shares both tone and hair with another.
        assert all(
            abs(one.skin[0] - other.skin[0]) > 0.01 or one.hair_style != other.hair_style
            for other in looks
            if other is not one
        )


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, True, "7"])
def test_a_seed_that_is_none_is_refused(seed):
    with pytest.raises(WrongUse) as refused:
        Look.from_seed(seed)
    assert refused.value.code == "talkers.bad_seed"


def test_an_unknown_presentation_is_refused():
    with pytest.raises(WrongUse) as refused:
        Look.from_seed(1, "other")  # type: ignore[arg-type]
    assert refused.value.code == "talkers.bad_presentation"


def test_unknown_and_impossible_traits_are_refused():
    traits = Look.from_seed(3).model_dump()
    with pytest.raises(ValidationError):
        Look(**traits, tail=1)
    with pytest.raises(ValidationError):
        Look(**{**traits, "face_width": 2.0})


def test_a_pose_without_values_is_rest():
    assert all(getattr(Pose(), name) == (1.0 if name in ("teeth", "scale") else 0.0) for name in Pose.limits())


@pytest.mark.parametrize("name", list(Pose.limits()))
def test_poses_beyond_their_limits_are_refused_or_cut_off(name):
    low, high = Pose.limits()[name]
    for beyond, limit in ((low - 0.01, low), (high + 0.01, high)):
        with pytest.raises(WrongUse) as refused:
            Pose(**{name: beyond})
        assert refused.value.code == "talkers.pose_out_of_range"
        assert getattr(Pose.within_limits(**{name: beyond}), name) == limit
    with pytest.raises(WrongUse):
        Pose.within_limits(**{name: math.nan})


def test_low_light_is_dimmer_and_impossible_lights_are_refused():
    assert Light.low().ambient < 0.6 * Light().ambient
    for wrong in ({"x": 0.0, "y": 0.0, "z": 0.0}, {"key": -1.0}, {"fill": -0.1}):
        with pytest.raises(WrongUse) as refused:
            Light(**wrong)
        assert refused.value.code == "talkers.bad_light"
