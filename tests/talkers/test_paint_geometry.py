"""Laws of the surfaces that heads are painted on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.talkers.look import Look
from dubflow.talkers.paint.anatomy import Anatomy
from dubflow.talkers.paint.geometry import Canvas, Lattice, roll_up, seen_point, smoothstep, unroll
from dubflow.talkers.paint.mouth import MouthShape, jaw_heights
from dubflow.talkers.pose import Pose

LATTICE = Lattice(0.035, -1.05, -1.45, 61, 90)
SEEDS = st.integers(0, 10**6)


@settings(deadline=None, max_examples=60)
@given(st.floats(-2.4, 2.4))
def test_rolling_up_undoes_unrolling(angle):
    assert roll_up(unroll(angle)) == pytest.approx(angle, abs=1e-9)


def test_the_canvas_shows_the_front_as_it_is_seen():
    angles = np.linspace(-1.0, 1.0, 21)
    assert np.allclose(unroll(angles), np.sin(angles))
    assert np.all(np.diff(unroll(np.linspace(-2.4, 2.4, 99))) > 0)


@settings(deadline=None, max_examples=15)
@given(SEEDS)
def test_a_face_seen_from_the_front_shows_each_point_where_it_is(seed):
    face = Anatomy.of(Look.from_seed(seed))
    uv = face.loft().project(LATTICE, 0.0, 0.0).uv
    rows = np.flatnonzero((LATTICE.y > -0.6) & (LATTICE.y < 0.75))
    columns = np.flatnonzero(np.abs(LATTICE.x) < 0.38)
    block = uv[np.ix_(rows, columns)]
    assert np.allclose(block[..., 0], LATTICE.x[columns][None, :], atol=0.012)
    assert np.allclose(block[..., 1], LATTICE.y[rows][:, None], atol=0.012)


@settings(deadline=None, max_examples=15)
@given(SEEDS, st.floats(0.05, 0.8))
def test_turning_left_is_turning_right_in_a_mirror(seed, yaw):
    loft = Anatomy.of(Look.from_seed(seed)).loft()
    lattice = Lattice(0.07, -1.05, -1.4, 31, 40)
    right, left = loft.project(lattice, yaw, 0.1), loft.project(lattice, -yaw, 0.1)
    # At the fold behind the nose a point may belong to either side of it.
    apart = np.abs(right.uv[:, ::-1] * (-1, 1) - left.uv).max(axis=-1)
    assert (apart > 0.02).mean() < 0.02
    assert np.allclose(right.outline[:, 0].max(), -left.outline[:, 0].min(), atol=1e-9)


@settings(deadline=None, max_examples=15)
@given(SEEDS, st.floats(-0.8, 0.8))
def test_what_is_seen_runs_from_left_to_right_without_going_back(seed, yaw):
    uv = Anatomy.of(Look.from_seed(seed)).loft().project(LATTICE, yaw, 0.0).uv
    assert np.diff(uv[..., 0], axis=1).min() > -1e-5
    assert np.diff(uv[..., 1], axis=0).min() > -1e-5


def test_a_raised_nose_is_a_raised_point():
    assert seen_point((0, 0.2, 1.0), 0.0, 0.2)[1] < seen_point((0, 0.2, 1.0), 0.0, 0.0)[1]
    assert seen_point((0, 0.2, 1.0), 0.3, 0.0)[0] > 0.2


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.floats(0, 0.6), st.floats(0, 0.2))
def test_the_jaw_moves_rows_down_in_order_and_leaves_the_skull(seed, opening, jaw):
    face = Anatomy.of(Look.from_seed(seed))
    shape = MouthShape.of(face, Pose(opening=opening, jaw=jaw))
    rows = face.rows()
    seen = jaw_heights(rows, shape)
    assert np.all(np.diff(seen) > 0)
    assert np.allclose(seen[rows < 0.1], rows[rows < 0.1], atol=0.01)
    assert seen[-1] - rows[-1] == pytest.approx(shape.drop, abs=0.02)


@settings(deadline=None, max_examples=60)
@given(st.floats(0, 0.6), st.floats(0, 0.59))
def test_more_opening_is_more_gap_and_none_is_none(first, second):
    face = Anatomy.of(Look.from_seed(1))
    gaps = [MouthShape.of(face, Pose(opening=value)).gap for value in sorted((first, second))]
    assert gaps[0] <= gaps[1]
    assert MouthShape.of(face, Pose()).gap == 0.0


def test_windows_and_grids_agree():
    canvas = Canvas.spanning(100.0, -1.0, -1.0, 1.0, 1.5)
    assert (canvas.width, canvas.height) == (201, 251)
    window = canvas.window(-0.5, 0.0, 0.5, 9.0)
    u, v = canvas.grids(window)
    assert u[0, 0] == pytest.approx(-0.5)
    assert v[0, 0] == pytest.approx(0.0)
    assert v[-1, 0] == pytest.approx(1.5)


@settings(deadline=None, max_examples=60)
@given(st.floats(-2, 3))
def test_smoothstep_stays_between_zero_and_one(value):
    assert 0.0 <= float(smoothstep(value, 0.0, 1.0)) <= 1.0
