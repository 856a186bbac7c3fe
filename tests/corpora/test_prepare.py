"""Preparing: nothing is done twice, nothing is lost, and lengths always agree."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from corpora.conftest import MakeCorpus
from corpora.samples import pictures, row_of, sound, tone, video
from dubflow.corpora.importing import import_corpus
from dubflow.corpora.manifest import CorpusManifest, read_manifest
from dubflow.corpora.prepare import PrepareReport, prepare_corpus
from dubflow.corpora.prepared import PreparedSet
from dubflow.corpora.settings import PrepareSettings
from dubflow.corpora.transform import fit_waveform, to_pcm16
from dubflow.errors import BadInput
from dubflow.media.encode import write_clip
from dubflow.progress import Silent
from dubflow.speech.codecs import Tokens
from dubflow.speech.durations import frames_to_tokens
from dubflow.speech.intervals import Interval
from dubflow.speech.inventory import decode

GIVEN = PrepareSettings(align="given", shard_mib=1)


def _prepare(manifest: CorpusManifest, out: Path, options: PrepareSettings = GIVEN) -> PrepareReport:
    return prepare_corpus(manifest.root, out, options, workers=1, report=Silent())


def _state(out: Path) -> dict[str, tuple[int, int]]:
    return {
        path.relative_to(out).as_posix(): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


def test_a_second_run_does_nothing(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    manifest, out = make_corpus(4), tmp_path / "out"
    first = _prepare(manifest, out)
    assert (first.clips, first.done, first.found, dict(first.failed)) == (4, 4, 0, {})
    before = _state(out)
    second = _prepare(manifest, out)
    assert (second.done, second.found) == (0, 4)
    assert _state(out) == before
    assert PreparedSet(out).verify() == ()


@pytest.mark.parametrize("what", ["file", "transcript", "phones"])
def test_one_changed_clip_redoes_one_clip(make_corpus: MakeCorpus, tmp_path: Path, what: str) -> None:
    manifest, out = make_corpus(4), tmp_path / "out"
    _prepare(manifest, out)
    kept = {name: PreparedSet(out).info(name).key for name in ("c1", "c2", "c3")}
    rows = list(manifest.rows)
    if what == "file":
        sound(manifest.media_path(rows[0]), 50)
        rows[0] = row_of(manifest.root, rows[0].path, "c0", speaker="s0", language="nl")
    elif what == "transcript":
        rows[0] = rows[0].model_copy(update={"transcript": "changed"})
    else:
        rows[0] = rows[0].model_copy(update={"phones": (Interval(start=0, end=0.6, label="a"),)})
    report = _prepare(make_corpus(rows=rows), out)
    assert (report.done, report.found) == (1, 3)
    after = PreparedSet(out)
    assert {name: after.info(name).key for name in kept} == kept
    assert after.verify() == ()


def test_other_settings_make_other_arrays(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    manifest, out = make_corpus(2), tmp_path / "out"
    _prepare(manifest, out)
    report = _prepare(manifest, out, GIVEN.model_copy(update={"store_waveform": False}))
    assert (report.done, report.found) == (2, 0)
    assert "waveform" not in PreparedSet(out)["c0"]
    same = _prepare(manifest, out, GIVEN.model_copy(update={"store_waveform": False, "shard_mib": 2.0}))
    assert same.done == 0  # how large shards are changes nothing in them


@pytest.mark.parametrize("content", ["", "[]", '{"format": "dubflow.prepared/0"}'])
def test_an_index_that_does_not_read_is_written_again(make_corpus: MakeCorpus, tmp_path: Path, content: str) -> None:
    manifest, out = make_corpus(3), tmp_path / "out"
    _prepare(manifest, out)
    (out / "index.json").write_text(content)
    report = _prepare(manifest, out)
    assert (report.done, report.found) == (0, 3)
    assert PreparedSet(out).verify() == ()


def test_what_fails_is_recorded_and_the_others_go_on(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    manifest, out = make_corpus(4), tmp_path / "out"
    manifest.media_path(manifest.rows[0]).write_bytes(b"something else")
    manifest.media_path(manifest.rows[1]).unlink()
    report = _prepare(manifest, out)
    assert {name: one.code for name, one in report.failed.items()} == {
        "c0": "corpora.file_changed",
        "c1": "media.missing",
    }
    assert (report.clips, report.done) == (4, 2)
    prepared = PreparedSet(out)
    assert list(prepared) == ["c2", "c3"]
    with pytest.raises(BadInput, match=r"file_changed.*corpora\.unknown_clip"):
        prepared["c0"]
    sound(manifest.media_path(manifest.rows[0]), 0)
    sound(manifest.media_path(manifest.rows[1]), 1)
    again = _prepare(manifest, out)
    assert (again.done, again.found, dict(again.failed)) == (2, 2, {})


def test_a_file_that_changed_after_it_was_prepared_is_not_served_from_the_store(
    make_corpus: MakeCorpus, tmp_path: Path
) -> None:
    manifest, out = make_corpus(2), tmp_path / "out"
    _prepare(manifest, out)
    sound(manifest.media_path(manifest.rows[0]), 77)
    report = _prepare(manifest, out)
    assert [one.code for one in report.failed.values()] == ["corpora.file_changed"]
    assert list(PreparedSet(out)) == ["c1"]


def test_material_that_cannot_be_prepared_is_not_tried_again(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    out = tmp_path / "out"
    manifest = make_corpus(2)
    options = GIVEN.model_copy(update={"max_seconds": 0.3})
    first = _prepare(manifest, out, options)
    assert {one.code for one in first.failed.values()} == {"media.too_long"}
    before = _state(out)
    second = _prepare(manifest, out, options)
    assert second.failed == first.failed
    assert _state(out) == before


def test_equal_clips_share_one_entry(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    root = tmp_path / "same"
    sound(root / "a.wav", 1)
    (root / "b.wav").write_bytes((root / "a.wav").read_bytes())
    rows = [row_of(root, f"{name}.wav", name, language="nl") for name in "ab"]
    report = _prepare(make_corpus(name="same", rows=rows), tmp_path / "out")
    assert (report.done, report.found) == (1, 1)
    prepared = PreparedSet(tmp_path / "out")
    assert prepared.info("a").key == prepared.info("b").key
    assert np.array_equal(prepared["a"]["pitch"], prepared["b"]["pitch"])


def test_workers_give_what_one_process_gives(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    manifest = make_corpus(3)
    _prepare(manifest, tmp_path / "one")
    prepare_corpus(manifest.root, tmp_path / "two", GIVEN, workers=2, report=Silent())
    one, two = PreparedSet(tmp_path / "one"), PreparedSet(tmp_path / "two")
    assert one.index == two.index
    assert one.verify() == two.verify() == ()


class _Counting:
    """A codec whose tokens tell the length that it was given."""

    id = "counting-1"

    def encode(self, waveform: NDArray[np.float32]) -> Tokens:
        count = -(-len(waveform) // 200)
        book = np.arange(count) % 1024
        return Tokens(book[None], np.stack([book] * 2), np.stack([book] * 3), np.ones(4, np.float32))

    def decode(self, tokens: Tokens) -> NDArray[np.float32]:
        return np.zeros(200 * len(tokens), np.float32)


def test_a_codec_s_tokens_are_kept_under_its_id(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    manifest, out = make_corpus(2), tmp_path / "out"
    assert PreparedSet(_prepared(manifest, out)).index.codec == "none"
    report = prepare_corpus(manifest.root, out, GIVEN, codec=_Counting(), workers=1, report=Silent())
    assert report.done == 2
    prepared = PreparedSet(out)
    assert prepared.index.codec == "counting-1"
    arrays, info = prepared["c0"], prepared.info("c0")
    assert arrays["acoustic"].shape == (3, info.tokens)
    assert arrays["prosody"].dtype == np.int16
    assert prepared.verify() == ()


def _prepared(manifest: CorpusManifest, out: Path) -> Path:
    _prepare(manifest, out)
    return out


def test_given_phones_become_durations_that_sum_exactly(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    root = tmp_path / "timed"
    sound(root / "a.wav", 1, seconds=0.6)
    phones = (
        Interval(start=0.0, end=0.11, label=""),
        Interval(start=0.11, end=0.23, label="h"),
        Interval(start=0.23, end=0.5, label="aɪ"),
    )
    manifest = make_corpus(name="timed", rows=[row_of(root, "a.wav", "a", phones=phones, transcript="hi")])
    prepared = PreparedSet(_prepared(manifest, tmp_path / "out"))
    info, arrays = prepared.info("a"), prepared["a"]
    assert (info.frames, info.tokens, info.alignment) == (15, 48, "given")
    assert decode(arrays["phones"]) == ["", "h", "aɪ", ""]
    assert arrays["frame_durations"].tolist() == [3, 3, 7, 2]
    assert arrays["token_durations"].tolist() == [9, 9, 22, 8]
    assert arrays["stress"].tolist() == [0, 0, 1, 0]
    assert info.reasons == ()


def test_stress_that_the_corpus_states_is_taken_as_it_is(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    root = tmp_path / "stressed"
    sound(root / "a.wav", 1, seconds=0.6)
    phones = (Interval(start=0.1, end=0.3, label="h"), Interval(start=0.3, end=0.5, label="aɪ"))
    rows = [
        row_of(root, "a.wav", "stated", phones=phones, stresses=(0, 2), transcript="hi"),
        row_of(root, "a.wav", "unknown", phones=phones, transcript="another text"),
    ]
    prepared = PreparedSet(_prepared(make_corpus(name="stressed", rows=rows), tmp_path / "out"))
    assert decode(prepared["stated"]["phones"]) == ["", "h", "aɪ", ""]
    assert prepared["stated"]["stress"].tolist() == [0, 0, 2, 0]
    assert prepared.info("stated").reasons == ()
    assert prepared["unknown"]["stress"].tolist() == [0, 0, 0, 0]
    assert prepared.info("unknown").reasons == ("no_stress",)


def test_without_times_there_are_phones_and_a_reason(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    root = tmp_path / "plain"
    sound(root / "a.wav", 1)
    sound(root / "b.wav", 2)
    rows = [
        row_of(root, "a.wav", "de", transcript="guten Tag", language="de"),
        row_of(root, "b.wav", "none", transcript=None, language=None),
    ]
    options = PrepareSettings()
    report = _prepare(make_corpus(name="plain", rows=rows), tmp_path / "out", options)
    prepared = PreparedSet(tmp_path / "out")
    assert prepared.info("de").reasons == ("no_aligner_for_language",)
    assert "frame_durations" not in prepared["de"]
    assert len(prepared["de"]["phones"]) == prepared.info("de").phones > 5
    assert prepared.info("none").reasons == ("no_transcript",)
    assert "phones" not in prepared["none"]
    assert dict(report.reasons) == {"no_aligner_for_language": 1, "no_transcript": 1}
    strict = options.model_copy(update={"require_durations": True})
    failed = _prepare(read_manifest(tmp_path / "plain"), tmp_path / "strict", strict).failed
    assert {one.code for one in failed.values()} == {"corpora.no_durations"}


def test_video_without_a_face_keeps_its_sound(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    root = tmp_path / "faceless"
    video(root / "a.mp4", 1, frames=10)
    manifest = make_corpus(name="faceless", rows=[row_of(root, "a.mp4", "a", language="nl")])
    prepared = PreparedSet(_prepared(manifest, tmp_path / "out"))
    assert "no_face" in prepared.info("a").reasons
    assert prepared.info("a").frames == 10
    assert set(prepared["a"]) == {"pitch", "energy", "waveform"}
    strict = GIVEN.model_copy(update={"require_face": True})
    assert [one.code for one in _prepare(manifest, tmp_path / "strict", strict).failed.values()] == ["corpora.no_face"]


def test_sound_much_longer_than_the_picture_is_refused(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    root = tmp_path / "long"
    root.mkdir()
    write_clip(root / "a.mp4", pictures(10, 1), 25, tone(2.0, 300), 16000)
    manifest = make_corpus(name="long", rows=[row_of(root, "a.mp4", "a", language="nl")])
    failed = _prepare(manifest, tmp_path / "out").failed
    assert [one.code for one in failed.values()] == ["corpora.lengths_disagree"]


def test_real_grid_clip_has_everything(shared_data: Path, tmp_path: Path) -> None:
    source = tmp_path / "grid" / "s1"
    source.mkdir(parents=True)
    for name in ("bbaf2n.mpg", "bbaf2n.align"):
        shutil.copy(shared_data / "grid_lipnet" / name, source)
    manifest, _ = import_corpus("grid", source.parent, tmp_path / "corpus", name="grid")
    report = _prepare(manifest, tmp_path / "out", PrepareSettings(store_crops=True, precision="float16"))
    assert report.done == 1
    prepared = PreparedSet(tmp_path / "out")
    (clip_id,) = prepared
    info, arrays = prepared.info(clip_id), prepared[clip_id]
    assert (info.frames, info.tokens, info.alignment) == (75, 240, "built_in")
    shapes = {
        name: (arrays[name].shape, arrays[name].dtype.name) for name in ("lip", "face", "lip_crops", "face_crops")
    }
    assert shapes == {
        "lip": ((75, 512), "float16"),
        "face": ((75, 256), "float16"),
        "lip_crops": ((75, 96, 96), "uint8"),
        "face_crops": ((75, 128, 128, 3), "uint8"),
    }
    assert arrays["face_found"].mean() > 0.95
    assert arrays["frame_durations"].sum() == 75
    assert arrays["token_durations"].sum() == 240
    voiced = arrays["pitch"][arrays["pitch"] > 0]
    assert 80 < np.median(voiced) < 250  # a man
    # The speech lies where the corpus's own alignment has it: 0.95 to 2.12 s.
    level = arrays["energy"]
    assert level[int(0.95 * 80) : int(2.12 * 80)].mean() > level[: int(0.9 * 80)].mean() + 10
    spoken = np.flatnonzero(arrays["phones"] != arrays["phones"][0])
    starts = np.concatenate([[0], np.cumsum(arrays["frame_durations"])]) / 25
    assert starts[spoken[0]] == pytest.approx(0.95, abs=0.15)
    assert prepared.verify() == ()


@settings(deadline=None, max_examples=60)
@given(frames=st.integers(1, 50), extra=st.integers(-4000, 4000))
def test_waveforms_fit_their_frames(frames: int, extra: int) -> None:
    samples = np.linspace(-1, 1, max(1, 640 * frames + extra)).astype(np.float32)
    fitted = fit_waveform(samples, frames, tolerance_s=0.5)
    assert len(fitted) == 640 * frames
    shared = min(len(samples), len(fitted))
    assert np.array_equal(fitted[:shared], samples[:shared])
    assert not fitted[shared:].any()
    assert frames_to_tokens(frames) * 200 >= len(fitted)


def test_sixteen_bit_samples_come_back_exactly() -> None:
    original = np.arange(-32768, 32768, 7, dtype=np.int16)
    assert np.array_equal(to_pcm16((original / 32768.0).astype(np.float32)), original)
    assert to_pcm16(np.array([1.0, 2.0, -2.0], np.float32)).tolist() == [32767, 32767, -32768]
