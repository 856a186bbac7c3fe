"""One clip into its arrays: what ``prepare`` does to each clip, apart from where the result goes.

Raise :data:`TRANSFORM_VERSION` whenever the same clip and settings may give other arrays than before, also when that
comes from the aligner, the phonemizer or the pitch tracker, which have no ids of their own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from dubflow.corpora.manifest import ClipRow
from dubflow.corpora.settings import PrepareSettings
from dubflow.errors import BadInput
from dubflow.speech.codecs import Codec, Tokens
from dubflow.speech.durations import (
    FRAME_RATE,
    SAMPLE_RATE,
    SAMPLES_PER_FRAME,
    TOKEN_RATE,
    frames_to_tokens,
    spans_to_durations,
)
from dubflow.speech.intervals import Interval, boundaries, filled
from dubflow.speech.inventory import INVENTORY_VERSION, SILENCE_ID, encode
from dubflow.speech.phonemes import LANGUAGES, Phone, phonemize

if TYPE_CHECKING:
    from dubflow.faces.features import FaceFeatures, LipFeatures
    from dubflow.faces.landmarks import Landmarker

TRANSFORM_VERSION = 1

Alignment = Literal["given", "built_in", "none"]


@dataclass(frozen=True)
class Tools:
    """What a process builds once: the landmarker, the two extractors and, when there is one, the codec."""

    landmarker: Landmarker
    lip: LipFeatures
    face: FaceFeatures
    codec: Codec | None = None

    @property
    def ids(self) -> dict[str, str]:
        """Ids (the phoneme inventory's version among them) that go into keys and into the index."""
        return {
            "landmarker": self.landmarker.id,
            "lip": self.lip.id,
            "face": self.face.id,
            "phonemes": INVENTORY_VERSION,
        }

    @property
    def codec_id(self) -> str:
        """Id of the codec, ``none`` without one."""
        return "none" if self.codec is None else self.codec.id


@dataclass
class Prepared:
    """Arrays of one clip (see ``prepared``), its lengths, and why something is absent."""

    frames: int
    tokens: int
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    alignment: Alignment = "none"
    reasons: list[str] = field(default_factory=list)

    @property
    def phones(self) -> int:
        """Number of phones; 0 when unknown."""
        return len(self.arrays.get("phones", ()))


def build_tools(settings: PrepareSettings, codec: Codec | None) -> Tools:
    """Make the landmarker and extractors that ``settings`` ask for.

    Raises:
        BadInput: what the extractors say about their weights.
        WrongUse: ``install.missing_extra``.
    """
    from dubflow.faces.features.embedded import EmbeddedFaceFeatures, EmbeddedLipFeatures
    from dubflow.faces.landmarks import MediaPipeLandmarker

    lip: LipFeatures = EmbeddedLipFeatures()
    face: FaceFeatures = EmbeddedFaceFeatures()
    if settings.lip_weights is not None and settings.lip_features == "paper":
        from dubflow.faces.features.paper import PaperLipFeatures

        lip = PaperLipFeatures(settings.lip_weights)
    if settings.face_weights is not None and settings.face_features == "paper":
        from dubflow.faces.features.paper import PaperFaceFeatures

        face = PaperFaceFeatures(settings.face_weights)
    landmarker = MediaPipeLandmarker(max_faces=settings.max_faces, min_face_px=settings.min_face_px)
    return Tools(landmarker, lip, face, codec)


def transform(row: ClipRow, path: Path, settings: PrepareSettings, tools: Tools) -> Prepared:
    """Arrays of the clip ``row`` in the file ``path``.

    Raises:
        BadInput: what the reader says about the file, ``corpora.file_changed``, ``corpora.lengths_disagree``,
            ``corpora.no_face`` and ``corpora.no_durations`` where the settings require them.
    """
    from dubflow.media.decode import read_clip
    from dubflow.media.limits import default_limits

    limits = dataclasses.replace(default_limits(), seconds=settings.max_seconds)
    clip = read_clip(
        path, fps=Fraction(FRAME_RATE), sample_rate=SAMPLE_RATE, limits=limits, video=row.frames is not None
    )
    if clip.source.sha256 != row.sha256:
        raise BadInput(
            "corpora.file_changed",
            f"{row.path} is not the file that the manifest was made with.",
            "Import or render the corpus again.",
        )
    assert clip.waveform is not None  # read_clip gives the sound or says why not
    frames = clip.frame_count or -(-len(clip.waveform) // SAMPLES_PER_FRAME)
    waveform = fit_waveform(clip.waveform, frames, settings.length_tolerance_s)
    prepared = Prepared(frames, frames_to_tokens(frames))
    if clip.frames is not None:
        arrays, reasons = face_arrays(clip.frames, settings, tools)
        prepared.arrays |= arrays
        prepared.reasons += reasons
    _add_prosody(prepared, waveform)
    _add_phones(prepared, row, waveform, settings)
    if tools.codec is not None:
        _add_codes(prepared, tools.codec.encode(waveform))
    if settings.store_waveform:
        prepared.arrays["waveform"] = to_pcm16(waveform)
    return prepared


def fit_waveform(waveform: NDArray[np.float32], frames: int, tolerance_s: float) -> NDArray[np.float32]:
    """``waveform`` with exactly 640 samples a frame: cut, or padded with silence, at its end.

    Raises:
        BadInput: ``corpora.lengths_disagree`` when sound and picture differ by more than ``tolerance_s`` seconds.
    """
    wanted = frames * SAMPLES_PER_FRAME
    difference = (len(waveform) - wanted) / SAMPLE_RATE
    if abs(difference) > tolerance_s:
        raise BadInput(
            "corpora.lengths_disagree",
            f"The sound is {abs(difference):.2f} s {'longer' if difference > 0 else 'shorter'} than the picture.",
            "Cut both to the same length, or raise length_tolerance_s.",
        )
    return np.pad(waveform[:wanted], (0, max(0, wanted - len(waveform))))


def to_pcm16(waveform: NDArray[np.float32]) -> NDArray[np.int16]:
    """16-bit samples of a waveform in -1..1: ``round(32768 x)`` within 16 bits, so 16-bit sources come back exact."""
    return np.asarray(np.clip(np.rint(waveform * 32768.0), -32768, 32767), np.int16)


def face_arrays(
    frames: NDArray[np.uint8] | Sequence[NDArray[np.uint8]], settings: PrepareSettings, tools: Tools
) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """Features of the main face in ``frames`` ``[F, H, W, 3]`` and why something is absent; training and dubbing alike.

    Raises:
        BadInput: ``corpora.no_face`` where the settings require one.
    """
    from dubflow.faces.crops import crop_face, crop_lips
    from dubflow.faces.mouth import mouth_opening, mouth_width

    tracks = tools.landmarker.landmarks(frames)
    if not tracks.tracks:
        if settings.require_face:
            raise BadInput("corpora.no_face", f"No face in any of {len(frames)} frames.", "Leave the clip out.")
        return {}, ["no_face"]
    main = tracks.main
    lips = crop_lips(frames, main, settings.lip_size)
    faces = crop_face(frames, main, settings.face_size)
    precision = np.dtype(settings.precision)
    arrays: dict[str, NDArray[Any]] = {
        "lip": tools.lip.extract(lips).astype(precision),
        "face": tools.face.extract(faces).astype(precision),
        "mouth_opening": mouth_opening(main.landmarks),
        "mouth_width": mouth_width(main.landmarks),
        "face_found": np.asarray(main.found),
    }
    if settings.store_crops:
        arrays |= {"lip_crops": lips, "face_crops": faces}
    return arrays, [] if main.found.all() else ["face_lost_in_some_frames"]


def _add_prosody(prepared: Prepared, waveform: NDArray[np.float32]) -> None:
    from dubflow.speech.prosody import energy, pitch

    times = (np.arange(prepared.tokens) + 0.5) / TOKEN_RATE
    prepared.arrays["pitch"] = pitch(waveform, SAMPLE_RATE, times).hz.astype(np.float32)
    prepared.arrays["energy"] = energy(waveform, SAMPLE_RATE, times).astype(np.float32)


def _add_codes(prepared: Prepared, tokens: Tokens) -> None:
    if len(tokens) != prepared.tokens:
        raise BadInput(
            "corpora.tokens_disagree", f"The codec gave {len(tokens)} tokens for a clip of {prepared.tokens}."
        )
    prepared.arrays |= {name: getattr(tokens, name).astype(np.int16) for name in Tokens.BOOKS}
    prepared.arrays["speaker"] = tokens.speaker


def _add_phones(prepared: Prepared, row: ClipRow, waveform: NDArray[np.float32], settings: PrepareSettings) -> None:
    """Phones with durations where they are given or can be aligned, else phones alone, else a reason."""
    timed, prepared.alignment, reason = _timed_phones(row, waveform, settings)
    if reason is not None:
        if settings.require_durations:
            raise BadInput(
                "corpora.no_durations", f"{row.id} has no phone times ({reason}).", "Align the corpus first."
            )
        prepared.reasons.append(reason)
    # The phonemizer takes a tenth of a clip's time and tells nothing new where times and stress are given.
    written = [] if timed and row.stresses else _written_phones(prepared, row)
    if timed:
        _add_timed(prepared, timed, settings.length_tolerance_s)
        _add_stress(prepared, row, timed, written)
    elif written:
        prepared.arrays["phones"] = encode(phone.symbol for phone in written)
        prepared.arrays["stress"] = np.array([phone.stress for phone in written], np.int64)


def _timed_phones(
    row: ClipRow, waveform: NDArray[np.float32], settings: PrepareSettings
) -> tuple[Sequence[Interval], Alignment, str | None]:
    """Phone times, where they come from, and why there are none."""
    if row.phones:
        return row.phones, "given", None
    if settings.align == "given":
        return (), "none", "phones_not_given"
    if not row.transcript:
        return (), "none", "no_transcript"
    if row.language != "en" or any(segment.language != "en" for segment in row.segments):
        return (), "none", "no_aligner_for_language"
    from dubflow.speech.alignment import align_english

    try:
        return align_english(waveform, row.transcript).phones, "built_in", None
    except BadInput as error:
        return (), "none", error.code


def _add_timed(prepared: Prepared, timed: Sequence[Interval], tolerance_s: float) -> None:
    seconds = prepared.frames / FRAME_RATE
    # An alignment may end a little before or after the last frame; rounding draws its last boundary to the clip's end.
    cover = filled(timed, max(seconds, timed[-1].end))
    edges = boundaries(cover)
    prepared.arrays |= {
        "phones": encode(phone.label for phone in cover),
        "frame_durations": spans_to_durations(edges, prepared.frames, FRAME_RATE, max_drift_s=tolerance_s),
        "token_durations": spans_to_durations(edges, prepared.tokens, TOKEN_RATE, max_drift_s=tolerance_s),
    }


def _add_stress(prepared: Prepared, row: ClipRow, timed: Sequence[Interval], written: Sequence[Phone]) -> None:
    """Stress as the corpus states it, else as the written text has it where that has the very same phones."""
    spoken = [phone.label for phone in timed if not phone.silent]
    stress: list[int] = []
    if row.stresses:
        stress = [one for phone, one in zip(row.phones, row.stresses, strict=True) if not phone.silent]
    elif spoken == [phone.symbol for phone in written]:
        stress = [phone.stress for phone in written]
    else:
        prepared.reasons.append("no_stress")
    prepared.arrays["stress"] = np.zeros(len(prepared.arrays["phones"]), np.int64)
    if stress:
        prepared.arrays["stress"][prepared.arrays["phones"] != SILENCE_ID] = stress


def _written_phones(prepared: Prepared, row: ClipRow) -> list[Phone]:
    """Phones of the text, segment by segment where there are several; none, with a reason, where it cannot be told."""
    parts = [(one.text, one.language) for one in row.segments] or [(row.transcript or "", row.language or "")]
    unsupported = sorted({language for text, language in parts if text.strip() and language not in LANGUAGES})
    if unsupported:
        prepared.reasons.append("language_unknown" if unsupported == [""] else "language_unsupported")
        return []
    try:
        return [phone for text, language in parts if text.strip() for phone in phonemize(text, language)]
    except BadInput as error:
        prepared.reasons.append(error.code)
        return []
