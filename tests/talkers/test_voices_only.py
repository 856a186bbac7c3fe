"""Clips that are spoken and not drawn: the same sound, lossless, whole in frames, resumable like the others."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from dubflow.corpora.check import check_corpus
from dubflow.corpora.manifest import CorpusManifest, read_manifest
from dubflow.media.decode import read_audio
from dubflow.media.digest import sha256_file
from dubflow.progress import Silent
from dubflow.speech.espeak import default_synthesizer
from dubflow.speech.voices import LANGUAGES
from dubflow.talkers.performance import plan_of
from dubflow.talkers.render import RenderReport, render_corpus
from dubflow.talkers.scenes import plan_corpus
from dubflow.talkers.settings import AUDIBLE_KINDS, KINDS, TalkerSettings
from dubflow.talkers.soundtrack import soundtrack

SPOKEN = TalkerSettings(
    size=64, mix=dict.fromkeys(KINDS, 1.0), grid_share=0.3, salad_share=0.4, event_share=0.2, voices_only=True
)


def _render(out: Path, **changes) -> RenderReport:
    arguments = {"identities": 2, "clips": 14, "languages": LANGUAGES, "seed": 2, "settings": SPOKEN, "workers": 1}
    return render_corpus(out, **{**arguments, "progress": Silent(), **changes})


def _bytes(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> CorpusManifest:
    out = tmp_path_factory.mktemp("voices") / "corpus"
    _render(out)
    return read_manifest(out)


def test_the_file_holds_the_planned_sound_to_the_last_bit_in_whole_frames(corpus: CorpusManifest) -> None:
    for row in corpus:
        planned = soundtrack(plan_of(row), default_synthesizer())
        heard = read_audio(corpus.media_path(row), 16000)
        assert np.array_equal(heard, (np.clip(np.rint(planned.waveform * 32768), -32768, 32767) / 32768))
        assert len(heard) == 640 * planned.frames == round(row.duration * 16000)
        assert (row.frames, row.fps, row.sample_rate) == (None, None, 16000)
        assert sha256_file(corpus.media_path(row)) == row.sha256
        assert row.path == f"{row.id}.wav"


def test_times_cover_the_clip_and_silence_leads_and_trails(corpus: CorpusManifest) -> None:
    leads = []
    for row in corpus:
        assert row.phones[0].label == row.phones[-1].label == ""
        assert row.phones[0].start == 0
        assert row.phones[-1].end == row.duration
        assert all(a.end == b.start for a, b in zip(row.phones, row.phones[1:], strict=False))
        assert len(row.stresses) == len(row.phones)
        leads.append(row.phones[0].end)
        assert min(leads[-1], row.duration - row.phones[-1].start) > 0.1
    assert len({round(lead, 3) for lead in leads}) > len(leads) / 2


def test_it_is_the_clip_that_would_have_been_drawn() -> None:
    spoken, drawn = (
        plan_corpus(
            identities=2,
            clips=14,
            languages=LANGUAGES,
            seed=2,
            settings=SPOKEN.model_copy(update={"voices_only": voices_only}),
        )
        for voices_only in (True, False)
    )
    assert [plan.model_copy(update={"voices_only": False}) for plan in spoken] == drawn
    assert not {plan.digest for plan in spoken} & {plan.digest for plan in drawn}


def test_what_is_drawn_has_the_digest_that_it_had_before_voices_could_be_alone() -> None:
    plans = plan_corpus(identities=1, clips=2, languages=["en", "fr"], seed=1)
    assert [(plan.id, plan.digest) for plan in plans] == [
        ("s1/a1013", "d375f1a842b7c7704f2bf99063602c56e0a8b38fb665b559ba91a92b0aa10f92"),
        ("s1/r3450_fr_two_speakers", "b309a773a2cca6250ebc2f5371b0a657a2293afb2f27325b3e57b7983ef59544"),
    ]


def test_tags_tell_what_can_be_heard(corpus: CorpusManifest) -> None:
    assert {plan_of(row).kind for row in corpus} == set(KINDS)
    assert {row.tags[0] for row in corpus} == set(AUDIBLE_KINDS)
    assert {row.tags[1] for row in corpus} == {"grid", "free", "salad"}
    assert all(row.tags[-1] == "voices_only" for row in corpus)


def test_the_corpus_check_has_nothing_to_say_of_the_files(corpus: CorpusManifest) -> None:
    report = check_corpus(corpus.root, workers=1, report=Silent())
    assert [one for one in report.findings if one.code != "corpora.transcript_length"] == []


def test_same_bytes_with_two_workers_and_what_is_missing_is_made_again(corpus: CorpusManifest, tmp_path: Path) -> None:
    out = tmp_path / "two"
    assert _render(out, workers=2).rendered == len(corpus)
    whole = _bytes(corpus.root)
    assert _bytes(out) == whole
    names = sorted(name for name in whole if name.endswith(".wav"))
    (out / names[0]).unlink()
    (out / names[1]).write_bytes(b"cut short")
    assert _render(out).rendered == 2
    assert _bytes(out) == whole
    assert _render(out).rendered == 0


def test_a_clip_that_is_drawn_after_all_leaves_no_sound_behind(tmp_path: Path) -> None:
    out = tmp_path / "one"
    _render(out, identities=1, clips=1)
    drawn = SPOKEN.model_copy(update={"voices_only": False})
    assert _render(out, identities=1, clips=1, settings=drawn).rendered == 1
    assert [path.suffix for path in sorted(out.glob("s1/*"))] == [".align", ".mp4"]
    assert _render(out, identities=1, clips=1).rendered == 1
    assert [path.suffix for path in sorted(out.glob("s1/*"))] == [".align", ".wav"]
