"""The phone recogniser of seven languages.

It is trained on the `train` speakers of the corpus that `tools/starter.py` renders for its voices (seed 11, 28 people),
chosen by those of `val`, and measured on those of `test`, whom it never met.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import soxr
import torch

from dubflow.corpora.manifest import CorpusManifest, read_manifest
from dubflow.judging.judge_folder import WEIGHTS
from dubflow.judging.phone_judge.augmentation import noise, nothing_said
from dubflow.judging.phone_judge.facts import PACKAGED, PHONE_SYMBOLS, PhoneModelFacts
from dubflow.judging.phone_judge.material import SpokenClip, read_spoken, symbol_counts, voices_in
from dubflow.judging.phone_judge.rates import phone_errors
from dubflow.judging.phone_judge.recogniser import PhoneRecogniser
from dubflow.judging.phone_judge.stored import save_phone_model
from dubflow.judging.phone_judge.training import PhoneTraining, TrainedPhones, train_phones
from dubflow.judging.recogniser import SAMPLE_RATE
from dubflow.media.decode import read_audio
from dubflow.progress import reporting
from dubflow.speech.codecs.stored import load_codec
from dubflow.speech.espeak import synthesize
from dubflow.speech.phonemes import phonemize
from dubflow.speech.voices import Voice
from dubflow.talkers.voices import VOICES

ROOT = Path(__file__).resolve().parents[1]
CODEC = ROOT / "src" / "dubflow" / "starter" / "diflow" / "codec"
LANGUAGES = ("en", "es", "ru", "fr", "de", "it", "el")
RENDER = "talkers render --out voices --identities 28 --languages en,es,ru,fr,de,it,el --seed 11 --clips 144"
COMMAND = "python tools/judges.py phones OUT"
MOST_BYTES = 4 * 10**6
SNRS_DB = (20, 10, 5, 0)
STAGES = (
    PhoneTraining(),
    PhoneTraining(steps=900, until=900, warmup=50, rate=1e-3, frames=0.0, stretches=(0.8, 1.25), seed=12),
)
"""The second goes on from the first's network, with more unlike talkers and the learning rate falling to 0."""
VALIDATION_STEP = 5
"""Every fifth clip of the validation speakers is looked at while training."""

NEW_SENTENCES = {
    "en": "The bakery behind the station sells warm bread before seven.",
    "es": "La panadería detrás de la estación vende pan caliente antes de las siete.",
    "ru": "Пекарня за вокзалом продаёт тёплый хлеб до семи часов.",
    "fr": "La boulangerie derrière la gare vend du pain chaud avant sept heures.",
    "de": "Die Bäckerei hinter dem Bahnhof verkauft vor sieben warmes Brot.",
    "it": "Il forno dietro la stazione vende pane caldo prima delle sette.",
    "el": "Ο φούρνος πίσω από τον σταθμό πουλάει ζεστό ψωμί πριν από τις επτά.",
}
"""One of each language that the phrasebook of the embedded world does not have."""

Heard = Callable[[np.ndarray], np.ndarray]


def add_options(parser: argparse.ArgumentParser) -> None:
    """What a person may say."""
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of everything that is made on the way")
    parser.add_argument("--voices", type=Path, help="a corpus of voices that was rendered before")
    parser.add_argument(
        "--readings", type=Path, nargs="*", default=[], metavar="TSV", help="tables of real recordings, for the card"
    )
    parser.add_argument("--into", type=Path, default=PACKAGED, help="where the judge goes")


def make(asked: argparse.Namespace) -> int:
    """Render, train, measure, pack."""
    asked.out.mkdir(parents=True, exist_ok=True)
    corpus = read_manifest(asked.voices or _rendered(asked.out))
    trained = asked.out / "phones"
    if not (trained / WEIGHTS).is_file():
        _train(corpus, trained)
    recogniser = PhoneRecogniser.open(trained)
    tables = measured(recogniser, read_spoken(corpus, "test"), [row for path in asked.readings for row in _rows(path)])
    return _pack(recogniser, trained, tables, asked.into)


def _rendered(out: Path) -> Path:
    """The corpus below ``out``; rendering goes on where an earlier call stopped."""
    command = [sys.executable, "-m", "dubflow", *shlex.split(RENDER), "--preset", "starter", "--voices-only"]
    done = subprocess.run(command, cwd=out, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    return out / "voices"


def _train(corpus: CorpusManifest, folder: Path) -> None:
    torch.set_num_threads(1)  # sums, and so the weights, depend on how many there are
    clips, validation = read_spoken(corpus, "train"), read_spoken(corpus, "val")[::VALIDATION_STEP]
    found: TrainedPhones | None = None
    for stage in STAGES:
        with reporting("phones", None, "steps") as progress:
            found = train_phones(clips, validation, stage, start=found and found.network, progress=progress)
    assert found is not None
    store(found, corpus, clips, folder)


def store(found: TrainedPhones, corpus: CorpusManifest, clips: Sequence[SpokenClip], folder: Path) -> None:
    """The trained network as a judge without its card."""
    spoken = symbol_counts(clips)
    facts = PhoneModelFacts(
        settings=STAGES[-1].network,
        symbols=PHONE_SYMBOLS,
        unheard=tuple(symbol for symbol in PHONE_SYMBOLS if symbol not in spoken),
        languages=tuple(sorted({clip.language for clip in clips})),
        voices=voices_in(corpus, ("train", "val")),
        world=corpus.header.world,
        steps=sum(min(stage.steps, stage.until) for stage in STAGES[:-1]) + found.step,
    )
    lineage = {
        "command": COMMAND,
        "corpus": corpus.header.name,
        "made_with": corpus.header.made_with,
        "clips": len(clips),
        "minutes": round(sum(clip.waveform.size for clip in clips) / SAMPLE_RATE / 60, 1),
        "training": [stage.model_dump(mode="json") for stage in STAGES],
        "chosen": {"step": facts.steps, "validation_per": round(found.error_rate, 4)},
        "versions": {name: version(name) for name in ("torch", "espeakng_loader")},
        "threads": torch.get_num_threads(),
        "licence": "that of dubflow (Apache-2.0); trained on synthetic voices of espeak-ng",
    }
    save_phone_model(folder, found.network, facts, card="Not measured yet.", lineage=lineage)


@dataclass(frozen=True)
class Tables:
    """What the card says: figures of each language (rows) under each condition, and single figures."""

    languages: dict[str, dict[str, float]]
    single: dict[str, float]
    readings: list[tuple[str, str, int, float]]
    confusions: list[tuple[str, str, int]]


@dataclass(frozen=True)
class Reading:
    """A real recording and its transcript."""

    where: str
    path: Path
    language: str
    transcript: str


def measured(recogniser: PhoneRecogniser, clips: Sequence[SpokenClip], readings: Sequence[Reading]) -> Tables:
    """Everything that stands in the card; ``clips`` are those of speakers that the recogniser never met."""
    codec = load_codec(CODEC)
    rng = np.random.default_rng(7)
    conditions: dict[str, Heard] = {"clean": lambda wave: wave}
    for snr in SNRS_DB:
        conditions[f"noise {snr} dB"] = lambda wave, snr=snr: _noisy(wave, snr, rng)
    conditions["codec"] = lambda wave: codec.decode(codec.encode(wave))[: wave.size]
    present = [language for language in LANGUAGES if any(clip.language == language for clip in clips)]
    languages: dict[str, dict[str, float]] = {language: {} for language in present}
    third = [clip for language in present for clip in [one for one in clips if one.language == language][::3]]
    heard: dict[str, list[list[str]]] = {}
    for name, condition in conditions.items():
        # The codec takes a second a clip, and noise is no matter of single clips: a third of them will do.
        some = clips if name == "clean" else third
        heard[name] = [recogniser.hear(condition(clip.samples)) for clip in some]
        for language in present:
            chosen = [i for i, clip in enumerate(some) if clip.language == language]
            languages[language][name] = phone_errors(
                [some[i].phones for i in chosen], [heard[name][i] for i in chosen]
            ).corpus
        print(f"{name}: " + ", ".join(f"{key} {rates[name]:.3f}" for key, rates in languages.items()), flush=True)
    for language in present:
        chosen = [i for i, clip in enumerate(clips) if clip.language == language]
        turned = [*chosen[1:], chosen[0]]
        languages[language]["wrong text"] = phone_errors(
            [clips[i].phones for i in chosen], [heard["clean"][i] for i in turned]
        ).corpus
        languages[language]["new sentence"] = _of_new_sentence(recogniser, language)
    silent = [recogniser.hear(nothing_said(3 * SAMPLE_RATE, np.random.default_rng([7, k]))) for k in range(50)]
    single = {
        "all languages, clean": phone_errors([clip.phones for clip in clips], heard["clean"]).corpus,
        "phones heard in 3 s of digital silence": float(len(recogniser.hear(np.zeros(3 * SAMPLE_RATE, np.float32)))),
        "phones heard in 3 s of noise without speech, mean": float(np.mean([len(one) for one in silent])),
    }
    return Tables(languages, single, _of_readings(recogniser, readings), _confusions(clips, heard["clean"]))


def _of_new_sentence(recogniser: PhoneRecogniser, language: str) -> float:
    """Of a sentence outside the phrasebook, by every voice of whose variant the recogniser heard nothing."""
    known = {voice.variant for voice in recogniser.facts.voices}
    said, heard = [], []
    for variant, pitch in (voice for listed in VOICES.values() for voice in listed if voice[0] not in known):
        utterance = synthesize(NEW_SENTENCES[language], Voice(language=language, variant=variant, pitch=pitch))
        wave = soxr.resample(utterance.waveform, utterance.sample_rate, SAMPLE_RATE).astype(np.float32)
        said.append([phone.label for phone in utterance.phones if phone.label])
        heard.append(recogniser.hear(wave))
    return phone_errors(said, heard).corpus


def _noisy(wave: np.ndarray, snr: float, rng: np.random.Generator) -> np.ndarray:
    level = float(np.sqrt(np.square(wave).mean())) * 10 ** (-snr / 20)
    return (wave + level * noise(wave.size, rng)).astype(np.float32)


def _rows(path: Path) -> Iterable[Reading]:
    """Recordings of a table with the columns ``file``, ``language`` and ``transcript`` that have a text of ours."""
    with open(path, encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
            language, text = (row["language"] or "")[:2], (row["transcript"] or "").strip()
            if language in LANGUAGES and text:
                yield Reading(path.parent.name, path.parent / row["file"], language, text)


def _of_readings(recogniser: PhoneRecogniser, readings: Sequence[Reading]) -> list[tuple[str, str, int, float]]:
    groups: dict[tuple[str, str], list[Reading]] = {}
    for one in readings:
        groups.setdefault((one.where, one.language), []).append(one)
    found = []
    for (where, language), members in sorted(groups.items()):
        said = [[phone.symbol for phone in phonemize(one.transcript, language)] for one in members]
        heard = [recogniser.hear(read_audio(one.path, SAMPLE_RATE)) for one in members]
        found.append((where, language, len(members), phone_errors(said, heard).corpus))
        print(f"{where}, {language}: {found[-1][-1]:.3f} of {len(members)}", flush=True)
    return found


def _confusions(clips: Sequence[SpokenClip], heard: Sequence[Sequence[str]]) -> list[tuple[str, str, int]]:
    """The commonest substitutions (said, heard, how often)."""
    import jiwer

    counts: dict[tuple[str, str], int] = {}
    for clip, found in zip(clips, heard, strict=True):
        aligned = jiwer.process_words(" ".join(clip.phones), " ".join(found)).alignments[0]
        for chunk in aligned:
            if chunk.type == "substitute":
                pairs = zip(
                    clip.phones[chunk.ref_start_idx : chunk.ref_end_idx],
                    found[chunk.hyp_start_idx : chunk.hyp_end_idx],
                    strict=True,
                )
                for pair in pairs:
                    counts[pair] = counts.get(pair, 0) + 1
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [(said, found, count) for (said, found), count in ranked[:12]]


def _pack(recogniser: PhoneRecogniser, trained: Path, tables: Tables, into: Path) -> int:
    lineage: dict[str, Any] = json.loads((trained / "lineage.json").read_text("utf-8"))
    lineage["measured"] = {"per": tables.languages, **tables.single}
    facts = recogniser.facts
    weights = (trained / WEIGHTS).stat().st_size
    if weights > MOST_BYTES:
        print(f"error: the weights take {weights / 1e6:.1f} MB, more than the package carries", file=sys.stderr)
        return 3
    shutil.rmtree(into, ignore_errors=True)
    save_phone_model(into, recogniser.network, facts, card=_card(facts, lineage, tables), lineage=lineage)
    print(f"{into}: {weights / 1e6:.2f} MB; made again by: {COMMAND}")
    return 0


def _card(facts: PhoneModelFacts, lineage: dict[str, Any], tables: Tables) -> str:
    names = list(next(iter(tables.languages.values())))
    lines = [
        "# Phone recogniser",
        "",
        "A judge of what was said: phones of seven languages out of 16 kHz speech. Trained and measured on the "
        "embedded world, that is on synthetic voices.",
        "",
        "| | |",
        "|---|---|",
        f"| trained on | {lineage['clips']} clips, {lineage['minutes']:.0f} minutes, {lineage['corpus']}: the embedded "
        "world |",
        f"| voices it was trained on or chosen by | {len(facts.voices)}; it refuses to judge them |",
        f"| languages | {', '.join(facts.languages)}; it is not told which one it hears |",
        f"| phones | {len(facts.symbols)} of the inventory, {len(facts.unheard)} of which no training clip had: "
        f"{' '.join(facts.unheard)} |",
        f"| licence | {lineage['licence']} |",
        "",
        "Phone error rate on the test speakers of the same world, whom it never met (substitutions, deletions and "
        "insertions over the phones that were said). `codec` is the starter's codec, there and back; neither it nor "
        "any vocoder took part in training. `wrong text` takes the next clip's phones. The texts of these clips are "
        "of the phrasebook that it was trained with; `new sentence` is one that the phrasebook does not have, by every "
        "voice of the world of whose variant it heard nothing. Noise and codec: a third of the clips.",
        "",
        f"| language | {' | '.join(names)} |",
        f"|---|{'---:|' * len(names)}",
        *(
            f"| {language} | {' | '.join(f'{100 * rates[name]:.1f} %' for name in names)} |"
            for language, rates in tables.languages.items()
        ),
        "",
        *(
            f"- {what}: {value:.3f}" if what.startswith("all") else f"- {what}: {value:.1f}"
            for what, value in tables.single.items()
        ),
        "- commonest confusions (said > heard, times): "
        + ", ".join(f"{said} > {heard} {count}" for said, heard, count in tables.confusions),
        "",
    ]
    if tables.readings:
        lines += [
            "Real recordings, whose transcripts espeak-ng spelled (its pronunciation, which no reader keeps to). These "
            "figures are high: on real voices the judge can rank, not measure.",
            "",
            "| recordings | language | clips | phone error rate |",
            "|---|---|---:|---:|",
            *(
                f"| {where} | {language} | {count} | {100 * rate:.1f} % |"
                for where, language, count, rate in tables.readings
            ),
            "",
        ]
    lines += [
        "Limits: synthetic voices of one synthesiser, whose pronunciation is also the reference; clips of one speaker; "
        "figures may be compared only with those of this very network. The second stage of its training was decided on "
        "after the first stage's figures on these test speakers had been seen, so they are not fully blind.",
        "",
        "Made by:",
        "",
        f"    {COMMAND}",
    ]
    return "\n".join(lines)
