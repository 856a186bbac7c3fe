"""Evaluations: the same clips give the same card, nothing is asked twice, failures are rows, a killed run goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dubflow.errors import BadInput
from dubflow.judging.card.evaluate import System, evaluate, find_clips
from dubflow.judging.card.functions import MetricFunction
from dubflow.judging.card.items import Benchmark, BenchmarkItem, item_file, read_benchmark, write_benchmark
from dubflow.judging.card.rows import ScoreCard, Tags
from dubflow.media.encode import write_audio
from dubflow.progress import Silent
from judging.card.judges import RATE, Absent, Loudness, Moody, Spread

SAMPLES = RATE // 4
LEVELS = {"a/1": 0.05, "a/2": 0.2, "b/1": 0.4, "b/2": 0.8}


def tone(path: Path, level: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_audio(path, (level * np.sin(np.arange(SAMPLES) / 9)).astype(np.float32), RATE)
    return path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A benchmark in ``benchmark.json``, its references, and a system's ``clips``."""
    for name, level in LEVELS.items():
        tone(tmp_path / "clips" / f"{name}.wav", level)
        tone(tmp_path / "references" / f"{name}.wav", level / 2)
    items = [
        BenchmarkItem(
            id=name,
            reference=item_file(tmp_path / "references" / f"{name}.wav", tmp_path),
            transcript="la",
            language="en",
            tags=Tags(speaker=name[0]),
            facts={"samples": SAMPLES, "silent": name == "b/2"},
        )
        for name in LEVELS
    ]
    write_benchmark(Benchmark(name="tones", world="embedded", items=tuple(items)), tmp_path / "benchmark.json")
    return tmp_path


def judged(place: Path, functions: Sequence[MetricFunction] | None = None, **options: Any) -> ScoreCard:
    settings: dict[str, Any] = {"cache": place / "cache", "sample_rate": RATE, "workers": 1}
    return evaluate(
        read_benchmark(place / "benchmark.json"),
        place,
        place / "clips",
        functions or [Loudness(place / "log")],
        System("ours", lineage={"run": "r"}),
        **settings | options,
    )


def asked(place: Path) -> list[str]:
    return [line for line in (place / "log").read_text().split() if line != "prepare"]


def row(card: ScoreCard, clip: str) -> Any:
    (found,) = [one for one in card.rows if one.clip == clip]
    return found


def test_figures_are_those_of_the_clips(place: Path) -> None:
    card = judged(place)
    assert row(card, "a/2").values["rms"] == pytest.approx(0.2 / 2**0.5, rel=0.02)
    assert row(card, "a/1").values["loud"] == 0.0
    assert row(card, "b/1").weights["loud"][1] == SAMPLES
    assert (row(card, "b/2").values["rms"], row(card, "b/2").blamed("rms")) == (None, "item")
    assert (card.success_rate, card.world, card.lineage) == (1.0, "embedded", {"run": "r"})
    assert card.protocol.parts.benchmark == read_benchmark(place / "benchmark.json").digest


def test_nothing_is_asked_twice_and_the_card_stays_the_same(place: Path) -> None:
    first, progress = judged(place), Silent()
    again = judged(place, progress=progress)
    assert again.digest == first.digest
    assert sorted(asked(place)) == sorted(LEVELS)
    assert (progress.estimate.done, progress.estimate.cached, progress.estimate.total) == (4, 4, 4)


def test_many_workers_give_the_same_card(place: Path) -> None:
    many = judged(place, workers=2)
    assert (place / "log").read_text().split().count("prepare") <= 2
    assert many.digest == judged(place, cache=place / "elsewhere").digest


def test_what_changed_is_asked_again_and_nothing_else(place: Path) -> None:
    before = judged(place)
    (place / "log").write_text("")
    tone(place / "clips" / "a/1.wav", 0.3)
    after = judged(place)
    assert asked(place) == ["a/1"]
    assert row(after, "a/1").values != row(before, "a/1").values
    assert row(after, "a/2") == row(before, "a/2")
    (place / "log").write_text("")
    for other in ({"functions": [Loudness(place / "log", version="2")]}, {"sample_rate": 8000}, {"crops": {"a": "b"}}):
        (place / "log").write_text("")
        assert judged(place, **other).protocol.id != before.protocol.id
        assert sorted(asked(place)) == sorted(LEVELS)


def test_a_cache_that_was_spoilt_is_asked_again(place: Path) -> None:
    before = judged(place)
    kept = sorted((place / "cache").rglob("*.json"))
    kept[0].write_text("{")
    kept[1].write_text('{"rms": {"value": "loud"}}')
    (place / "log").write_text("")
    assert judged(place).digest == before.digest
    assert len(asked(place)) == 2


def test_failures_are_rows(place: Path) -> None:
    (place / "clips/a/1.wav").unlink()
    (place / "clips/a/2.wav").write_bytes(b"not a sound")
    (place / "clips/b/2.wav").unlink()
    card = judged(place)
    assert [row(card, clip).status for clip in LEVELS] == ["missing", "failed", "ok", "missing"]
    assert "media." in row(card, "a/2").reason
    assert row(card, "a/2").weights == {"loud": (0.0, float(SAMPLES))}
    assert (row(card, "a/2").blamed("rms"), row(card, "b/2").blamed("rms")) == ("clip", "item")
    assert card.success_rate == 0.25
    (mean,) = [
        one for one in card.aggregates if (one.metric, one.population, one.by) == ("rms", "intention_to_treat", "all")
    ]
    assert (mean.clips, mean.at_worst) == (3, 2)
    assert mean.value == pytest.approx(row(card, "b/1").values["rms"] / 3)


def test_a_known_failure_counts_with_its_reason_whatever_file_lies_there(place: Path) -> None:
    card = judged(place, failures={"a/2": "no voice for this language"})
    assert (row(card, "a/2").status, row(card, "a/2").reason) == ("failed", "no voice for this language")
    assert sorted(asked(place)) == ["a/1", "b/1", "b/2"]
    assert card.success_rate == 0.75


@pytest.mark.parametrize("suffix", [".mp4", ".mpg", ".webm", ".WAV", ".opus"])
def test_clips_are_found_whatever_kind_of_media_they_are(place: Path, suffix: str) -> None:
    (place / "clips/a/1.wav").rename(place / f"clips/a/1{suffix}")
    (place / "clips/a/1.txt").write_text("no clip")
    found = find_clips(read_benchmark(place / "benchmark.json"), place / "clips")
    assert found["a/1"] == place / f"clips/a/1{suffix}"
    assert set(found) == set(LEVELS)


def test_a_judge_that_fails_is_blamed_and_asked_again(place: Path) -> None:
    moods = {"a/1": "nan", "a/2": "crash", "b/1": "refuse", "b/2": "forget"}
    notes: list[str] = []

    class Listening(Silent):
        def note(self, text: str) -> None:
            notes.append(text)

    card = judged(place, [Moody(moods)], progress=Listening())
    assert [row(card, clip).blamed("mood") for clip in LEVELS] == ["judge", "judge", "clip", "judge"]
    assert "ZeroDivisionError: no mood" in row(card, "a/2").reasons["mood"]
    assert "judging.no_mood" in row(card, "b/1").reasons["mood"]
    assert len(notes) == 3
    well = judged(place, [Moody({})])
    # What the judge said of the clip itself stands; its own failures were not kept.
    assert [row(well, clip).values["mood"] for clip in LEVELS] == [1.0, 1.0, None, 1.0]


def test_a_missing_judge_is_a_gap_and_another_protocol(place: Path) -> None:
    both = judged(place, [Loudness(place / "log"), Absent({})])
    assert both.gaps == {"absent": "its weights were not given"}
    assert both.metric("mood") is None
    assert both.protocol.id != judged(place, [Loudness(place / "log"), Moody({})]).protocol.id
    with pytest.raises(BadInput) as refused:
        judged(place, [Absent({})])
    assert refused.value.code == "judging.no_judge"


def test_a_whole_set_is_judged_once_and_as_a_whole(place: Path) -> None:
    (place / "clips/b/2.wav").unlink()
    sets = [Spread(place / "log")]
    card = judged(place, set_functions=sets)
    (figure,) = [one for one in card.aggregates if one.metric == "spread"]
    assert figure.value == pytest.approx(0.4 - 0.05, abs=0.01)
    assert (figure.clips, figure.low, figure.resampled) == (3, None, "none")
    assert judged(place, set_functions=sets).digest == card.digest
    assert asked(place).count("set") == 1
    tone(place / "clips/a/1.wav", 0.1)
    judged(place, set_functions=sets)
    assert asked(place).count("set") == 2


def test_a_set_without_a_figure_is_a_gap(place: Path) -> None:
    failing = [Spread(place / "log", fails=True)]
    for _ in range(2):  # and is asked again
        card = judged(place, set_functions=failing)
        assert card.gaps == {"spread": "ZeroDivisionError: no spread"}
    assert asked(place).count("set") == 2
    assert not [one for one in card.aggregates if one.metric == "spread"]


def test_what_cannot_be_told_apart_is_refused(place: Path) -> None:
    tone(place / "clips/a/1.flac.wav", 0.1)  # another name altogether
    judged(place)
    (place / "clips/a/1.mp4").write_bytes(b"")
    with pytest.raises(BadInput) as refused:
        judged(place)
    assert refused.value.code == "judging.two_clips"
    (place / "clips/a/1.mp4").unlink()
    tone(place / "references/a/1.wav", 0.9)
    tone(place / "clips/a/1.wav", 0.9)
    with pytest.raises(BadInput) as refused:
        judged(place)
    assert refused.value.code == "judging.file_changed"


_RUN = """
import sys
from pathlib import Path
sys.path[:0] = {path!r}
from judging.card.judges import Loudness
from judging.card.test_evaluate import judged
place = Path({place!r})
judged(place, [Loudness(place / "log", delay_s=0.5)])
"""


def test_a_killed_evaluation_goes_on_where_it_was(place: Path) -> None:
    program = _RUN.format(path=sys.path, place=str(place))
    child = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    try:
        while len(kept := list((place / "cache").rglob("[!.]*.json"))) < 2:
            assert time.monotonic() < deadline, "the evaluation did not get going"
            assert child.poll() is None, "the evaluation ended before it could be killed"
            time.sleep(0.02)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    done = len(kept)
    assert done < len(LEVELS)
    (place / "log").write_text("")
    card = judged(place)
    assert len(asked(place)) <= len(LEVELS) - done
    assert card.digest == judged(place, cache=place / "fresh").digest


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (None, "judging.no_benchmark"),
        ("{", "judging.bad_benchmark"),
        ('{"format": "dubflow.benchmark/2"}', "judging.unknown_format"),
        ('{"format": "dubflow.benchmark/1", "name": "x", "world": "real", "items": []}', "judging.bad_benchmark"),
    ],
)
def test_files_that_are_no_benchmark_are_refused(tmp_path: Path, text: str | None, code: str) -> None:
    path = tmp_path / "benchmark.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(BadInput) as refused:
        read_benchmark(path)
    assert refused.value.code == code


def test_a_benchmark_is_what_it_asks_wherever_it_lies(place: Path) -> None:
    benchmark = read_benchmark(place / "benchmark.json")
    first = benchmark.items[0]
    assert first.reference is not None
    moved = first.model_copy(update={"reference": first.reference.model_copy(update={"path": "elsewhere.wav"})})
    assert moved.digest == first.digest
    for change in ({"transcript": "lo"}, {"tags": Tags(speaker="z")}, {"voice": first.reference}, {"reference": None}):
        assert first.model_copy(update=change).digest != first.digest
    assert Benchmark(name="other", world="embedded", items=benchmark.items[::-1]).digest == benchmark.digest
    assert Benchmark(name="tones", world="real", items=benchmark.items).digest != benchmark.digest
