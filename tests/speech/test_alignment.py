from __future__ import annotations

import contextlib
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from dubflow.errors import BadInput, OurFault
from dubflow.speech.alignment import EnglishAligner, align_english, read_textgrid
from dubflow.speech.arpabet import from_arpabet
from dubflow.speech.espeak import EspeakSynthesizer
from dubflow.speech.intervals import Interval, is_contiguous
from dubflow.speech.inventory import PHONES
from dubflow.speech.phonemes import EspeakPhonemizer
from dubflow.speech.voices import Voice

LONG_GRID = '''File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 1.5
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 1.5
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 0.5
            text = ""
        intervals [2]:
            xmin = 0.5
            xmax = 1.25
            text = "say ""hi"""
        intervals [3]:
            xmin = 1.25
            xmax = 1.5
            text = "sil"
    item [2]:
        class = "TextTier"
        name = "clicks"
        xmin = 0
        xmax = 1.5
        points: size = 1
        points [1]:
            number = 0.7
            mark = "click"
'''


@pytest.fixture(scope="module")
def aligner(synthesizer: EspeakSynthesizer) -> Iterator[EnglishAligner]:
    pytest.importorskip("pocketsphinx")
    with EnglishAligner(EspeakPhonemizer(synthesizer)) as owner:
        yield owner


def spoken(intervals: list[Interval]) -> list[Interval]:
    return [i for i in intervals if not i.silent]


def edges(intervals: list[Interval]) -> np.ndarray:
    return np.array([[i.start, i.end] for i in intervals])


@pytest.mark.parametrize("name", ["acoustic_corpus", "cold_corpus", "michaelandsickmichael"])
def test_real_textgrids(shared_data: Path, name: str) -> None:
    tiers = read_textgrid(shared_data / "speech_mfa" / f"{name}.TextGrid")
    assert len(tiers) == 2
    for intervals in tiers.values():
        assert is_contiguous(intervals, intervals[-1].end)
        assert spoken(intervals)
    if "phones" in tiers:
        assert len(spoken(tiers["phones"])) > 2 * len(spoken(tiers["words"]))
        known = [p.label for p in spoken(tiers["phones"]) if p.label != "spn"]
        assert {from_arpabet(label)[0] for label in known} <= PHONES


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_long_textgrids_in_both_encodings(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "long.TextGrid"
    path.write_text(LONG_GRID, encoding=encoding)
    assert read_textgrid(path) == {
        "words": [
            Interval(start=0, end=0.5, label=""),
            Interval(start=0.5, end=1.25, label='say "hi"'),
            Interval(start=1.25, end=1.5, label=""),
        ]
    }


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\x01\x02",
        b"not a grid",
        LONG_GRID.encode()[:300],
        LONG_GRID.replace("xmax = 0.5", "xmax = banana").encode(),
        LONG_GRID.replace("xmax = 1.25", "xmax = 0.25").encode(),
        b"\xff\xfe\xff",
        LONG_GRID.replace("IntervalTier", "OtherTier").encode(),
    ],
)
def test_broken_textgrids_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.TextGrid"
    path.write_bytes(content)
    with pytest.raises(BadInput) as caught:
        read_textgrid(path)
    assert caught.value.code in ("speech.bad_textgrid", "speech.intervals_overlap")


@given(st.integers(0, len(LONG_GRID)), st.integers(0, 40), st.text('0123456789."-\n xe', max_size=6))
@settings(deadline=None, max_examples=80, derandomize=True)
def test_damaged_textgrids_are_read_or_refused(place: int, cut: int, put: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "damaged.TextGrid"
        path.write_text(LONG_GRID[:place] + put + LONG_GRID[place + cut :], encoding="utf-8")
        # Anything but these two outcomes, another kind of error above all, fails the test.
        with contextlib.suppress(BadInput):
            assert all(is_contiguous(t, t[-1].end, tolerance=1e-6) for t in read_textgrid(path).values())


def test_a_missing_textgrid_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        read_textgrid(tmp_path / "none.TextGrid")


def test_synthesised_speech_is_aligned_to_its_exact_times(
    aligner: EnglishAligner, synthesizer: EspeakSynthesizer, sentences: Callable[[str], list[str]]
) -> None:
    texts = [text for text in sentences("en") if not any(c.isdigit() for c in text)][:6]
    errors, phone_errors = [], []
    for voice in (Voice(), Voice(variant="f2", rate=140)):
        for text, said in zip(texts, synthesizer.synthesize_all(texts, voice), strict=True):
            wave = soxr.resample(said.waveform, said.sample_rate, 16000)
            found = aligner.align(wave, text)
            assert is_contiguous(found.words, len(wave) / 16000)
            assert is_contiguous(found.phones, len(wave) / 16000)
            assert {p.label for p in found.phones} <= PHONES | {""}
            words = spoken(found.words)
            assert [w.label for w in words] == [w.label for w in said.words]
            errors.append(np.abs(edges(words) - edges(said.words)))
            starts = np.array([p.start for p in said.phones])
            phone_errors += [np.abs(starts - p.start).min() for p in spoken(found.phones)]
    assert np.median(np.concatenate(errors)) < 0.02
    assert np.quantile(np.concatenate(errors), 0.9) < 0.08
    assert np.median(phone_errors) < 0.02


def test_grid_recordings_agree_with_their_own_alignments(
    aligner: EnglishAligner, shared_data: Path, read_16k: Callable[[Path], np.ndarray]
) -> None:
    errors = []
    for path in sorted((shared_data / "grid_s1_aligned").glob("*.align")):
        rows = [line.split() for line in path.read_text().splitlines() if line.strip()]
        words = [(int(a) / 25000, int(b) / 25000, word) for a, b, word in rows if word not in ("sil", "sp")]
        found = spoken(aligner.align(read_16k(path.with_suffix(".mpg")), " ".join(w for *_, w in words)).words)
        assert [i.label for i in found] == [w for *_, w in words]
        errors.append(np.abs(edges(found) - np.array([[a, b] for a, b, _ in words])) * 25)
    assert len(errors) >= 10
    assert np.median(np.concatenate(errors)) < 3


def test_a_long_read_sentence(
    aligner: EnglishAligner, shared_data: Path, read_16k: Callable[[Path], np.ndarray]
) -> None:
    folder = shared_data / "speech_ljspeech"
    name, _, text = (folder / "metadata.csv").read_text(encoding="utf-8").splitlines()[0].split("|")
    wave = read_16k(folder / "wavs" / f"{name}.wav")
    found = aligner.align(wave, text)
    assert [w.label for w in spoken(found.words)][:3] == ["Printing", "in", "the"]
    assert len(spoken(found.words)) == len(text.split())
    assert max(w.duration for w in spoken(found.words)) < 1.2
    comma = next(i for i, w in enumerate(found.words) if w.label == "Printing") + 1
    assert found.words[comma].silent, "she pauses after the first word"


def test_real_speech_agrees_with_mfa(
    aligner: EnglishAligner, shared_data: Path, read_16k: Callable[[Path], np.ndarray]
) -> None:
    folder = shared_data / "speech_mfa"
    reference = spoken(read_textgrid(folder / "acoustic_corpus.TextGrid")["words"])
    found = aligner.align(read_16k(folder / "acoustic_corpus.wav"), " ".join(w.label for w in reference))
    assert np.median(np.abs(edges(spoken(found.words)) - edges(reference))) < 0.03


def test_words_outside_the_dictionary_are_aligned(aligner: EnglishAligner, synthesizer: EspeakSynthesizer) -> None:
    text = "Blorptastic Señor Jürgen & 12% of zxq droids — met at 10:45, didn’t ' he?"
    said = synthesizer.synthesize(text, Voice())
    found = aligner.align(soxr.resample(said.waveform, said.sample_rate, 16000), text)
    labels = [w.label for w in found.words if w.label]
    assert labels == [w.label for w in said.words]
    matched = [w for w in found.words if w.label]
    assert next(w for w in matched if w.label == "—").duration == 0
    assert np.median(np.abs(edges(matched) - edges(said.words))) < 0.03


def test_the_same_answer_whatever_came_before(aligner: EnglishAligner, synthesizer: EspeakSynthesizer) -> None:
    waves = {}
    for text in ("we were away a year ago", "glue the sheet to the dark blue background"):
        said = synthesizer.synthesize(text, Voice())
        waves[text] = soxr.resample(said.waveform, said.sample_rate, 16000)
    first = {text: aligner.align(wave, text) for text, wave in waves.items()}
    for text in reversed(waves):
        assert aligner.align(waves[text], text) == first[text]
        assert align_english(waves[text], text) == first[text]


def test_the_wrong_transcript_is_refused(aligner: EnglishAligner, synthesizer: EspeakSynthesizer) -> None:
    said = synthesizer.synthesize("yes", Voice())
    wave = soxr.resample(said.waveform, said.sample_rate, 16000)
    with pytest.raises(BadInput) as caught:
        aligner.align(wave, "this is a very long transcript that nobody could have said in less than half a second")
    assert caught.value.code == "speech.alignment_failed"


@pytest.mark.parametrize(
    "wave", [np.zeros(16000), np.zeros(100), np.full(16000, np.nan), np.zeros((2, 16000)), np.ones(16000 * 130)]
)
def test_bad_audio_is_refused(aligner: EnglishAligner, wave: np.ndarray) -> None:
    with pytest.raises(BadInput) as caught:
        aligner.align(wave, "hello")
    assert caught.value.code == "speech.bad_waveform"


@pytest.mark.slow
def test_a_lost_process_is_a_typed_error(aligner: EnglishAligner) -> None:
    wave = np.random.default_rng(0).normal(0, 0.1, 16000)
    with EnglishAligner() as fresh:
        with pytest.raises(BadInput):
            fresh.align(wave, "the quick brown fox jumps over the lazy dog and runs on and on and on")
        server = fresh._process._server
        assert server is not None
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
        with pytest.raises((BadInput, OurFault)):
            fresh.align(wave, "the quick brown fox jumps over the lazy dog and runs on and on and on")
