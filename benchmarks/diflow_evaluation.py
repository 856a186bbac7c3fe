"""What ``diflow_training.py`` and ``diflow_ablations.py`` measure, and on which clips: figures of held-out clips.

Every clip is a GRID command of a speaker that no network was trained on (splits val and test) in words that no
training clip says. The voice comes from another clip of the same speaker (Setting 2.0 of DiFlowDubber), never from the
clip itself. Each system's sound is judged alike: PocketSphinx with GRID's grammar, edges by level, pitch and spectrum
by WORLD, the voice by the codec's own speaker vectors and by books of frames, which read no codec.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dubflow.corpora.prepared import PreparedSet
from dubflow.errors import BadInput
from dubflow.judging.bootstrap import Interval, bootstrap, known, ratio
from dubflow.judging.content import normalised, word_error_rate
from dubflow.judging.edges import EdgeError, Edges, edge_error, mouth_edges, speech_edges
from dubflow.judging.frame_books import FrameBooks, books_of_waveforms, spoken_frames
from dubflow.judging.grid_recogniser import hear_commands, is_command
from dubflow.judging.lengths import length_error_samples
from dubflow.judging.mcd import mcd_dtw, mcd_plain, spectra_of
from dubflow.judging.prosody import prosody_error
from dubflow.judging.voice import CodecSpeaker, nearest_own, similarities
from dubflow.parallel import map_unordered
from dubflow.progress import reporting
from dubflow.speech.codecs import Tokens
from dubflow.speech.codecs.stored import load_codec
from dubflow.speech.durations import FRAME_RATE, TOKEN_RATE
from dubflow.speech.inventory import SILENCE_ID

if TYPE_CHECKING:
    from dubflow.diflow.inference.items import SilentClip

FRAME_S = 1 / FRAME_RATE
ENROLLED = 6
"""Clips a speaker from which a book of frames is made; they are not judged."""
_NEEDED = ("waveform", "phones", "stress", "token_durations", "lip", "face", "speaker", "prosody", "mouth_opening")

Waveform = NDArray[np.float32]


@dataclass(frozen=True)
class Held:
    """A clip to judge, and the clip that lends the voice."""

    clip: str
    reference: str
    speaker: str
    text: str
    seed: int


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The clips that are judged and what the judges know of all speakers.

    Attributes:
        clips: to judge. books: of every speaker of the set. voices: a reference clip of every speaker.
        left_out: how many clips of the splits were left out, by reason.
    """

    prepared: PreparedSet
    clips: tuple[Held, ...]
    books: FrameBooks
    voices: Mapping[str, str]
    left_out: Mapping[str, int]

    def arrays(self, clip: str) -> dict[str, NDArray[Any]]:
        """Of a clip."""
        return self.prepared[clip]

    def waveform(self, clip: str) -> Waveform:
        """The true sound."""
        return heard(self.prepared[clip]["waveform"])


def heard(pcm: NDArray[np.int16]) -> Waveform:
    """Stored samples in -1..1."""
    return (pcm / 32768).astype(np.float32)


def tokens_of(arrays: Mapping[str, NDArray[Any]]) -> Tokens:
    """Stored codec tokens."""
    return Tokens(**{name: arrays[name] for name in (*Tokens.BOOKS, "speaker")})


def held_out(root: Path, *, splits: Sequence[str] = ("test", "val"), most: int = 72, seed: int = 0) -> HeldOut:
    """Choose clips: of each speaker equally many, ``most`` in all, the same for the same seed.

    Raises:
        BadInput: ``benchmark.no_clips`` when nothing is left.
    """
    prepared = PreparedSet(root)
    infos = prepared.index.clips
    rng = np.random.default_rng(seed)
    learnt = {normalised(one.transcript or "") for one in infos.values() if one.split in ("train", None)}
    left: Counter[str] = Counter()
    by_speaker: dict[str, list[str]] = {}
    for clip, info in infos.items():
        if info.speaker is not None and all(name in prepared[clip] for name in _NEEDED):
            by_speaker.setdefault(info.speaker, []).append(clip)
        elif info.split in splits:
            left["without face, times, codec tokens, sound or speaker"] += 1
    shuffled = {who: [clips[i] for i in rng.permutation(len(clips))] for who, clips in sorted(by_speaker.items())}
    enrolled = {who: clips[:ENROLLED] for who, clips in shuffled.items() if len(clips) > ENROLLED}
    candidates: dict[str, list[str]] = {}
    for who, clips in shuffled.items():
        for clip in clips[ENROLLED:]:
            info = infos[clip]
            if info.split not in splits:
                continue
            why = (
                "not a GRID command"
                if not is_command(info.transcript)
                else "the sentence stands in the training split"
                if normalised(info.transcript or "") in learnt
                else ""
            )
            if why:
                left[why] += 1
            else:
                candidates.setdefault(who, []).append(clip)
    if not candidates:
        raise BadInput("benchmark.no_clips", f"{root} has no held-out GRID command: {left}.", "Prepare a GRID corpus.")
    each = -(-most // len(candidates))
    chosen = [clip for clips in candidates.values() for clip in clips[:each]][:most]
    clips_of = []
    for number, clip in enumerate(chosen):
        who = str(infos[clip].speaker)
        others = [other for other in shuffled[who] if other != clip]
        reference = others[int(rng.integers(len(others)))]
        clips_of.append(Held(clip, reference, who, str(infos[clip].transcript), number))
    books = books_of_waveforms(
        {who: [heard(prepared[clip]["waveform"]) for clip in clips] for who, clips in enrolled.items()}, seed=seed
    )
    return HeldOut(prepared, tuple(clips_of), books, {who: clips[0] for who, clips in enrolled.items()}, left)


def exact_edges(arrays: Mapping[str, NDArray[Any]]) -> Edges:
    """When the first phone starts and the last one ends, as the corpus knows it, to half a token (6 ms)."""
    ends = np.cumsum(arrays["token_durations"]) / TOKEN_RATE
    spoken = np.flatnonzero(arrays["phones"] != SILENCE_ID)
    first, last = int(spoken[0]), int(spoken[-1])
    return Edges(float(ends[first - 1]) if first else 0.0, float(ends[last]))


@dataclass(frozen=True)
class Judged:
    """What was measured of one sound; None where it is not defined.

    Attributes:
        errors, words: of the recogniser.
        to_corpus, to_sound, to_mouth: edges against the exact alignment, the true sound, the mouth's curve.
        own_voice, own_book: whether the own speaker is nearest by the codec's vectors and by the books.
    """

    errors: int
    words: int
    length_error: int | None = None
    to_corpus: EdgeError | None = None
    to_sound: EdgeError | None = None
    to_mouth: EdgeError | None = None
    own_voice: bool = False
    own_book: bool = False
    f0_correlation: float | None = None
    log_f0_rmse: float | None = None
    voicing_error: float | None = None
    mcd: float | None = None
    mcd_warped: float | None = None


@dataclass(frozen=True, eq=False)
class System:
    """Sounds of one system for every held-out clip, in their order.

    Attributes:
        in_time: whether the sound is on the clip's clock (stage 1 speaks at its own pace).
    """

    name: str
    sounds: Sequence[Waveform]
    in_time: bool = True
    judged: list[Judged] = field(default_factory=list)


def originals(held: HeldOut) -> System:
    """The true recordings."""
    return System("original", [held.waveform(one.clip) for one in held.clips])


def resynthesised(held: HeldOut, codec_folder: Path) -> System:
    """Their codec tokens decoded: what the networks can reach at best."""
    from dubflow.diflow.inference.sound import waveform_of

    codec = load_codec(codec_folder)
    sounds = []
    for one in held.clips:
        arrays = held.arrays(one.clip)
        sounds.append(waveform_of(codec, tokens_of(arrays), len(arrays["lip"])))
    return System("codec resynthesis", sounds)


def spoken_by(held: HeldOut, model: Path, *, nfe: int, seed: int, name: str = "stage 1 (speaks)") -> System:
    """Stage 1: the text in the reference's voice at a pace of its own."""
    from dubflow.diflow.inference.items import Sentence
    from dubflow.diflow.inference.speaking import speak
    from dubflow.diflow.stored import load_model

    stored = load_model(model)
    sentences = []
    for one in held.clips:
        arrays = held.arrays(one.clip)
        reference = tokens_of(held.arrays(one.reference))
        sentences.append(Sentence(arrays["phones"], arrays["stress"], reference, seed=one.seed))
    codec = stored.codec()
    return System(
        name, [codec.decode(tokens) for tokens in speak(stored.tts, sentences, settings_of(nfe, seed))], in_time=False
    )


@dataclass(frozen=True, eq=False)
class Dubbed:
    """Stage 2's sounds, and how far its plan's edges (in frames of the clip) are from the exact ones."""

    system: System
    plans: tuple[EdgeError, ...]


def silent_clips(held: HeldOut) -> list[SilentClip]:
    """The held-out clips without their sound, in the voice of another clip."""
    from dubflow.diflow.inference.items import SilentClip

    clips = []
    for one in held.clips:
        arrays = held.arrays(one.clip)
        voice = tokens_of(held.arrays(one.reference))
        seen = (arrays["phones"], arrays["stress"], arrays["lip"], arrays["face"])
        clips.append(SilentClip(*seen, voice.speaker, reference=voice, seed=one.seed))
    return clips


def dubbed_by(held: HeldOut, model: Path, *, nfe: int, seed: int, name: str = "stage 2 (dubs)") -> Dubbed:
    """Stage 2: the text to the lips of the clip, in the reference's voice."""
    from dubflow.diflow.inference.clips import dub_clips
    from dubflow.diflow.inference.sound import waveform_of
    from dubflow.diflow.stored import load_model

    stored = load_model(model)
    clips = silent_clips(held)
    codec = stored.codec()
    answers = dub_clips(stored.dubber, clips, settings_of(nfe, seed))
    sounds, plans = [], []
    for one, clip, answer in zip(held.clips, clips, answers, strict=True):
        sounds.append(waveform_of(codec, answer.tokens, clip.frames))
        arrays = held.arrays(one.clip)
        ends = np.cumsum(answer.frame_durations) / FRAME_RATE
        spoken = np.flatnonzero(arrays["phones"] != SILENCE_ID)
        first, last = int(spoken[0]), int(spoken[-1])
        plan = Edges(float(ends[first - 1]) if first else 0.0, float(ends[last]))
        plans.append(edge_error(plan, exact_edges(arrays)))
    return Dubbed(System(name, sounds), tuple(plans))


def settings_of(nfe: int, seed: int) -> Any:
    """How the networks are asked."""
    from dubflow.diflow.flow.samplers import SamplerSettings
    from dubflow.diflow.inference.settings import InferenceSettings

    return InferenceSettings(sampler=SamplerSettings(steps=nfe), seed=seed)


def judge(held: HeldOut, systems: Sequence[System], codec_folder: Path, *, workers: int | None = None) -> None:
    """Fill ``judged`` of every system."""
    speakers = list(held.voices)
    encoder = _encoder(codec_folder)
    references = {clip: encoder.embed(held.waveform(clip)) for clip in {one.reference for one in held.clips}}
    voices = np.stack([encoder.embed(held.waveform(clip)) for clip in held.voices.values()])
    jobs = []
    for system in systems:
        for number, (one, sound) in enumerate(zip(held.clips, system.sounds, strict=True)):
            arrays = held.arrays(one.clip)
            candidates = voices.copy()
            candidates[speakers.index(one.speaker)] = references[one.reference]
            jobs.append(
                _Job(
                    (system.name, number),
                    sound,
                    held.waveform(one.clip) if system.in_time else None,
                    held.waveform(one.clip),
                    np.array(arrays["mouth_opening"]),
                    exact_edges(arrays),
                    candidates,
                    speakers.index(one.speaker),
                    held.books,
                    codec_folder,
                )
            )
    measured: dict[tuple[str, int], dict[str, Any]] = {}
    with reporting("judge", len(jobs), "sounds") as progress:
        for _, (place, values) in map_unordered(_measure, jobs, workers=workers):
            measured[place] = values
            progress.advance()
    for system in systems:
        texts = hear_commands(system.sounds, workers=workers)
        for number, (one, text) in enumerate(zip(held.clips, texts, strict=True)):
            wer = word_error_rate([one.text], [text])
            system.judged.append(Judged(errors=wer.errors, words=wer.reference, **measured[system.name, number]))


@dataclass(frozen=True, eq=False)
class _Job:
    place: tuple[str, int]
    sound: Waveform
    clock: Waveform | None
    true: Waveform
    mouth: NDArray[np.float32]
    exact: Edges
    voices: NDArray[np.float32]
    own: int
    books: FrameBooks
    codec: Path


@cache
def _encoder(codec_folder: Path) -> CodecSpeaker:
    return CodecSpeaker(load_codec(codec_folder))


def _measure(job: _Job) -> tuple[tuple[str, int], dict[str, Any]]:
    spectra, true = spectra_of(job.sound), spectra_of(job.true)
    scores = similarities(_encoder(job.codec).embed(job.sound)[None], job.voices)
    values: dict[str, Any] = {
        "own_voice": bool(nearest_own(scores, [job.own])[0]),
        # Who says nothing has nobody's voice: a failure, not a gap.
        "own_book": bool(len(spoken_frames(spectra)) and nearest_own(job.books.scores(spectra)[None], [job.own])[0]),
        "mcd_warped": mcd_dtw(true, spectra),
    }
    if job.clock is not None:
        found, wanted, mouth = speech_edges(job.sound), speech_edges(job.true), mouth_edges(job.mouth)
        if found is not None:
            values["to_corpus"] = edge_error(found, job.exact)
            values["to_sound"] = edge_error(found, wanted) if wanted else None
            values["to_mouth"] = edge_error(found, mouth) if mouth else None
        melody = prosody_error(job.true, job.sound)
        values |= {
            "length_error": length_error_samples(len(job.sound), len(job.mouth)),
            "f0_correlation": melody.f0_correlation,
            "log_f0_rmse": melody.log_f0_rmse,
            "voicing_error": melody.voicing_error,
            "mcd": mcd_plain(true, spectra),
        }
    return job.place, values


@dataclass(frozen=True)
class Column:
    """One figure of a table: its value for every clip, None where it is not defined."""

    name: str
    of: Callable[[Judged], float | None]
    digits: int = 2
    percent: bool = False


def _within(which: str) -> Callable[[Judged], float | None]:
    def inside(one: Judged) -> float | None:
        error: EdgeError | None = getattr(one, which)
        return float(error is not None and error.within(FRAME_S + 1e-9))

    return inside


COLUMNS = (
    Column("edges within a frame of the true sound's", _within("to_sound"), 1, percent=True),
    Column("of the exact alignment", _within("to_corpus"), 1, percent=True),
    Column("of the mouth's curve", _within("to_mouth"), 1, percent=True),
    Column("length error, samples", lambda one: one.length_error, 0),
    Column("own voice nearest (codec's vectors)", lambda one: float(one.own_voice), 1, percent=True),
    Column("own voice nearest (frame books)", lambda one: float(one.own_book), 1, percent=True),
    Column("F0 correlation", lambda one: one.f0_correlation),
    Column(
        "log F0 RMSE, cents", lambda one: None if one.log_f0_rmse is None else 1200 * one.log_f0_rmse / np.log(2), 0
    ),
    Column("voicing error", lambda one: one.voicing_error, 1, percent=True),
    Column("MCD, dB", lambda one: one.mcd),
    Column("MCD-DTW, dB", lambda one: one.mcd_warped),
)
_TIMED = ("edges within a frame of the true sound's", "of the exact alignment", "of the mouth's curve")


def word_errors(system: System) -> Interval:
    """Corpus WER with its interval over clips."""
    return bootstrap(np.array([[one.errors, one.words] for one in system.judged]), ratio)


def extra_word_errors(system: System, base: System) -> Interval:
    """Points of WER (0..1) more than ``base``, clip by clip."""
    rows = [[one.errors - other.errors, one.words] for one, other in zip(system.judged, base.judged, strict=True)]
    return bootstrap(np.array(rows), ratio)


def figure(system: System, column: Column) -> Interval | None:
    """A column's mean with its interval; None where it is not defined for any clip (or the sound is not in time)."""
    if column.name in _TIMED and not system.in_time:
        return None
    values = known([column.of(one) for one in system.judged])
    return bootstrap(values) if values else None


def shown(interval: Interval | None, digits: int = 2, *, percent: bool = False, clips: int | None = None) -> str:
    """``12.3 [10.1, 14.9]``, and of how many clips where that is fewer than ``clips``."""
    if interval is None:
        return "–"
    scale, unit = (100, " %") if percent else (1, "")
    low, high = interval.low * scale, interval.high * scale
    spread = "" if interval.low == interval.high else f" [{low:.{digits}f}, {high:.{digits}f}]"
    few = f" (n = {interval.clips})" if clips is not None and interval.clips < clips else ""
    return f"{interval.value * scale:.{digits}f}{unit}{spread}{few}"


def table(systems: Sequence[System]) -> str:
    """Figures down, systems across, in Markdown."""
    lines = ["| | " + " | ".join(system.name for system in systems) + " |", "|---" * (len(systems) + 1) + "|"]
    errors = [shown(word_errors(system), 1, percent=True) for system in systems]
    lines.append("| WER (GRID grammar) | " + " | ".join(errors) + " |")
    for column in COLUMNS:
        cells = [
            shown(figure(system, column), column.digits, percent=column.percent, clips=len(system.judged))
            for system in systems
        ]
        lines.append(f"| {column.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def headline(held: HeldOut, nfe: int) -> str:
    """What the table is of."""
    speakers = sorted({one.speaker for one in held.clips})
    left = "; ".join(f"{count} {why}" for why, count in held.left_out.items()) or "none"
    return (
        f"{held.prepared.index.world} world: {held.prepared.index.corpus}, {len(held.clips)} held-out clips of "
        f"{len(speakers)} held-out speakers ({', '.join(speakers)}), NFE {nfe}, voice from another clip of the speaker "
        f"(Setting 2.0), {len(held.voices)} voices to choose from (chance {100 / len(held.voices):.0f} %). Left out: "
        f"{left}. Intervals: bootstrap over clips, 95 %."
    )
