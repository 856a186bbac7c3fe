"""What the embedded codec loses, how well it separates words from voice, and how fast it is.

    python benchmarks/codec_world.py [--rounds 9] [--seed 0]

Fits the codec to synthesised speech of 28 talkers' voices in seven languages (a round is an utterance of each, about a
minute), then measures on English sentences of ten voices that it has not heard and ten that it has:

* distortion and GRID word error (PocketSphinx with GRID's grammar) of every stage, unheard voices only;
* linear probes (ridge regression on one-hot tokens, trained on two thirds of the utterances): which of the phones,
  which of the 20 speakers; by frame and by utterance. "none" codes raw cepstra; "mean and deviation" normalises an
  utterance by its own statistics; both get books of the same size, fitted in the same way;
* speaker swaps: the share of swapped utterances that a judge of the decoded sound's cepstra (no pitch) gives to the
  target and to the source, and how far their statistics went on the way there. One judge is a linear classifier of
  means and deviations, the other compares frames to a book of 64 for each speaker (Soong et al., 1985).

All of it is the embedded world: synthetic voices. There is no neural speaker encoder among the judges.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soxr

from dubflow.judging.content import word_error_rate
from dubflow.judging.frame_books import fit_frame_books
from dubflow.judging.grid_recogniser import hear_commands
from dubflow.progress import reporting
from dubflow.speech.codecs import BOOK_SIZE, Tokens
from dubflow.speech.codecs.world.analysis import Features, analyse, synthesise
from dubflow.speech.codecs.world.codec import WorldCodec
from dubflow.speech.codecs.world.fitting import Recording, WorldSettings, fit_recordings, fit_steps
from dubflow.speech.codecs.world.losses import measure_losses
from dubflow.speech.codecs.world.normalisation import active
from dubflow.speech.codecs.world.quantizer import fit_residual
from dubflow.speech.espeak import EspeakSynthesizer
from dubflow.speech.voices import LANGUAGES
from dubflow.talkers.scripts import FreeSentence, GridCommand, Script
from dubflow.talkers.voices import VOICES, SpeakerVoice

UNHEARD = 10
UTTERANCES = 12
TRAINED_ON = 8


@dataclass(frozen=True, eq=False)
class Said:
    """One test utterance."""

    speaker: int
    text: str
    waveform: np.ndarray
    features: Features
    phones: np.ndarray


def speak(synthesizer: EspeakSynthesizer, voice: SpeakerVoice, script: Script) -> tuple[np.ndarray, list]:
    """16 kHz speech and its phones."""
    utterance = synthesizer.synthesize(script.spoken, voice.speaking(script.language))
    waveform = soxr.resample(utterance.waveform, utterance.sample_rate, 16_000).astype(np.float32)
    return waveform, utterance.phones


def voice_of(variant: str, pitch: int, rng: np.random.Generator) -> SpeakerVoice:
    """A manner of speaking for the voice."""
    return SpeakerVoice(
        variant=variant, pitch=pitch, pitch_range=int(rng.integers(42, 71)), rate=int(rng.integers(155, 186))
    )


def speech(rounds: int, seed: int) -> tuple[list[tuple[str, np.ndarray]], list[Said], list[Said]]:
    """Training speech; test speech whose first half is by voices that are not in it; GRID commands by those voices."""
    rng = np.random.default_rng(seed + 5)
    listed = [pair for pairs in VOICES.values() for pair in pairs]
    listed = [listed[i] for i in rng.permutation(len(listed))]
    heard, training, test = listed[UNHEARD:], [], []
    with EspeakSynthesizer() as synthesizer:
        for round_ in range(rounds):
            for number, (variant, pitch) in enumerate(heard):
                language = "en" if round_ % 2 == 0 else LANGUAGES[(number + round_) % len(LANGUAGES)]
                script = (GridCommand if round_ % 3 < 2 else FreeSentence).draw(rng).script(language)
                waveform, _ = speak(synthesizer, voice_of(variant, pitch, rng), script)
                training.append((f"{variant}/{pitch}", waveform))
        symbols: dict[str, int] = {"": 0}

        def said(speaker: int, script: Script) -> Said:
            waveform, phones = speak(synthesizer, voice_of(*voices[speaker], rng), script)
            features = analyse(waveform)
            ends = np.array([phone.end for phone in phones])
            at = np.minimum(np.searchsorted(ends, np.arange(len(features)) / 80, side="right"), len(phones) - 1)
            ids = np.array([symbols.setdefault(phones[i].label, len(symbols)) for i in at])
            return Said(speaker, script.text, waveform, features, ids)

        voices = listed[:UNHEARD] + heard[:UNHEARD]
        kinds = (GridCommand, FreeSentence)
        for speaker in range(len(voices)):
            test += [said(speaker, kinds[number % 2].draw(rng).script("en")) for number in range(UTTERANCES)]
        pairs = [(speaker, GridCommand.draw(rng).script("en")) for speaker in range(UNHEARD) for _ in range(UTTERANCES)]
        return training, test, [said(*pair) for pair in pairs]


def ridge(train: np.ndarray, labels: np.ndarray, penalty: float) -> np.ndarray:
    """Weights of a linear classifier ``[D, classes]``."""
    targets = np.eye(labels.max() + 1, dtype=train.dtype)[labels]
    gram = train.T @ train
    gram[np.diag_indices_from(gram)] += penalty
    return np.linalg.solve(gram, train.T @ (targets - targets.mean(0)))


def one_hot(codes: np.ndarray) -> np.ndarray:
    """``[L, books * 1024]`` of codes ``[books, L]``."""
    result = np.zeros((codes.shape[1], BOOK_SIZE * len(codes)), np.float32)
    for book, row in enumerate(codes):
        result[np.arange(len(row)), row + BOOK_SIZE * book] = 1
    return result


def probes(name: str, test: Sequence[Said], codes: Sequence[np.ndarray]) -> None:
    """One row: phone by frame, speaker by spoken frame, speaker by utterance."""
    coded = [one_hot(one) for one in codes]
    fold = [number % UTTERANCES < TRAINED_ON for number in range(len(test))]
    train, held = ([i for i, inside in enumerate(fold) if inside is kind] for kind in (True, False))

    def rate(x: list[np.ndarray], y: list[np.ndarray], penalty: float) -> float:
        weights = ridge(np.concatenate([x[i] for i in train]), np.concatenate([y[i] for i in train]), penalty)
        found = (np.concatenate([x[i] for i in held]) @ weights).argmax(1)
        return float((found == np.concatenate([y[i] for i in held])).mean())

    spoken = [one.phones > 0 for one in test]
    phone = rate(coded, [one.phones for one in test], 3.0)
    speakers = [np.full(int(mask.sum()), one.speaker) for one, mask in zip(test, spoken, strict=True)]
    frame = rate([x[mask] for x, mask in zip(coded, spoken, strict=True)], speakers, 3.0)
    whole = rate([np.sqrt(x.mean(0, keepdims=True)) for x in coded], [np.array([one.speaker]) for one in test], 0.01)
    print(f"{name} | {phone:.3f} | {frame:.3f} | {whole:.3f}", flush=True)


def plain_content(features: Features, normalised: bool) -> np.ndarray:
    """Cepstra 1 to 24, raw or by the utterance's own mean and deviation."""
    cepstrum = features.cepstrum[:, 1:25]
    if normalised:
        sounding = cepstrum[active(features)]
        cepstrum = (cepstrum - sounding.mean(0)) / (sounding.std(0) + 1e-3)
    return cepstrum.astype(np.float32)


def word_errors(test: Sequence[Said], waveforms: Sequence[np.ndarray]) -> float:
    """GRID word error rate."""
    return word_error_rate([one.text for one in test], hear_commands(waveforms)).corpus


def statistics(features: Features) -> np.ndarray:
    """Mean and deviation of the cepstra of an utterance, and 1: ``[79]``."""
    spoken = features.cepstrum[active(features), 1:]
    return np.concatenate([spoken.mean(0), spoken.std(0), [1.0]])


def swaps(codec: WorldCodec, test: Sequence[Said], seed: int) -> None:
    """Voices of one half given to utterances of the other, against a swap of means and deviations without any codes."""
    every = np.stack([statistics(one.features) for one in test])
    scale = every.std(0) + 1e-6
    judge = ridge(every / scale, np.array([one.speaker for one in test]), 1.0)
    rng = np.random.default_rng(seed)
    tokens = [codec.encode_features(one.features) for one in test]
    books = fit_frame_books(
        {str(s): [one.features for one in test if one.speaker == s] for s in range(2 * UNHEARD)}, seed=seed
    )
    done: dict[str, list[tuple[bool, bool, bool, bool, float]]] = {}
    for number in range(0, len(test), 4):
        one = test[number]
        others = [i for i, other in enumerate(test) if other.speaker != one.speaker]
        target = int(rng.choice(others))
        own, donor = tokens[number], tokens[target]
        turned = Tokens(prosody=own.prosody, content=own.content, acoustic=own.acoustic, speaker=donor.speaker)
        versions = {
            "not swapped": codec.decode_features(own),
            "all six books": codec.decode_features(turned),
            "prosody and content": codec.decode_features(turned, acoustic=False),
            "mean and deviation, no codes": exchange(one.features, test[target].features),
        }
        places = {s: every[[i for i, x in enumerate(test) if x.speaker == s]].mean(0) / scale for s in range(20)}
        way = places[test[target].speaker] - places[one.speaker]
        for name, features in versions.items():
            heard = analyse(synthesise(features))
            here = statistics(heard) / scale
            found = int((here @ judge).argmax())
            near = int(books.nearest(heard))
            gone = float((here - places[one.speaker]) @ way / (way @ way))
            ends = (test[target].speaker, one.speaker)
            done.setdefault(name, []).append((*(found == end for end in ends), *(near == end for end in ends), gone))
    print("\nspeaker swap | statistics: target | source | books: target | source | part of the way gone")
    for name, results in done.items():
        print(" | ".join([name, *(f"{share:.2f}" for share in np.array(results, dtype=float).mean(0))]))


def exchange(features: Features, target: Features) -> Features:
    """The first try's swap without its codes: means and deviations of the cepstra and of the log pitch."""
    own, other = (one.cepstrum[active(one), 1:] for one in (features, target))
    shape = (features.cepstrum[:, 1:] - own.mean(0)) / own.std(0) * other.std(0) + other.mean(0)
    logs, others = (np.log(one.hz[one.voiced]) for one in (features, target))
    hz = features.hz.copy()
    if min(len(logs), len(others)) > 1:  # one voice whispers
        hz[features.voiced] = np.exp((logs - logs.mean()) / logs.std() * others.std() + others.mean())
    return Features(hz, np.concatenate([features.cepstrum[:, :1], shape], axis=1), features.aperiodicity)


def main() -> None:
    """Print every table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    training, test, grid = speech(options.rounds, options.seed)
    seconds = sum(len(waveform) for _, waveform in training) / 16_000
    started = time.process_time()
    recordings = [Recording(speaker, analyse(waveform)) for speaker, waveform in training]
    analysed = time.process_time()
    with reporting("fit", fit_steps(WorldSettings()), "steps") as progress:
        codec = fit_recordings(recordings, seed=options.seed, progress=progress)
        fitted = time.process_time()
    print(f"{codec.id}: {seconds:.0f} s of speech; analysis {analysed - started:.0f} s, fit {fitted - analysed:.0f} s")

    started = time.process_time()
    tokens = [codec.encode(one.waveform) for one in grid]
    encoded = time.process_time()
    full = [codec.decode(one) for one in tokens]
    decoded = time.process_time()
    length = sum(len(one.waveform) for one in grid) / 16_000
    print(f"encode {(encoded - started) / length:.3f}, decode {(decoded - encoded) / length:.3f} of real time")
    print("\nstage | MCD, dB | level, dB | pitch, cents | voicing | GRID WER")
    losses = {one.stage: one for one in measure_losses(codec, (one.features for one in grid))}
    stages = {
        "original": [one.waveform for one in grid],
        "WORLD, no codes": [synthesise(one.features) for one in grid],
        "all six books": full,
        "prosody and content": [synthesise(codec.decode_features(one, acoustic=False)) for one in tokens],
    }
    for name, waveforms in stages.items():
        loss = losses.get(name)
        figures = (
            f"{loss.mcd_db:.2f} | {loss.level_db:.2f} | {loss.pitch_cents:.1f} | {loss.voicing:.4f}" if loss else "||| "
        )
        print(f"{name} | {figures} | {word_errors(grid, waveforms):.3f}", flush=True)

    print("\ntokens | phone | speaker by frame | speaker by utterance")
    coded = [codec.encode_features(one.features) for one in test]
    for stream in Tokens.BOOKS:
        probes(stream, test, [getattr(one, stream) for one in coded])
    for name, normalised in (("content: none", False), ("content: mean and deviation", True)):
        vectors = np.concatenate([plain_content(one.features, normalised) for one in recordings])
        books = fit_residual(vectors, books=2, size=BOOK_SIZE, iterations=12, rng=np.random.default_rng(options.seed))
        probes(name, test, [books.encode(plain_content(one.features, normalised)) for one in test])
    swaps(codec, test, options.seed)


if __name__ == "__main__":
    main()
