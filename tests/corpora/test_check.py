"""Each kind of finding is found in a corpus that has just that wrong, and a sound corpus has none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from corpora.conftest import MakeCorpus
from corpora.samples import row_of, sound, video
from dubflow.corpora.check import check_corpus
from dubflow.corpora.findings import CheckReport
from dubflow.corpora.manifest import ClipRow, CorpusManifest, EventMark, Segment
from dubflow.corpora.prepare import prepare_corpus
from dubflow.corpora.settings import CheckSettings, PrepareSettings
from dubflow.media.encode import replace_audio
from dubflow.progress import Silent
from dubflow.speech.intervals import Interval

# The tones say nothing, so any pace will do here; the band has tests of its own.
LENIENT = CheckSettings(default_band=(0.0, 1000.0))


def _codes(report: CheckReport, severity: str | None = None) -> list[str]:
    return [one.code.split(".")[1] for one in report.findings if severity in (None, one.severity)]


def test_a_sound_corpus_has_no_findings(make_corpus: MakeCorpus) -> None:
    report = check_corpus(make_corpus(3), settings=LENIENT)
    assert report.findings == ()
    assert report.ok
    assert report.as_dict()["clips"] == 3


def _words(*times: tuple[float, float]) -> dict[str, Any]:
    return {"words": tuple(Interval(start=a, end=b, label=f"w{n}") for n, (a, b) in enumerate(times))}


def _phones(*times: tuple[float, float]) -> dict[str, Any]:
    return {"phones": tuple(Interval(start=a, end=b, label="a") for a, b in times)}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (_words((0.0, 0.2), (0.3, 9.0)), "word_outside"),
        (_words((0.0, 0.3), (0.2, 0.5)), "words_overlap"),
        (_phones((0.0, 2.0)), "phone_outside"),
        (_phones((0.0, 0.3), (0.1, 0.5)), "phones_overlap"),
        ({"segments": (Segment(start=0, end=5, speaker="s0", language="nl", text="x"),)}, "segment_outside"),
        ({"events": (EventMark(kind="door", frame=0, time=7.0),)}, "event_outside"),
        ({"licence": None}, "licence_unknown"),
        ({"speaker": None}, "speaker_unknown"),
        ({"language": None}, "language_unknown"),
        ({"language": "klingon"}, "language_code"),
        ({"transcript": None}, "transcript_unknown"),
        ({"sha256": "0" * 64}, "file_changed"),
        ({"duration": 0.7}, "file_disagrees"),
        ({"sample_rate": 8000}, "file_disagrees"),
        ({"path": "media/none.wav"}, "file_missing"),
    ],
)
def test_each_wrong_row_is_found(make_corpus: MakeCorpus, change: dict[str, Any], code: str) -> None:
    rows = list(make_corpus(3).rows)
    rows[0] = rows[0].model_copy(update=change)
    report = check_corpus(make_corpus(rows=rows), settings=LENIENT)
    assert [(one.code, one.clip) for one in report.findings] == [(f"corpora.{code}", "c0")]


def test_every_language_with_a_code_is_known(make_corpus: MakeCorpus) -> None:
    rows = [
        row.model_copy(update={"language": code})
        for row, code in zip(make_corpus(3).rows, ("da", "vi", "th"), strict=True)
    ]
    assert check_corpus(make_corpus(rows=rows), settings=LENIENT).findings == ()


@pytest.mark.parametrize(
    ("transcript", "found"), [("ab cd ef gh", False), ("a", True), ("far too much text for so short a clip", True)]
)
def test_transcripts_fit_the_length_of_their_clips(make_corpus: MakeCorpus, transcript: str, found: bool) -> None:
    rows = [row.model_copy(update={"transcript": transcript}) for row in make_corpus(1).rows]
    report = check_corpus(make_corpus(rows=rows))
    assert _codes(report) == (["transcript_length"] if found else [])


def test_the_band_is_the_language_s_and_counts_from_first_word_to_last(make_corpus: MakeCorpus) -> None:
    words = _words((0.2, 0.25), (0.25, 0.3))
    (row,) = (row.model_copy(update={"transcript": "abcdef", **words}) for row in make_corpus(1).rows)
    manifest = make_corpus(rows=[row])
    assert _codes(check_corpus(manifest)) == ["transcript_length"]  # 60 characters a second
    assert _codes(check_corpus(manifest, settings=CheckSettings(characters_per_second={"nl": (50, 70)}))) == []


def test_a_speaker_in_two_splits_is_found(make_corpus: MakeCorpus) -> None:
    splits = ("train", "val", "train")
    rows = [
        row.model_copy(update={"split": split, "speaker": "s0"})
        for row, split in zip(make_corpus(3).rows, splits, strict=True)
    ]
    assert _codes(check_corpus(make_corpus(rows=rows), settings=LENIENT)) == ["speaker_crosses_splits"]


def test_a_second_speaker_of_a_clip_counts_too(make_corpus: MakeCorpus) -> None:
    first, second, third = make_corpus(3).rows
    other = Segment(start=0, end=0.5, speaker="s1", language="nl", text="x")
    rows = [
        first.model_copy(update={"split": "train", "segments": (other,)}),
        second.model_copy(update={"split": "test"}),
        third,
    ]
    assert "speaker_crosses_splits" in _codes(check_corpus(make_corpus(rows=rows), settings=LENIENT))


def test_unreadable_files_are_found(make_corpus: MakeCorpus) -> None:
    manifest = make_corpus(2)
    manifest.media_path(manifest.rows[0]).write_bytes(b"no sound at all")
    (finding,) = check_corpus(manifest, settings=LENIENT).findings
    assert finding.clip == "c0"
    assert finding.code.startswith("media.")


def _pair(root: Path, make: Callable[..., CorpusManifest], paths: list[str], **fields: Any) -> CorpusManifest:
    rows: list[ClipRow] = [row_of(root, path, f"c{index}", **fields) for index, path in enumerate(paths)]
    return make(name=root.name, rows=rows)


def test_the_same_bytes_twice_are_found(tmp_path: Path, make_corpus: MakeCorpus) -> None:
    root = tmp_path / "twice"
    sound(root / "a.wav", 1)
    (root / "b.wav").write_bytes((root / "a.wav").read_bytes())
    sound(root / "c.wav", 2)
    report = check_corpus(_pair(root, make_corpus, ["a.wav", "b.wav", "c.wav"]), settings=LENIENT)
    assert _codes(report) == ["duplicate_file"]


def test_the_same_content_in_another_container_is_found(tmp_path: Path, make_corpus: MakeCorpus) -> None:
    root = tmp_path / "remuxed"
    sound(root / "a.wav", 1)
    # The same samples behind a longer header: other bytes, other size, same sound.
    original = (root / "a.wav").read_bytes()
    note = b"LIST" + (12).to_bytes(4, "little") + b"INFOISFT" + b"\0\0\0\0"
    size = int.from_bytes(original[4:8], "little") + len(note)
    (root / "b.wav").write_bytes(original[:4] + size.to_bytes(4, "little") + original[8:] + note)
    sound(root / "c.wav", 2)
    manifest = _pair(root, make_corpus, ["a.wav", "b.wav", "c.wav"])
    assert manifest.rows[0].sha256 != manifest.rows[1].sha256
    assert _codes(check_corpus(manifest, settings=LENIENT)) == ["duplicate_content"]
    quick = CheckSettings(default_band=(0.0, 1000.0), content=False)
    assert _codes(check_corpus(manifest, settings=quick)) == []


def test_a_picture_with_another_sound_is_a_warning(tmp_path: Path, make_corpus: MakeCorpus) -> None:
    from corpora.samples import tone

    root = tmp_path / "dubbed"
    video(root / "a.mp4", 1)
    replace_audio(root / "a.mp4", tone(0.48, 700), 16000, root / "b.mp4")
    report = check_corpus(_pair(root, make_corpus, ["a.mp4", "b.mp4"]), settings=LENIENT)
    assert _codes(report) == ["same_picture"]
    assert report.ok


def test_files_beside_a_clip_are_checked(tmp_path: Path, make_corpus: MakeCorpus) -> None:
    root = tmp_path / "pairs"
    sound(root / "a.wav", 1)
    sound(root / "r.wav", 2)
    files = {"reference": {"path": "r.wav", "sha256": "0" * 64}, "mask": {"path": "gone.mp4", "sha256": "0" * 64}}
    report = check_corpus(_pair(root, make_corpus, ["a.wav"], source={"files": files}), settings=LENIENT)
    assert sorted(_codes(report)) == ["file_changed", "file_missing"]


def test_a_prepared_set_must_fit_its_corpus(tmp_path: Path, make_corpus: MakeCorpus) -> None:
    manifest = make_corpus(4)
    out = tmp_path / "prepared"
    prepare_corpus(manifest.root, out, PrepareSettings(align="given"), workers=1, report=Silent())
    assert check_corpus(manifest, out, LENIENT).findings == ()
    rows = list(manifest.rows)
    rows[0] = rows[0].model_copy(update={"transcript": "something else"})
    rows[1] = rows[1].model_copy(update={"id": "new"})
    changed = make_corpus(rows=rows)
    found = {(one.code, one.clip) for one in check_corpus(changed, out, LENIENT).findings}
    assert found == {
        ("corpora.prepared_stale", "c0"),
        ("corpora.not_in_manifest", "c1"),
        ("corpora.not_in_prepared", "new"),
    }
