"""Spoilt clips are spoilt in exactly the way that their folder says, and in no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dubflow.errors import BadInput, DubflowError, WrongUse
from dubflow.judging.calibration import spoilt
from dubflow.judging.calibration.conditions import CONDITIONS, LONGER_S, SHIFTS, make_conditions
from dubflow.judging.calibration.donors import donors
from dubflow.judging.card.items import Benchmark
from dubflow.media.decode import read_audio, read_clip
from dubflow.progress import Silent
from judging.calibration.conftest import FRAMES, RATE, SENTENCES

PER_FRAME = RATE // 25


@pytest.fixture(scope="module")
def made(benchmark: Benchmark, root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_conditions(benchmark, root, tmp_path_factory.mktemp("systems"), workers=1)


def sound(folder: Path, name: str = "a/1") -> NDArray[np.float32]:
    return read_audio(folder / f"{name}.mp4", RATE)


def frames(folder: Path, name: str = "a/1") -> NDArray[np.uint8]:
    read = read_clip(folder / f"{name}.mp4", fps=25, audio=False).frames
    assert read is not None
    return read


def same(one: Path, other: Path, name: str) -> None:
    """The same sound, and the same picture but for what two runs of the encoder, seldom, make of it."""
    assert np.array_equal(sound(one, name), sound(other, name))
    seen, shown = frames(one, name).astype(int), frames(other, name).astype(int)
    assert seen.shape == shown.shape
    assert np.abs(seen - shown).mean() < 0.5


def test_every_condition_is_a_folder_of_the_benchmarks_clips(made: dict[str, Path], root: Path) -> None:
    assert list(made) == [one.name for one in CONDITIONS]
    for name, folder in made.items():
        clips = {path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.mp4")}
        assert clips == ({"a/2", "b/1"} if name == "missing" else set(SENTENCES)), name
    for clip in SENTENCES:
        assert (made["truth"] / f"{clip}.mp4").read_bytes() == (root / f"{clip}.mp4").read_bytes()


def test_only_the_sound_is_spoilt_where_the_sound_is_spoilt(made: dict[str, Path]) -> None:
    true = frames(made["truth"])
    for one in CONDITIONS:
        if one.kind == "sound":
            assert np.array_equal(frames(made[one.name]), true), one.name


def test_only_the_picture_is_spoilt_where_the_picture_is_spoilt(made: dict[str, Path]) -> None:
    true = sound(made["again"])
    for one in CONDITIONS:
        if one.kind == "picture":
            heard = sound(made[one.name])
            assert heard.size == true.size, one.name
            assert np.corrcoef(heard, true)[0, 1] > 0.99, one.name
            assert len(frames(made[one.name])) == FRAMES


@pytest.mark.parametrize("number", SHIFTS)
def test_sound_moves_by_whole_frames_in_the_direction_that_is_said(made: dict[str, Path], number: int) -> None:
    true = sound(made["again"])
    for name, moved in ((f"early_{number}", -number), (f"late_{number}", number)):
        heard = sound(made[name])
        lags = np.arange(-12, 13)
        matches = [float(np.dot(np.roll(true, lag * PER_FRAME), heard)) for lag in lags]
        assert lags[int(np.argmax(matches))] == moved
        assert heard.size == true.size


def test_noise_is_as_loud_as_it_says(made: dict[str, Path]) -> None:
    true = sound(made["again"])
    for name, snr in (("noise_20", 20), ("noise_10", 10), ("noise_0", 0), ("noise_minus_5", -5)):
        heard = sound(made[name])
        scale = float(np.dot(heard, true) / np.dot(true, true))
        noise = heard - scale * true
        found = 10 * np.log10(scale**2 * np.mean(true**2) / np.mean(noise**2))
        assert found == pytest.approx(snr, abs=1.0), name


def test_silence_lengths_and_borrowed_sound(made: dict[str, Path]) -> None:
    true = sound(made["again"])
    assert not sound(made["silence"]).any()
    assert sound(made["longer"]).size - true.size == round(LONGER_S * RATE)
    assert sound(made["shorter"]).size - true.size == -round(LONGER_S * RATE)
    for name, lender in (("wrong_text", "a/2"), ("other_voice", "b/1")):
        assert np.corrcoef(sound(made[name]), sound(made["again"], lender))[0, 1] > 0.98, name
        assert abs(np.corrcoef(sound(made[name]), true)[0, 1]) < 0.5, name


def test_pictures_are_dark_still_out_of_focus_and_of_others(made: dict[str, Path]) -> None:
    true = frames(made["truth"]).astype(float)
    assert frames(made["dark"]).mean() == pytest.approx(spoilt.DARK * true.mean(), abs=4)
    still = frames(made["frozen"]).astype(float)
    assert np.abs(still - still[0]).max() < 12
    steps = [np.diff(one, axis=2) for one in (true, frames(made["blurred"]).astype(float))]
    assert np.mean(steps[0] ** 2) > 2 * np.mean(steps[1] ** 2)  # edges as high as before, and wider
    other = frames(made["truth"], "b/1").astype(float)
    assert np.abs(frames(made["other_face"]) - other).mean() < 3 < np.abs(true - other).mean()


@pytest.mark.slow
def test_a_second_run_makes_nothing_and_another_place_gets_the_same_clips(
    benchmark: Benchmark, root: Path, made: dict[str, Path], tmp_path: Path
) -> None:
    class Counting(Silent):
        done: int = 0
        found: int = 0

        def advance(self, items: int = 1, *, cached: bool = False) -> None:
            self.done += items
            self.found += items if cached else 0

    progress = Counting()
    chosen = ["late_2", "noise_0", "dark"]
    assert make_conditions(benchmark, root, made["dark"].parent, chosen=chosen, workers=1, progress=progress)
    assert (progress.done, progress.found) == (12, 12)
    elsewhere = make_conditions(benchmark, root, tmp_path, chosen=chosen, workers=2)
    for name in chosen:
        for clip in SENTENCES:
            same(elsewhere[name], made[name], clip)
    (elsewhere["dark"] / "a/1.mp4").unlink()
    again = Counting()
    make_conditions(benchmark, root, tmp_path, chosen=chosen, workers=1, progress=again)
    assert (again.done, again.found) == (12, 11)
    same(elsewhere["dark"], made["dark"], "a/1")


def test_lenders_are_the_nearest_that_may_lend(benchmark: Benchmark, root: Path) -> None:
    def lent(condition: str) -> dict[str, str]:
        return {item: donor.item for item, donor in donors(benchmark, benchmark, root, condition).items()}

    assert lent("wrong_text") == {"a/1": "a/2", "a/2": "a/1", "b/1": "b/2", "b/2": "b/1"}
    # The same sentence where somebody says it, else whoever follows.
    assert lent("other_voice") == {"a/1": "b/1", "a/2": "b/1", "b/1": "a/1", "b/2": "a/1"}
    assert lent("silence") == {}
    one = benchmark.model_copy(update={"items": benchmark.items[:1]})
    assert {donor.item for donor in donors(one, benchmark, root, "other_voice").values()} == {"b/1"}


def _without_reference(benchmark: Benchmark) -> Benchmark:
    items = [item.model_copy(update={"reference": None}) for item in benchmark.items]
    return benchmark.model_copy(update={"items": tuple(items)})


@pytest.mark.parametrize(
    ("change", "chosen", "kind", "code"),
    [
        (_without_reference, None, BadInput, "judging.no_reference"),
        (lambda one: one.model_copy(update={"items": one.items[:2]}), None, BadInput, "judging.no_donor"),
        (lambda one: one, ["upside_down"], WrongUse, "judging.unknown_condition"),
    ],
)
def test_what_cannot_be_spoilt_is_refused_and_writes_nothing(
    benchmark: Benchmark, root: Path, tmp_path: Path, change: Any, chosen: Any, kind: type[DubflowError], code: str
) -> None:
    with pytest.raises(kind) as refused:
        make_conditions(change(benchmark), root, tmp_path / "out", chosen=chosen, workers=1)
    assert refused.value.code == code
    assert not list(tmp_path.rglob("*.mp4"))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 200), st.integers(-250, 250), st.integers(0, 2**32 - 1))
def test_a_shift_loses_only_what_leaves_and_there_and_back_is_silence_at_the_edge(
    samples: int, by: int, seed: int
) -> None:
    wave = np.random.default_rng(seed).standard_normal(samples).astype(np.float32)
    late = spoilt.shifted(wave, by)
    kept = max(0, samples - abs(by))
    assert late.size == samples
    assert np.count_nonzero(late) == kept
    back = spoilt.shifted(late, -by)
    same = slice(0, kept) if by >= 0 else slice(samples - kept, samples)
    assert np.array_equal(back[same], wave[same])
    assert np.count_nonzero(back) == kept


def test_a_picture_that_is_too_short_runs_back_and_forth() -> None:
    clip = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1)
    assert spoilt.repeated(clip, 8).ravel().tolist() == [0, 1, 2, 1, 0, 1, 2, 1]
    assert spoilt.repeated(clip, 2).ravel().tolist() == [0, 1]
    assert spoilt.repeated(clip[:1], 3).ravel().tolist() == [0, 0, 0]
