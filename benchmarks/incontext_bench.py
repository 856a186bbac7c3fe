"""What the benchmarks of the in-context base share: talkers that it never met, its clips, judges of them, and tables.

All of it is the embedded world: drawn heads, espeak-ng's voices, GRID commands in several languages.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from diflow_evaluation import shown
from dubflow.config import load_preset
from dubflow.corpora.manifest import ClipRow, CorpusHeader, read_manifest
from dubflow.dubbing.stitching import resampled
from dubflow.errors import BadInput
from dubflow.faces.landmarks import MediaPipeLandmarker
from dubflow.faces.mouth import mouth_opening
from dubflow.incontext.backbone.audio import decode_audio, encode_audio
from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.backbone.video import decode_video, encode_video
from dubflow.incontext.pairs.engine_settings import SynthesisSettings
from dubflow.incontext.pairs.prompts.structure import Prompt
from dubflow.incontext.pretraining.arrays import FPS, SAMPLES
from dubflow.incontext.pretraining.material import PARTS, plans_of
from dubflow.incontext.pretraining.run import LINEAGE
from dubflow.incontext.pretraining.settings import MaterialSettings
from dubflow.judging.bootstrap import Interval, bootstrap, ratio
from dubflow.judging.content import word_error_rate
from dubflow.judging.grid_recogniser import hear_commands
from dubflow.judging.mouth_sync import mouth_sync
from dubflow.judging.phone_judge.rates import phone_errors
from dubflow.judging.phone_judge.recogniser import PhoneRecogniser
from dubflow.judging.recogniser import SAMPLE_RATE
from dubflow.media.decode import read_clip
from dubflow.speech.phonemes import phonemize
from dubflow.talkers.render import render_plans
from dubflow.talkers.scenes import ClipPlan, plan_corpus
from dubflow.talkers.settings import Kind, TalkerSettings

Frames = NDArray[np.uint8]
Waveform = NDArray[np.float32]
WORLD_SEED = 50_021
"""People of these benchmarks; a base's are those of three times its seed, and of the next two."""
_CRF = 10


@dataclass(frozen=True, eq=False)
class Piece:
    """A clip as judges take it: frames ``[F, H, W, 3]`` at 25 a second, mono sound ``[640 F]`` at 16 kHz."""

    frames: Frames
    sound: Waveform


@dataclass(frozen=True)
class Material:
    """What a base was trained on.

    Attributes:
        settings: of its clips. commands: GRID codes of all that was said to it, in whatever language.
    """

    settings: MaterialSettings
    commands: frozenset[str]

    @classmethod
    def of(cls, base: Path) -> Material:
        """As the base's lineage says it; its clips are planned anew, not drawn."""
        told = json.loads((base / LINEAGE).read_text(encoding="utf-8"))
        settings = MaterialSettings.model_validate(told["settings"]["material"])
        plans = (plan for part in PARTS for plan in plans_of(part, settings))
        return cls(settings, frozenset(turn.script.code for plan in plans for turn in plan.turns))


@dataclass(frozen=True)
class Wanted:
    """Which talkers to plan: ``count`` clips of one ``kind`` in each of the ``languages``.

    Attributes:
        variants: espeak-ng variants that they may speak with. commands: what nobody may say.
        unheard: no voice that the phone recogniser knows.
    """

    kind: Kind
    count: int
    languages: tuple[str, ...]
    variants: Callable[[str], bool]
    commands: frozenset[str]
    size: int
    event_share: float = 0.0
    gap_s: float = 0.6
    unheard: bool = True


def planned(wanted: Wanted, recogniser: PhoneRecogniser, seed: int = WORLD_SEED) -> list[ClipPlan]:
    """The first people of a world of their own who fit.

    Raises:
        BadInput: ``benchmark.too_few`` where the world has not enough of them.
    """
    settings = TalkerSettings(
        size=wanted.size,
        crf=_CRF,
        mix={wanted.kind: 1.0},
        grid_share=1.0,
        event_share=wanted.event_share,
        switch_gap_s=wanted.gap_s,
    )
    needed = 40 * (wanted.count + 4) * len(wanted.languages)
    left = dict.fromkeys(wanted.languages, wanted.count)
    found = []
    for plan in plan_corpus(identities=needed, clips=1, languages=wanted.languages, seed=seed, settings=settings):
        voice, turns = plan.people[0].voice, plan.turns
        fits = (
            left[turns[0].script.language] > 0
            and wanted.variants(voice.variant)
            and not any(turn.script.code in wanted.commands for turn in turns)
            and not (wanted.unheard and recogniser.facts.knows_voice({"variant": voice.variant, "pitch": voice.pitch}))
        )
        if fits:
            left[turns[0].script.language] -= 1
            found.append(plan)
    if any(left.values()):
        raise BadInput("benchmark.too_few", f"The world has not enough talkers: {left} are missing.", "Ask for fewer.")
    return found


def drawn(folder: Path, plans: Sequence[ClipPlan], name: str) -> list[ClipRow]:
    """The plans' clips, drawn into ``folder`` or found there; in the order of their ids."""
    header = CorpusHeader(name=name, layout="talkers", world="embedded", clips=len(plans))
    render_plans(folder, plans, header)
    return list(read_manifest(folder).rows)


def piece_of(path: Path, frames: int | None = None) -> Piece:
    """A stored clip, or its first ``frames``."""
    read = read_clip(path, fps=Fraction(FPS), sample_rate=SAMPLE_RATE)
    assert read.frames is not None
    assert read.waveform is not None
    pictures = read.frames[:frames]
    return Piece(pictures, fitted(read.waveform, len(pictures)))


def fitted(sound: Waveform, frames: int) -> Waveform:
    """A 16 kHz sound as long as ``frames``."""
    made = np.zeros(frames * SAMPLES, np.float32)
    kept = sound[: len(made)]
    made[: len(kept)] = kept
    return made


def resynthesised(net: Backbone, piece: Piece) -> Piece:
    """Through the base's own autoencoders and vocoder: what it could make at best."""
    count = len(piece.frames)
    whole = -(-(count - 1) // 8) * 8 + 1  # the last frame is held up to 8k + 1
    frames = np.concatenate([piece.frames, np.repeat(piece.frames[-1:], whole - count, axis=0)])
    tokens = net.geometry.audio_tokens(Fraction(whole, FPS))
    sound = resampled(fitted(piece.sound, whole), SAMPLE_RATE, net.geometry.sample_rate)
    seen = decode_video(net, encode_video(net, frames))[:count]
    heard, rate = decode_audio(net, encode_audio(net, sound, tokens))
    return Piece(seen, fitted(resampled(heard.mean(axis=0), rate, SAMPLE_RATE), count))


def synthesis(preset: str, material: MaterialSettings, changes: Mapping[str, Any]) -> SynthesisSettings:
    """The preset's way to make clips, at the size of the base's material, with compact prompts."""
    settings = load_preset(preset, SynthesisSettings.section, SynthesisSettings)
    sizes = {"width": material.size, "height": material.size, "form": "compact"}
    given = {name: value for name, value in changes.items() if value is not None}
    return SynthesisSettings.model_validate(settings.model_dump() | sizes | given)


def speaker_of(plan: ClipPlan) -> dict[str, str]:
    """Who speaks, as the base was told of its own clips."""
    return {"kind": "woman" if plan.people[0].presentation == "feminine" else "man"}


def one_sentence(plan: ClipPlan, frames: int) -> Prompt:
    """The prompt of a clip of one sentence."""
    script = plan.turns[0].script
    segments = [{"language": script.language, "text": script.text}]
    return Prompt.model_validate({"speaker": speaker_of(plan), "segments": segments, "frames": frames})


class Ears:
    """GRID's recogniser for English, the phone recogniser for all languages."""

    def __init__(self, recogniser: PhoneRecogniser) -> None:
        self.recogniser = recogniser

    def words(self, sounds: Sequence[Waveform], texts: Sequence[str]) -> NDArray[np.float64]:
        """Errors and words ``[n, 2]`` of English commands."""
        heard = hear_commands(sounds, workers=1)
        rates = [word_error_rate([text], [one]) for text, one in zip(texts, heard, strict=True)]
        return np.array([[rate.errors, rate.reference] for rate in rates], dtype=np.float64).reshape(-1, 2)

    def phones(self, sounds: Sequence[Waveform], texts: Sequence[str], languages: Sequence[str]) -> NDArray[np.float64]:
        """Errors and phones ``[n, 2]``."""
        rows = []
        for sound, text, language in zip(sounds, texts, languages, strict=True):
            rate = phone_errors([[one.symbol for one in phonemize(text, language)]], [self.recogniser.hear(sound)])
            rows.append([rate.errors, rate.reference])
        return np.array(rows, dtype=np.float64).reshape(-1, 2)


@dataclass(frozen=True)
class Follows:
    """Whether a mouth follows its voice: frames by which the sound is ahead, or why that cannot be said."""

    offset: int | None
    reason: str = ""

    @property
    def within(self) -> float:
        """1 within a frame; 0 also where there is no offset."""
        return float(self.offset is not None and abs(self.offset) <= 1)


def follows(piece: Piece) -> Follows:
    """The mouth of a clip against its own voice."""
    opening = opening_of(piece.frames)
    if opening is None:
        return Follows(None, "no face")
    try:
        found = mouth_sync(opening, piece.sound)
    except BadInput as error:
        return Follows(None, error.code)
    return Follows(None, "mouth or voice still") if found is None else Follows(found.offset)


def opening_of(frames: Frames) -> NDArray[np.float32] | None:
    """How far the mouth is open, ``[F]``, NaN where no face was found; None without any face."""
    tracks = MediaPipeLandmarker().landmarks(frames)
    return mouth_opening(tracks.main.landmarks) if tracks.tracks else None


def gap_of(made: NDArray[np.float64], best: NDArray[np.float64]) -> Interval:
    """Rate of ``made`` minus that of ``best``, both ``[n, 2]`` of errors over units, clip by clip."""

    def gap(rows: NDArray[np.float64]) -> float:
        return ratio(rows[:, :2]) - ratio(rows[:, 2:])

    return bootstrap(np.concatenate([made, best], axis=1), gap)


def rate_of(rows: NDArray[np.float64]) -> Interval:
    """All errors over all units."""
    return bootstrap(rows, ratio)


def mean_of(values: Iterable[float]) -> Interval | None:
    """Mean with its interval; None of nothing."""
    listed = list(values)
    return bootstrap(listed) if listed else None


def percent(interval: Interval | None, digits: int = 1) -> str:
    """As a cell, in per cent."""
    return shown(interval, digits, percent=True)


def as_json(interval: Interval | None) -> dict[str, float] | None:
    """For machines."""
    return None if interval is None else {"value": interval.value, "low": interval.low, "high": interval.high}


def grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def sheet(path: Path, rows: Sequence[tuple[str, Piece]], shots: int = 6) -> None:
    """Frames and spectrogram of each clip, one below the other."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(len(rows), shots + 2, figsize=(2 * shots + 6, 2 * len(rows)), squeeze=False)
    for row, (title, piece) in zip(axes, rows, strict=True):
        for axis, frame in zip(row, np.linspace(0, len(piece.frames) - 1, shots).astype(int), strict=False):
            axis.imshow(piece.frames[frame])
            axis.text(0.02, 0.03, f"{frame / FPS:.2f} s", fontsize=6, color="white", transform=axis.transAxes)
            axis.axis("off")
        row[0].set_title(title, fontsize=7, loc="left")
        faint = 1e-6 * np.random.default_rng(0).normal(size=len(piece.sound))  # a spectrogram of silence warns
        row[shots].specgram(piece.sound + faint, NFFT=512, noverlap=384, Fs=SAMPLE_RATE, vmin=-120)
        row[shots].set_ylim(0, 6000)
        row[shots + 1].plot(np.arange(len(piece.sound)) / SAMPLE_RATE, piece.sound, linewidth=0.4)
        row[shots + 1].set_ylim(-1, 1)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    pyplot.close(figure)
