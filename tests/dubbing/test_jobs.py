"""Files out: the picture untouched, the sound exactly as long, nothing done twice, one bad clip alone."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from corpora.samples import tone
from dubbing.room import FRAMES, SAMPLES, Hummer, Room
from dubflow.dubbing.diflow_engine import DiflowEngine
from dubflow.dubbing.engine import Job, SpokenSegment
from dubflow.dubbing.jobs import DubTask, dub_all, find_finished
from dubflow.dubbing.request import DubOptions, DubRequest
from dubflow.dubbing.watching import Watch
from dubflow.errors import OurFault, WrongUse
from dubflow.media.decode import read_audio, read_clip
from dubflow.media.encode import write_audio, write_clip
from dubflow.media.probe import probe
from dubflow.progress import Silent

QUICK = DubOptions(steps=2)


@pytest.fixture
def hummer() -> Hummer:
    return Hummer()


def task(clip: Path, out: Path, reference: str | Path = "self", **changes: Any) -> DubTask:
    content = {
        "clip": clip,
        "segments": [{"text": "place green by two"}],
        "language": "en",
        "reference": str(reference),
        "options": QUICK,
        **changes,
    }
    return DubTask(DubRequest.model_validate(content), out)


def packets(path: Path) -> list[tuple[int | None, int | None, bytes]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [(p.pts, p.dts, bytes(p)) for p in container.demux(stream) if p.size]


def test_the_picture_stays_and_the_sound_is_as_long(room: Room, engine: DiflowEngine, tmp_path: Path) -> None:
    out = tmp_path / "o" / "a.mp4"
    report = dub_all([task(room.clip(), out, room.clip(1))], engine, Silent())
    (result,) = report.results
    assert packets(out) == packets(room.clip())
    assert read_audio(out).shape == (SAMPLES,)
    assert (result.samples, result.duration_error_s, result.frames) == (SAMPLES, 0.0, FRAMES)
    assert (result.oracle, result.reference, result.world) == (False, room.clip(1).name, "embedded")
    facts = probe(out).audio
    assert facts is not None
    assert facts.language == "eng"
    (segment,) = result.segments
    assert (segment.start, segment.end, segment.face_found) == (0.0, 1.2, 1.0)
    assert np.abs(read_audio(out)).max() > 0.001


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(24), Fraction(50)])
def test_other_rates_keep_their_picture_and_their_length(
    room: Room, hummer: Hummer, tmp_path: Path, rate: Fraction
) -> None:
    shown = read_clip(room.clip(), fps=rate, audio=False).frames
    assert shown is not None
    clip = tmp_path / "clip.mp4"
    write_clip(clip, shown[:23], rate, tone(0.9, 200), 16_000)
    (result,) = dub_all([task(clip, tmp_path / "o.mp4", room.clip())], hummer, Silent()).results
    assert packets(tmp_path / "o.mp4") == packets(clip)
    assert result.duration_s == pytest.approx(float(23 / rate), abs=1e-9)
    assert len(read_audio(tmp_path / "o.mp4")) == result.samples == round(23 / rate * 16_000)
    assert abs(result.duration_error_s) <= 0.5 / 16_000 + 1e-9


def test_equal_requests_give_equal_bytes_and_other_seeds_do_not(room: Room, hummer: Hummer, tmp_path: Path) -> None:
    other = QUICK.model_copy(update={"seed": 1})
    tasks = [task(room.clip(), tmp_path / f"{name}.mp4") for name in "ab"]
    tasks.append(task(room.clip(), tmp_path / "c.mp4", options=other))
    for one in tasks:
        (result,) = dub_all([one], hummer, Silent()).results
        assert result.oracle
        assert any("oracle" in notice for notice in result.notices)
    first, again, another = ((tmp_path / f"{name}.mp4").read_bytes() for name in "abc")
    assert first == again
    assert first != another


def test_what_is_finished_is_not_done_again(room: Room, hummer: Hummer, tmp_path: Path) -> None:
    tasks = [task(room.clip(number), tmp_path / f"{number}.mp4") for number in range(2)]
    first = dub_all(tasks[:1], hummer, Silent())
    whole = dub_all(tasks, hummer, Silent())
    assert (first.found, whole.found) == (0, 1)
    assert whole.results[0] == first.results[0]
    looked = hummer.looked
    assert dub_all(tasks, hummer, Silent()).results == whole.results
    assert hummer.looked == looked == 2

    changed = task(room.clip(), tmp_path / "0.mp4", segments=[{"text": "red"}])
    assert find_finished(changed, "0" * 64) is None
    assert dub_all([changed], hummer, Silent()).found == 0
    (tmp_path / "1.mp4").write_bytes(b"cut short")
    assert dub_all(tasks[1:], hummer, Silent()).found == 0
    assert read_audio(tmp_path / "1.mp4").shape == (SAMPLES,)


def test_an_output_without_figures_never_appears(room: Room, hummer: Hummer, tmp_path: Path) -> None:
    one = task(room.clip(), tmp_path / "a.mp4")
    one.sidecar.mkdir()  # where its figures cannot be written
    with pytest.raises(OSError, match=r"a\.dub\.json"):
        dub_all([one], hummer, Silent())
    assert [path.name for path in tmp_path.iterdir()] == ["a.dub.json"]
    one.sidecar.rmdir()
    assert len(dub_all([one], hummer, Silent()).results) == 1


@pytest.mark.slow
def test_a_real_face_is_dubbed(shared_data: Path, engine: DiflowEngine, tmp_path: Path) -> None:
    clip = sorted((shared_data / "grid_s1_aligned").glob("*.mpg"))[0]
    (result,) = dub_all([task(clip, tmp_path / "o.mp4")], engine, Silent()).results
    assert result.segments[0].face_found > 0.9
    assert (result.samples, result.duration_error_s) == (48_000, 0.0)
    assert packets(tmp_path / "o.mp4")[0][2] == packets(clip)[0][2]


def test_one_bad_clip_leaves_the_others_alone(room: Room, hummer: Hummer, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no clip")
    write_audio(tmp_path / "sound.wav", tone(1.0, 200), 16_000)
    names = [tmp_path / "broken.mp4", room.clip(), tmp_path / "sound.wav", room.clip(1)]
    progress = Silent()
    report = dub_all([task(clip, tmp_path / "o" / f"{clip.stem}.mp4") for clip in names], hummer, progress)
    assert [result.clip for result in report.results] == [room.clip().name, room.clip(1).name]
    assert [failure.clip for failure in report.failures] == ["broken.mp4", "sound.wav"]
    assert report.failures[1].code == "dubbing.no_picture"
    assert [error.code for error in report.errors] == [failure.code for failure in report.failures]
    assert progress.estimate.done == 4
    assert not (tmp_path / "o" / "sound.mp4").exists()


def test_clips_that_fail_together_are_tried_alone(room: Room, tmp_path: Path) -> None:
    class Choosy(Hummer):
        def speak(self, seen: Sequence[Job], watch: Watch) -> list[list[SpokenSegment]]:
            if any(segment.phones < 5 for job in seen for segment in job.segments):
                raise OurFault("diflow.not_finite", "Too little.")
            return super().speak(seen, watch)

    tasks = [
        task(room.clip(), tmp_path / "a.mp4"),
        task(room.clip(1), tmp_path / "b.mp4", segments=[{"text": "red"}]),
    ]
    report = dub_all(tasks, Choosy(), Silent())
    assert [result.out for result in report.results] == [tmp_path / "a.mp4"]
    assert [failure.code for failure in report.failures] == ["diflow.not_finite"]


def test_between_segments_is_silence_or_the_original(room: Room, hummer: Hummer, tmp_path: Path) -> None:
    clip = tmp_path / "hum.mp4"
    frames = read_clip(room.clip(), audio=False).frames
    assert frames is not None
    hum = 0.2 * np.sin(2 * np.pi * 300 * np.arange(round(1.2 * 44_100)) / 44_100)
    write_clip(clip, frames, Fraction(25), hum, 44_100)
    segments = [{"text": "red", "start": 0.6, "end": 1.0}]
    for background in ("silence", "original"):
        options = QUICK.model_copy(update={"background": background, "margin_s": 0.0})
        out = tmp_path / f"{background}.mp4"
        (result,) = dub_all(
            [task(clip, out, room.clip(), segments=segments, options=options)], hummer, Silent()
        ).results
        around = read_audio(out, result.sample_rate)
        level = np.sqrt(np.mean(around[: result.sample_rate // 2] ** 2))
        assert level < 1e-3 if background == "silence" else level == pytest.approx(0.2 / np.sqrt(2), rel=0.05)
        assert len(around) == result.samples
    assert result.sample_rate == 44_100


def test_a_silent_clip_has_no_original_to_keep(room: Room, hummer: Hummer, tmp_path: Path) -> None:
    frames = read_clip(room.clip(), audio=False).frames
    assert frames is not None
    write_clip(tmp_path / "mute.mp4", frames, Fraction(25))
    options = QUICK.model_copy(update={"background": "original"})
    (result,) = dub_all(
        [task(tmp_path / "mute.mp4", tmp_path / "o.mp4", room.clip(), options=options)], hummer, Silent()
    ).results
    assert any("no sound" in notice for notice in result.notices)
    assert read_audio(tmp_path / "o.mp4").shape == (SAMPLES,)


def test_nothing_of_others_is_overwritten(room: Room, hummer: Hummer, tmp_path: Path) -> None:
    (tmp_path / "mine.mp4").write_bytes(b"mine")
    for tasks, code in (
        ([task(room.clip(), tmp_path / "mine.mp4")], "dubbing.out_exists"),
        ([task(room.clip(), room.clip())], "dubbing.out_is_the_clip"),
        ([task(room.clip(n), tmp_path / "o.mp4") for n in range(2)], "dubbing.same_out"),
    ):
        with pytest.raises(WrongUse) as caught:
            dub_all(tasks, hummer, Silent())
        assert caught.value.code == code
    assert (tmp_path / "mine.mp4").read_bytes() == b"mine"


def test_a_language_it_never_learnt_is_told(room: Room, hummer: Hummer, tmp_path: Path) -> None:
    hummer.languages = ("de", "ru")
    (result,) = dub_all([task(room.clip(), tmp_path / "o.mp4")], hummer, Silent()).results
    assert any("not trained" in notice for notice in result.notices)
