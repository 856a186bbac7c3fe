"""How fast speech is made and aligned here, and how right the built-in aligner is.

    python benchmarks/speech.py [--data FOLDER]

FOLDER holds ``grid_s1_aligned`` (GRID clips with their .align files) and ``speech_mfa`` (recordings with TextGrids of
the Montreal Forced Aligner); without it only synthesised speech is measured, whose true times are known.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import soxr

from dubflow.speech.alignment import EnglishAligner, read_textgrid
from dubflow.speech.espeak import EspeakSynthesizer
from dubflow.speech.intervals import Interval
from dubflow.speech.phonemes import EspeakPhonemizer
from dubflow.speech.voices import LANGUAGES, Voice

SENTENCES = {
    "en": "The birch canoe slid on the smooth planks, and we went home.",
    "es": "El perro viejo duerme junto a la puerta de la casa azul.",
    "ru": "Старая собака спит возле двери синего дома у реки.",
    "fr": "Le vieux chien dort près de la porte de la maison bleue.",
    "de": "Der alte Hund schläft neben der Tür des blauen Hauses.",
    "it": "Il vecchio cane dorme vicino alla porta della casa blu.",
    "el": "Ο γέρος σκύλος κοιμάται δίπλα στην πόρτα του σπιτιού.",
}
ALIGNED = [
    "She sells sea shells by the sea shore.",
    "The quick brown fox jumps over the lazy dog.",
    "Six spoons of fresh snow peas and five thick slabs of blue cheese.",
    "The birch canoe slid on the smooth planks.",
    "Glue the sheet to the dark blue background.",
    "Bin blue at f two now.",
    "We were away a year ago.",
    "Measure the azure treasure with a thick leather ruler.",
]
VOICES = [Voice(), Voice(variant="f2"), Voice(variant="m3", rate=140), Voice(variant="klatt4", pitch=70)]


def synthesis(repeats: int = 20) -> None:
    """Wall time for one utterance, process and fork included."""
    print("language | ms an utterance | seconds of speech | real-time factor | phonemes alone, ms")
    with EspeakSynthesizer() as synthesizer:
        for language in LANGUAGES:
            voice = Voice(language=language)
            synthesizer.synthesize(SENTENCES[language], voice)
            started = time.perf_counter()
            said = [synthesizer.synthesize(SENTENCES[language], voice) for _ in range(repeats)]
            each = (time.perf_counter() - started) / repeats
            texts = [f"{SENTENCES[language]} {n}" for n in range(repeats)]
            started = time.perf_counter()
            EspeakPhonemizer(synthesizer).phonemize_all(texts, language)
            phonemes = (time.perf_counter() - started) / repeats
            length = said[0].duration
            print(f"{language} | {1e3 * each:.1f} | {length:.2f} | {each / length:.4f} | {1e3 * phonemes:.1f}")


def edges(intervals: list[Interval]) -> np.ndarray:
    """Starts and ends of what is spoken."""
    return np.array([[i.start, i.end] for i in intervals if i.label])


def report(name: str, errors: list[np.ndarray], seconds: float, wall: float) -> None:
    """One row: how far word boundaries are from the reference."""
    off = 1e3 * np.abs(np.concatenate([e.ravel() for e in errors]))
    print(f"{name} | {off.size} | {np.median(off):.1f} | {np.quantile(off, 0.9):.1f} | {wall / seconds:.3f}")


def alignment(data: Path | None) -> None:
    """Word boundaries of the aligner against known or given ones."""
    print("\nspeech | boundaries | median error, ms | 90 % within, ms | real-time factor")
    with EnglishAligner() as aligner, EspeakSynthesizer() as synthesizer:
        errors, seconds, wall = [], 0.0, 0.0
        for voice in VOICES:
            for text, said in zip(ALIGNED, synthesizer.synthesize_all(ALIGNED, voice), strict=True):
                wave = soxr.resample(said.waveform, said.sample_rate, 16000)
                started = time.perf_counter()
                found = aligner.align(wave, text)
                wall += time.perf_counter() - started
                seconds += said.duration
                errors.append(edges(found.words) - edges(said.words))
        report("synthesised, 4 voices", errors, seconds, wall)
        if data is not None:
            for name, pairs in (("GRID s1", grid(data)), ("read speech, against MFA", mfa(data))):
                errors, seconds, wall = [], 0.0, 0.0
                for wave, words in pairs:
                    started = time.perf_counter()
                    found = aligner.align(wave, " ".join(w.label for w in words))
                    wall += time.perf_counter() - started
                    seconds += len(wave) / 16000
                    errors.append(edges(found.words) - edges(words))
                report(name, errors, seconds, wall)


def grid(data: Path) -> list[tuple[np.ndarray, list[Interval]]]:
    """GRID clips with the words of their .align files (25,000 units a second)."""
    from dubflow.media.decode import read_audio

    pairs = []
    for path in sorted((data / "grid_s1_aligned").glob("*.align")):
        rows = [line.split() for line in path.read_text().splitlines() if line.strip()]
        words = [
            Interval(start=int(a) / 25000, end=int(b) / 25000, label=w) for a, b, w in rows if w not in ("sil", "sp")
        ]
        pairs.append((read_audio(path.with_suffix(".mpg")), words))
    return pairs


def mfa(data: Path) -> list[tuple[np.ndarray, list[Interval]]]:
    """Recordings with MFA's word tiers."""
    from dubflow.media.decode import read_audio

    pairs = []
    for path in sorted((data / "speech_mfa").glob("*_corpus.TextGrid")):
        words = [w for w in read_textgrid(path)["words"] if w.label]
        pairs.append((read_audio(path.with_suffix(".wav")), words))
    return pairs


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with grid_s1_aligned and speech_mfa")
    arguments = parser.parse_args()
    synthesis()
    alignment(arguments.data)
