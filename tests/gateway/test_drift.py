"""An alarm when what comes in has changed, and none when it has not."""

from __future__ import annotations

import json
import math
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.diflow.stored import find_model
from dubflow.errors import BadInput
from dubflow.gateway.drift import (
    ALPHA,
    FLOOR,
    LANGUAGE,
    LEAST,
    LIVE,
    NUMBERS,
    REFERENCE,
    WINDOW,
    Distribution,
    DriftReference,
    Measured,
    Window,
    add_measured,
    read_reference,
    read_window,
    threshold,
    variation,
)
from dubflow.gateway.drift_measuring import Sample, face_of, measure, noise_of, reference_of, sound_of, speaker_distance
from dubflow.gateway.stock_voices import STOCK, stock_voice
from dubflow.media.decode import read_audio
from dubflow.registry.package.diflow import DRIFT
from dubflow.serving.state import Served, ServingState, now, write_state
from gateway.api import Api

LANGUAGES = {"en": 0.5, "fr": 0.3, "de": 0.2}
REFERENCES = 400


def reference(rng: np.random.Generator) -> DriftReference:
    return DriftReference(
        corpus="test",
        world="embedded",
        numbers={name: Distribution.of(list(rng.gamma(3.0, 0.4, REFERENCES))) for name in NUMBERS},
        languages=LANGUAGES,
        clips=REFERENCES,
        phone_s=0.09,
        voices=((0.0,) * 40,),
        spread=(1.0,) * 40,
    )


def live(rng: np.random.Generator, clips: int, **shifts: float) -> tuple[Measured, ...]:
    made = []
    for _ in range(clips):
        numbers = {name: float(rng.gamma(3.0, 0.4)) + shifts.get(name, 0.0) for name in NUMBERS}
        language = str(rng.choice(list(LANGUAGES), p=list(LANGUAGES.values())))
        made.append(Measured(model="m", at=0.0, language=language, **numbers))
    return tuple(made)


@given(st.integers(0, 2**32 - 1), st.integers(LEAST, WINDOW))
@settings(deadline=None, max_examples=25)
def test_no_alarm_while_clips_are_like_the_reference(seed: int, clips: int) -> None:
    rng = np.random.default_rng(seed)
    report = Window(reference(rng), live(rng, clips)).report()
    assert {one.feature for one in report} == {*NUMBERS, LANGUAGE}
    assert not [one for one in report if one.alarm]


@given(st.integers(0, 2**32 - 1), st.sampled_from(NUMBERS), st.sampled_from([-2.0, 2.0]))
@settings(deadline=None, max_examples=20)
def test_an_alarm_for_what_has_shifted_and_for_that_alone(seed: int, name: str, shift: float) -> None:
    rng = np.random.default_rng(seed)
    report = Window(reference(rng), live(rng, WINDOW, **{name: shift})).report()
    assert [one.feature for one in report if one.alarm] == [name]


def test_an_alarm_for_another_mix_of_languages() -> None:
    rng = np.random.default_rng(1)
    clips = tuple(one.model_copy(update={"language": "el"}) for one in live(rng, 100))
    (found,) = [one for one in Window(reference(rng), clips).report() if one.alarm]
    assert (found.feature, found.distance) == (LANGUAGE, 1.0)


def test_few_clips_raise_no_alarm_whatever_they_are() -> None:
    rng = np.random.default_rng(2)
    few = live(rng, LEAST - 1, **dict.fromkeys(NUMBERS, 100.0))
    report = Window(reference(rng), few).report()
    assert all(one.distance == 1.0 for one in report if one.feature in NUMBERS)
    assert not [one for one in report if one.alarm]


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300), st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50)
)
@settings(deadline=None)
def test_the_distance_is_between_0_and_1_and_0_to_itself(known: list[float], other: list[float]) -> None:
    made = Distribution.of(known)
    assert made.distance(known) == pytest.approx(0, abs=1e-6)
    assert 0 <= made.distance(other) <= 1
    assert made.distance([max(known) + 1.0] * 3) == pytest.approx(1.0)
    # Of the reference shuffled and doubled, as of itself.
    assert made.distance([*known[::-1], *known]) == pytest.approx(0, abs=1e-6)


def test_where_many_are_equal_less_is_far_as_more_is() -> None:
    made = Distribution.of([80.0] * 50)
    assert (made.distance([36.0]), made.distance([80.0]), made.distance([81.0])) == (1.0, 0.0, 1.0)
    half = Distribution.of([1.0] * 50 + [80.0] * 50)
    assert half.distance([1.0] * 10) == half.distance([80.0] * 10) == 0.5


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 50), min_size=1))
def test_variation_is_a_distance(counts: dict[str, int]) -> None:
    total = sum(counts.values())
    shares = {one: count / total for one, count in counts.items()}
    assert variation(counts, shares) == pytest.approx(0)
    assert variation(counts, {"z": 1.0}) == pytest.approx(1)


@given(st.sampled_from([*NUMBERS, LANGUAGE]), st.integers(1, 10_000), st.integers(1, 10_000))
def test_more_clips_never_loosen_a_threshold(feature: str, clips: int, more: int) -> None:
    assert threshold(feature, clips + more, 400, 7) <= threshold(feature, clips, 400, 7)
    assert FLOOR[feature] <= threshold(feature, clips, 400, 7) <= 1


def test_the_threshold_is_the_published_bound() -> None:
    # Massart: P(D > e) <= 2 exp(-2 n e^2).
    e = threshold("speaker", 100, 10**12)
    assert 2 * math.exp(-2 * 100 * (e - math.sqrt(math.log(2 / ALPHA) / 2e12)) ** 2) <= ALPHA * 1.001


def test_the_window_slides_and_survives_broken_lines(tmp_path: Path) -> None:
    clips = live(np.random.default_rng(3), WINDOW + 30)
    for one in clips:
        add_measured(tmp_path, one)
    add_measured(tmp_path, clips[0].model_copy(update={"model": "another"}))
    with (tmp_path / LIVE).open("ab") as file:
        file.write(b'{"half a li')
    assert read_window(tmp_path, "m", tmp_path).clips == clips[-WINDOW:]
    assert read_window(tmp_path, "m", tmp_path).report() == []
    assert read_window(tmp_path / "empty", "m", tmp_path).clips == ()


def _adds(folder: str, number: int) -> None:
    for at in range(50):
        add_measured(Path(folder), Measured(model=f"m{number}", at=float(at), language="en", speaker=1.0))


@pytest.mark.slow
def test_workers_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_adds, args=(str(tmp_path), number)) for number in range(3)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    assert [len(read_window(tmp_path, f"m{number}", tmp_path).clips) for number in range(3)] == [50, 50, 50]


def test_references_that_are_none_are_refused(tmp_path: Path) -> None:
    good = reference(np.random.default_rng(4)).model_dump(mode="json")
    (tmp_path / REFERENCE).write_text(json.dumps(good))
    assert read_reference(tmp_path) == DriftReference.model_validate(good)
    falling = {"speaker": {"at": [2, 1], "share": [0.5, 1], "below": [0, 0.5], "clips": 2}}
    for wrong in ({"format": "dubflow.drift/2"}, {"spread": [0.0] * 40}, {"voices": [[1.0]]}, {"more": 1},
                  {"numbers": falling}):  # fmt: skip
        (tmp_path / REFERENCE).write_text(json.dumps(good | wrong))
        with pytest.raises(BadInput, match="bad_drift_reference"):
            read_reference(tmp_path)


def noisy(seed: int, level: float) -> Any:
    rng = np.random.default_rng(seed)
    speech = np.sin(np.arange(32_000) / (8 + seed)) * (np.arange(32_000) // 4000 % 2)
    return (0.5 * speech + level * rng.standard_normal(32_000)).astype(np.float32)


def test_noise_is_told_in_decibels() -> None:
    levels = [noise_of(noisy(1, level)) for level in (0.001, 0.01, 0.1)]
    assert levels == sorted(levels, reverse=True)
    assert levels[1] == pytest.approx(10 * math.log10(0.125 / 1e-4), abs=1.5)
    assert noise_of(np.zeros(100, np.float32)) is None
    assert noise_of(np.zeros(32_000, np.float32)) == 0.0


@pytest.mark.slow
def test_a_voice_is_near_itself_louder_or_softer_and_far_from_others(tmp_path: Path) -> None:
    voices = {name: read_audio(stock_voice(name, tmp_path), 16_000) for name in STOCK}
    halves = {name: (sound[: len(sound) // 2], sound[len(sound) // 2 :]) for name, sound in voices.items()}
    samples = [Sample(name, "en", half, 40, None) for name in STOCK if name != "rowan" for half in halves[name]]
    made = reference_of(samples, "test", "embedded")
    known = [speaker_distance(made, sound_of(halves["alder"][1] * gain)) for gain in (1.0, 0.3)]
    assert known[0] == pytest.approx(known[1], abs=0.05)
    assert speaker_distance(made, sound_of(voices["rowan"])) > 2 * known[0]


def test_the_starters_reference_knows_its_world(tmp_path: Path) -> None:
    assert REFERENCE == DRIFT  # packages bring it along
    made = read_reference(find_model("starter"))
    assert made is not None
    assert (made.world, set(made.numbers)) == ("embedded", set(NUMBERS))
    assert set(made.languages) == {"en", "es", "ru", "fr", "de", "it", "el"}
    assert sum(made.languages.values()) == pytest.approx(1)
    assert made.numbers["length_ratio"].at[0] < 1 < made.numbers["length_ratio"].at[-1]
    # The stock voices are among those that it heard, as near as half of its own clips; noise is not.
    known = made.numbers["speaker"]
    median, far = float(np.interp(0.5, known.share, known.at)), known.at[-1]
    for name in STOCK:
        assert speaker_distance(made, sound_of(read_audio(stock_voice(name, tmp_path), 16_000))) < median
    noise = np.random.default_rng(0).standard_normal(48_000).astype(np.float32)
    assert speaker_distance(made, sound_of(0.1 * noise)) > far


@pytest.mark.slow
def test_a_clip_in_numbers(clip: Path, shared_data: Path) -> None:
    made = reference(np.random.default_rng(5))
    found = measure(made, model="m", language="fr", clip=clip, voice=None, segments=[(10, 1.0), (20, 2.0)])
    assert (found.length_ratio, found.speaker, found.noise_db, found.face_size) == (
        pytest.approx(30 * 0.09 / 3), None, None, None,
    )  # fmt: skip
    real = sorted(shared_data.rglob("*.mpg"))[0]
    size = face_of(real)
    assert size is not None
    assert 0.2 < size < 0.9
    with_voice = measure(
        made, model="m", language="en", clip=real, voice=read_audio(real, 16_000), segments=[(10, 1.0)]
    )
    assert with_voice.speaker is not None
    assert with_voice.noise_db is not None
    assert with_voice.noise_db > 10


@pytest.mark.slow
def test_workers_measure_and_the_gateway_tells(api: Api, clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / REFERENCE).write_text(reference(np.random.default_rng(6)).model_dump_json())
    served = Served(version=4, engine="hummer", world="embedded", languages=("en",), folder=folder, since=now())
    write_state(api.settings.state, ServingState(mode="in_process", why="a test", model="m", current=served))
    api.submit(api.upload(clip))
    api.work()
    text = api.client.get("/metrics").text
    assert 'dubflow_drift_clips{feature="language"} 1.0' in text
    assert 'dubflow_drift_alarm{feature="length_ratio"} 0.0' in text
    assert 'dubflow_drift_ratio{feature="speaker"}' not in text  # a stock voice spoke
    kept = json.loads((api.settings.state / LIVE).read_text())
    assert {name for name, value in kept.items() if isinstance(value, str)} == {"model", "language"}
