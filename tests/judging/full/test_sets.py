"""Distances of sets: sums in parts, intervals by the jackknife, and what a card holds of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput
from dubflow.judging.card.evaluate import System, evaluate
from dubflow.judging.card.functions import Answer, Measured, SetFunction
from dubflow.judging.card.items import Benchmark, BenchmarkItem, Subject, item_file
from dubflow.judging.card.rows import JudgePin, Metric, ScoreCard
from dubflow.judging.catalogue import listing
from dubflow.judging.frechet import fit_gaussian, frechet_distance
from dubflow.judging.full.distances import FEWEST_CLIPS, distance_of_clips, jackknife_interval
from dubflow.judging.full.i3d.judge import FvdJudge
from dubflow.judging.full.inception.judge import FidJudge
from dubflow.judging.full.inception.network import FidInception
from dubflow.judging.full.picture_judges import picture_judges
from dubflow.judging.full.settings import FullJudges
from dubflow.judging.moments import moments
from dubflow.media.decode import read_clip
from dubflow.media.encode import write_clip
from judging.full.published import known_state, shapes_of


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 9), min_size=2, max_size=6), st.integers(1, 6))
@settings(deadline=None, max_examples=60)
def test_parts_make_the_whole(seed: int, sizes: list[int], width: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [rng.normal(rng.normal(), 1, size=(size, width)) + 100 for size in sizes]
    total = moments(parts[0])
    for part in parts[1:]:
        total = total + moments(part)
    whole = fit_gaussian(np.concatenate(parts))
    assert total.count == whole.count
    assert total.gaussian().mean == pytest.approx(whole.mean)
    assert total.gaussian().covariance == pytest.approx(whole.covariance, abs=1e-9)
    rest, expected = total - moments(parts[-1]), moments(np.concatenate(parts[:-1]))
    assert rest.count == expected.count
    assert rest.mean == pytest.approx(expected.mean)
    assert rest.scatter == pytest.approx(expected.scatter, abs=1e-7)


def test_parts_that_do_not_belong_together() -> None:
    one, wide = moments(np.ones((2, 3))), moments(np.ones((2, 4)))
    for wrong in (lambda: one + wide, lambda: one - wide, lambda: one - one, lambda: moments(np.zeros((0, 3)))):
        with pytest.raises(BadInput):
            wrong()
    with pytest.raises(BadInput) as caught:
        moments(np.array([[1.0, np.nan]]))
    assert caught.value.code == "judging.not_finite"


def pairs_of(made: Sequence[np.ndarray], true: Sequence[np.ndarray]) -> tuple[list[Subject], dict[Path, np.ndarray]]:
    """Subjects, and the features of their clips."""
    subjects = [
        Subject(BenchmarkItem(id=f"c{n}"), Path(f"made{n}"), {"reference": Path(f"true{n}")}) for n in range(len(made))
    ]
    table = {Path(f"made{n}"): one for n, one in enumerate(made)}
    return subjects, table | {Path(f"true{n}"): one for n, one in enumerate(true)}


def test_distance_of_all_clips() -> None:
    """That of all features at once, whatever the clips' lengths; nothing is apart from itself; a shift counts
    squared."""
    rng = np.random.default_rng(0)
    true = [rng.normal(size=(int(rng.integers(1, 9)), 6)).astype(np.float32) for _ in range(30)]
    made = [1.3 * rng.normal(size=(int(rng.integers(1, 9)), 6)).astype(np.float32) for _ in range(30)]
    subjects, table = pairs_of(made, true)
    found = distance_of_clips(subjects, table.__getitem__)
    assert found.value == pytest.approx(frechet_distance(np.concatenate(made), np.concatenate(true)), rel=1e-6)
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low < found.value < found.high
    assert distance_of_clips(subjects, table.__getitem__) == found
    same = distance_of_clips(*_reading(pairs_of(true, true)))
    assert (same.value, same.low, same.high) == pytest.approx((0, 0, 0), abs=1e-6)
    shifts = [distance_of_clips(*_reading(pairs_of([one + by for one in true], true))) for by in (0.5, 1, 2)]
    assert [one.value for one in shifts] == pytest.approx([6 * 0.25, 6, 24], rel=1e-5)


def _reading(pairs: tuple[list[Subject], dict[Path, np.ndarray]]) -> tuple:
    return pairs[0], pairs[1].__getitem__


@pytest.mark.parametrize("width", [3, 150])
def test_intervals_are_of_the_distances_without_a_group(width: int) -> None:
    """20 clips are 20 groups: what is left out is a clip, with more samples than numbers and with fewer alike."""
    rng = np.random.default_rng(5)
    sides = [[rng.normal(size=(6, width)) * (1 + side) for _ in range(20)] for side in (0, 1)]
    found = distance_of_clips(*_reading(pairs_of(*sides)))
    left_out = [
        frechet_distance(*(np.concatenate([one for n, one in enumerate(side) if n != gone]) for side in sides))
        for gone in range(20)
    ]
    assert (found.low, found.high) == pytest.approx(jackknife_interval(found.value, left_out), rel=1e-4)


def test_what_is_too_much_to_keep_has_no_interval() -> None:
    rng = np.random.default_rng(1)
    sides = [[rng.normal(size=(4, 5)) for _ in range(12)] for _ in range(2)]
    subjects, table = pairs_of(*sides)
    kept = distance_of_clips(subjects, table.__getitem__, kept_bytes=12 * 2 * 4 * 5 * 8)
    dropped = distance_of_clips(subjects, table.__getitem__, kept_bytes=12 * 2 * 4 * 5 * 8 - 1)
    assert kept.low is not None
    assert dropped == Measured(kept.value)


def test_too_few_clips_and_clips_without_a_true_one() -> None:
    subjects, table = pairs_of(*[[np.ones((3, 2))] * FEWEST_CLIPS] * 2)
    with pytest.raises(BadInput) as caught:
        distance_of_clips(subjects[1:], table.__getitem__)
    assert caught.value.code == "judging.too_few"
    alone = [*subjects[1:], Subject(BenchmarkItem(id="alone"), Path("made0"), {"voice": Path("true0")})]
    with pytest.raises(BadInput, match="alone") as caught:
        distance_of_clips(alone, table.__getitem__)
    assert caught.value.code == "judging.no_true_clip"
    for judge in (FidJudge(None), FvdJudge(None)):
        judge._features = type("Unasked", (), {"of_clip": staticmethod(table.__getitem__)})()  # type: ignore[assignment]
        with pytest.raises(BadInput):
            judge.score_set(subjects[1:])


def test_of_means_the_jackknife_is_the_t_interval() -> None:
    """Leaving out one of n gives the classical interval of a mean (Quenouille)."""
    stats = pytest.importorskip("scipy.stats")
    sample = np.random.default_rng(2).normal(3, 2, size=15)
    low, high = jackknife_interval(sample.mean(), [float(np.delete(sample, n).mean()) for n in range(15)])
    expected = stats.t.interval(0.95, 14, loc=sample.mean(), scale=stats.sem(sample))
    assert (low, high) == pytest.approx(expected)
    with pytest.raises(BadInput):
        jackknife_interval(1.0, [1.0])


def test_intervals_are_as_wide_as_figures_differ() -> None:
    """Over many benchmarks of 40 clips: the mean width is that of their figures' spread, within a third."""

    def figure(seed: int) -> Measured:
        rng = np.random.default_rng(seed)
        scale = 1 / np.sqrt(1 + np.arange(16))
        person, other = rng.normal(size=(2, 40, 1, 16))
        true = list((0.7 * person + 0.7 * rng.normal(size=(40, 4, 16))) * scale)
        made = list((0.6 * person + 0.5 * other + 0.8 * rng.normal(size=(40, 4, 16))) * scale + 0.3)
        return distance_of_clips(*_reading(pairs_of(made, true)))

    figures = [figure(seed) for seed in range(60)]
    spread = np.std([one.value for one in figures])
    halves = [(one.high - one.low) / 2 / 2.093 for one in figures if one.high is not None and one.low is not None]
    assert len(halves) == 60
    assert 0.67 < np.mean(halves) / spread < 1.5


@dataclass
class Colours:
    """A judge of sets without weights: how mean colours are spread."""

    judge: str = "inception"
    times: int = 0

    @property
    def pin(self) -> JudgePin:
        return JudgePin(version="colours")

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (listing("fid").metric(self.judge),)

    def missing(self) -> str | None:
        return None

    def prepare(self) -> None:
        return None

    def score_set(self, subjects: Sequence[Subject]) -> Mapping[str, Answer]:
        self.times += 1
        return {"fid": distance_of_clips(subjects, self._colours)}

    def _colours(self, path: Path) -> np.ndarray:
        frames = read_clip(path, audio=False).frames
        assert frames is not None
        return frames.reshape(len(frames), -1, 3).mean(axis=1)


def world(folder: Path, clips: int, *, frames: int, side: int) -> Benchmark:
    rng = np.random.default_rng(4)
    items = []
    for number in range(clips):
        for kind in ("clips", "references"):
            base = rng.integers(40, 200, size=3)
            drawn = [
                np.clip(rng.normal(base, 20, size=(side, side, 3)), 0, 255).astype(np.uint8) for _ in range(frames)
            ]
            (folder / kind).mkdir(exist_ok=True)
            write_clip(folder / kind / f"c{number}.mp4", drawn, 25, None)
        items.append(BenchmarkItem(id=f"c{number}", reference=item_file(folder / f"references/c{number}.mp4", folder)))
    return Benchmark(name="colours", world="embedded", items=tuple(items))


def judged(folder: Path, benchmark: Benchmark, judge: SetFunction) -> ScoreCard:
    return evaluate(
        benchmark,
        folder,
        folder / "clips",
        [],
        System("ours"),
        cache=folder / "cache",
        sample_rate=16_000,
        set_functions=[judge],
        workers=1,
    )


def test_a_card_holds_the_interval(tmp_path: Path) -> None:
    benchmark, judge = world(tmp_path, 10, frames=2, side=16), Colours()
    first, again = judged(tmp_path, benchmark, judge), judged(tmp_path, benchmark, judge)
    (figure,) = [one for one in first.aggregates if one.metric == "fid"]
    assert figure.low is not None
    assert figure.high is not None
    assert 0 <= figure.low < figure.value < figure.high
    assert (figure.clips, figure.level, figure.resampled) == (10, 0.95, "clip")
    assert (again.digest, judge.times) == (first.digest, 1)  # kept with its interval


@dataclass
class Half(Colours):
    """Answers with one end of an interval."""

    def score_set(self, subjects: Sequence[Subject]) -> Mapping[str, Answer]:
        return {"fid": Measured(1.0, low=0.5)}


def test_half_an_interval_is_none(tmp_path: Path) -> None:
    benchmark = world(tmp_path, 1, frames=1, side=16)
    card = judged(tmp_path, benchmark, Half())
    assert card.gaps == {"fid": "fid was answered with half an interval"}


def test_few_clips_are_a_named_gap(tmp_path: Path) -> None:
    card = judged(tmp_path, world(tmp_path, 2, frames=1, side=16), Colours())
    assert "judging.too_few" in card.gaps["fid"]


def test_all_judges_of_pictures() -> None:
    """Every metric of pictures that the catalogue gives to a full judge, once, and each is missing without weights."""
    clips, sets, crops = picture_judges(FullJudges())
    names = [metric.name for judge in (*clips, *sets) for metric in judge.metrics]
    expected = {f"{one}_{crop}" for one in ("lse_c", "lse_d", "av_offset") for crop in ("pipeline", "lrs")}
    assert len(names) == len(set(names))
    assert set(names) == expected | {"csim", "fid", "fvd"}
    assert len({judge.judge for judge in (*clips, *sets)}) == 5
    assert all(judge.missing() for judge in (*clips, *sets))
    assert {"lse_pipeline", "lse_lrs"} <= set(crops)


@pytest.mark.slow
def test_fid_of_clips_by_a_network_of_the_published_layout(tmp_path: Path) -> None:
    """By numbers without meaning, so only what must hold for any: a set is nearer to itself than to another."""
    with torch.device("meta"):
        shapes = shapes_of(FidInception())
    torch.save(known_state(shapes), tmp_path / "weights.pth")
    benchmark = world(tmp_path, 10, frames=2, side=32)
    judge = FidJudge(tmp_path / "weights.pth")
    card = judged(tmp_path, benchmark, judge)
    (figure,) = [one for one in card.aggregates if one.metric == "fid"]
    assert figure.low is not None
    assert figure.value > 0
    assert card.protocol.parts.judges["inception"].sha256 == judge.pin.sha256
    itself = [Subject(one, tmp_path / f"references/{one.id}.mp4", {"reference": tmp_path / f"references/{one.id}.mp4"})
              for one in benchmark.items]  # fmt: skip
    answer = judge.score_set(itself)["fid"]
    assert isinstance(answer, Measured)
    assert answer.value < 1e-3 * figure.value
