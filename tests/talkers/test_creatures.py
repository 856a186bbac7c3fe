"""Heads that are not human: laws of their pictures, and a mouth that follows what is said."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.corpora.manifest import CorpusHeader, read_manifest
from dubflow.media.decode import read_clip
from dubflow.progress import Silent
from dubflow.talkers.look import CREATURES, Figure, Look
from dubflow.talkers.painter import HeadPainter
from dubflow.talkers.performance import intended_pose
from dubflow.talkers.pose import Light, Pose
from dubflow.talkers.render import render_plans
from dubflow.talkers.scenes import ClipPlan, plan_corpus
from dubflow.talkers.settings import TalkerSettings

SIZE = 128
GREY = np.full((SIZE, SIZE, 3), 120, dtype=np.uint8)
GREEN = np.zeros((SIZE, SIZE, 3), dtype=np.uint8) + np.array([0, 255, 0], dtype=np.uint8)
POSES = st.builds(
    Pose, **{name: st.floats(*Pose.limits()[name]) for name in Pose.limits() if name not in ("dx", "dy", "scale")}
)  # fmt: skip
BUSY = Pose(opening=0.2, width=0.1, rounding=0.3, blink=0.4, brow_raise=0.7, gaze_x=0.5, roll=0.1, yaw=0.3, pitch=0.1)


def apart(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first.astype(int) - second.astype(int)).mean())


@pytest.fixture(scope="module")
def heads() -> dict[Figure, HeadPainter]:
    return {figure: HeadPainter(Look.from_seed(9), SIZE, figure=figure) for figure in ("human", *CREATURES)}


def test_every_figure_is_another_picture(heads: dict[Figure, HeadPainter]) -> None:
    pictures = [head.paint(Pose(), GREY) for head in heads.values()]
    assert min(apart(one, other) for place, one in enumerate(pictures) for other in pictures[:place]) > 8.0


@pytest.mark.parametrize("figure", CREATURES)
def test_looks_differ_and_the_same_look_is_the_same_whatever_was_painted_before(figure: Figure) -> None:
    pictures = [HeadPainter(Look.from_seed(seed), 96, figure=figure).paint(Pose(), GREY[:96, :96]) for seed in range(4)]
    assert min(apart(one, other) for place, one in enumerate(pictures) for other in pictures[:place]) > 2.0
    used, fresh = (HeadPainter(Look.from_seed(3), 96, figure=figure) for _ in range(2))
    for pose in (Pose(opening=0.5, jaw=0.1), Pose(blink=1.0, brow_frown=1.0), Pose(yaw=-0.7, rounding=1.0)):
        used.paint(pose, GREY[:96, :96])
    assert used.paint(BUSY, GREY[:96, :96]).tobytes() == fresh.paint(BUSY, GREY[:96, :96]).tobytes()


@settings(deadline=None, max_examples=24)
@given(st.sampled_from(CREATURES), st.integers(0, 10**6), POSES, st.floats(0.5, 1.8))
def test_every_creature_can_be_painted_in_every_pose(figure: Figure, seed: int, pose: Pose, scale: float) -> None:
    head = HeadPainter(Look.from_seed(seed), SIZE, figure=figure)
    picture = head.paint(dataclasses.replace(pose, scale=scale), GREEN)
    assert 0.02 < (picture != GREEN).any(axis=-1).mean() < 1.0


@pytest.mark.parametrize("figure", CREATURES)
def test_a_wider_opening_changes_more_of_the_mouth(heads: dict[Figure, HeadPainter], figure: Figure) -> None:
    mouth = slice(70, 120), slice(44, 84)
    shut = heads[figure].paint(Pose(), GREY)[mouth].astype(int)
    changed = [
        int((np.abs(heads[figure].paint(Pose(opening=opening), GREY)[mouth] - shut).max(axis=-1) > 40).sum())
        for opening in (0.0, 0.05, 0.1, 0.2, 0.3, 0.45)
    ]
    assert changed[0] == 0
    assert all(after > before for before, after in pairwise(changed))
    assert changed[-1] > 250


@pytest.mark.parametrize("figure", CREATURES)
@pytest.mark.parametrize("feature", ["rounding", "brow_raise", "gaze_x", "blink", "jaw", "width"])
def test_each_part_moves_only_its_region(heads: dict[Figure, HeadPainter], figure: Figure, feature: str) -> None:
    if feature == "brow_raise" and figure in ("cat", "fox"):
        feature = "gaze_y"  # fur has no brows; its skin moves too little to be told from its neighbourhood
    moved = np.abs(
        heads[figure].paint(Pose(**{feature: Pose.limits()[feature][1]}), GREY).astype(int)
        - heads[figure].paint(Pose(), GREY)
    ).sum(axis=-1)  # fmt: skip
    assert moved.max() > 30
    rows = np.flatnonzero(moved.max(axis=1) > 12)
    upper = feature in ("brow_raise", "gaze_x", "gaze_y", "blink")
    assert (rows.max() < 72) if upper else (rows.min() > 60)


@pytest.mark.parametrize("figure", CREATURES)
def test_low_light_is_dim_but_lamps_still_shine(figure: Figure) -> None:
    look, face = Look.from_seed(4), (slice(40, 100), slice(40, 88))
    lit, dim = (
        HeadPainter(look, SIZE, light, figure=figure).paint(Pose(), GREY)[face] for light in (None, Light.low())
    )
    assert dim.mean() < (0.85 if figure == "robot" else 0.7) * lit.mean()


def _spoken(figure: Figure) -> ClipPlan:
    plan = plan_corpus(
        identities=1, clips=1, languages=["en"], seed=5, settings=TalkerSettings(size=SIZE, mix={"non_human": 1.0})
    )[0]
    return plan.model_copy(update={"id": f"s1/{figure}", "figure": figure, "events": ()})


def test_a_rendered_creature_speaks_as_it_was_meant_to(tmp_path: Path) -> None:
    plans = [_spoken(figure) for figure in CREATURES]
    header = CorpusHeader(name="creatures", layout="talkers", world="embedded", clips=4)
    assert render_plans(tmp_path, plans, header, workers=1, progress=Silent()).rendered == 4
    again = render_plans(tmp_path, plans, header, workers=1, progress=Silent())
    assert (again.rendered, again.kinds) == (0, {"non_human": 4})
    manifest = read_manifest(tmp_path)
    assert manifest.header == header
    for row in manifest:
        figure = row.id.removeprefix("s1/")
        assert row.tags[0] == "non_human"
        assert figure in row.tags
        frames = read_clip(manifest.media_path(row), fps=None, audio=False).frames
        opening = intended_pose(row)[0].opening
        assert len(frames) == len(opening)
        # The darkest part of the mouth grows and shrinks with the opening that was asked for, frame by frame. The head
        # moves, so the mouth is looked for in a wide window.
        mouth = frames[:, 68:116, 40:88].astype(int)
        shut = mouth[opening < 0.01]
        seen = np.abs(mouth - np.median(shut, axis=0)).max(axis=-1)
        shown = (seen > 60).sum(axis=(1, 2))
        assert np.corrcoef(opening, shown)[0, 1] > 0.75, (figure, np.corrcoef(opening, shown)[0, 1])
