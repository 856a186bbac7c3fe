"""Quality control of pairs by judging's judges: those that come with the package, or large ones that somebody brings.

JUST-DUB-IT (Sec. A.1) asks Whisper what was said and ArcFace who is seen. Where their weights are named, so does this;
else the phone recogniser of seven languages, the GE2E voice encoder and the stand-in for identity are asked, which know
the embedded world and say so by their ids.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dubflow.config import load_preset
from dubflow.errors import BadInput
from dubflow.faces.crops import crop_face
from dubflow.incontext.pairs.chat import ChatSettings, HttpChat
from dubflow.incontext.pairs.quality.control import PairQuality
from dubflow.incontext.pairs.quality.judges import SceneJudge, SeenFace, Waveform
from dubflow.incontext.pairs.quality.scene import ChatScene
from dubflow.incontext.pairs.quality.settings import QualitySettings
from dubflow.judging.content import normalised, word_error_rate
from dubflow.judging.full.settings import FullJudges
from dubflow.judging.identity import EmbeddedFace, FaceEncoder, identity_similarity
from dubflow.judging.judges import read_judge_settings
from dubflow.judging.phone_judge.facts import PACKAGED
from dubflow.judging.phone_judge.rates import phone_errors
from dubflow.judging.voice import SpeakerEncoder, paired_similarity
from dubflow.speech.phonemes import phonemize

if TYPE_CHECKING:
    from dubflow.judging.phone_judge.recogniser import PhoneRecogniser

Crop = Callable[[SeenFace], NDArray[np.uint8]]


class TranscribesInLanguage(Protocol):
    """A recogniser that is told the language, such as Whisper."""

    @property
    def id(self) -> str:
        """Name and version."""

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes of those that it knows."""

    def hear(self, waveform: Waveform, language: str | None = None) -> str:
        """Words of a 16 kHz waveform."""


class PhoneSpeech:
    """Implements ``SpeechJudge`` by phones: substitutions, deletions and insertions over the phones of the text."""

    def __init__(self, folder: Path = PACKAGED) -> None:
        from dubflow.judging.phone_judge.recogniser import PhoneRecogniser

        self._recogniser: PhoneRecogniser = PhoneRecogniser.open(folder)
        self._last: tuple[Waveform, list[str]] | None = None

    @property
    def id(self) -> str:
        """Id of the recogniser."""
        return self._recogniser.id

    def error(self, waveform: Waveform, text: str, language: str) -> float | None:
        """Phone error rate; None for a language that the recogniser does not know, or a text without phones."""
        if language not in self._recogniser.facts.languages:
            return None
        try:
            wanted = [phone.symbol for phone in phonemize(text, language)]
        except BadInput:
            return None
        return phone_errors([wanted], [self._heard(waveform)]).mean if wanted else None

    def _heard(self, waveform: Waveform) -> list[str]:
        # One sound is held against two texts: it is heard once.
        if self._last is None or self._last[0] is not waveform:
            self._last = waveform, self._recogniser.hear(waveform)
        return self._last[1]


class WordSpeech:
    """Implements ``SpeechJudge`` by words of a recogniser that is told the language."""

    def __init__(self, recogniser: TranscribesInLanguage) -> None:
        self._recogniser = recogniser

    @property
    def id(self) -> str:
        """Id of the recogniser."""
        return self._recogniser.id

    def error(self, waveform: Waveform, text: str, language: str) -> float | None:
        """Word error rate on normalised text; None for a language that it does not know, or a text without words."""
        if language not in self._recogniser.languages or not normalised(text):
            return None
        return word_error_rate([text], [self._recogniser.hear(waveform, language)]).mean


class EncodedVoices:
    """Implements ``VoiceJudge`` by a speaker encoder."""

    def __init__(self, encoder: SpeakerEncoder) -> None:
        self._encoder = encoder

    @property
    def id(self) -> str:
        """Id of the encoder."""
        return self._encoder.id

    def similarity(self, waveform: Waveform, other: Waveform) -> float | None:
        """Cosine; None for a sound that is too short or in which nobody speaks."""
        try:
            first, second = (self._encoder.embed(one)[None] for one in (waveform, other))
        except BadInput:
            return None
        return float(paired_similarity(first, second)[0])


class EncodedFaces:
    """Implements ``FaceJudge`` by a face encoder and the crop that it wants."""

    def __init__(self, encoder: FaceEncoder, crop: Crop) -> None:
        self._encoder, self._crop = encoder, crop

    @property
    def id(self) -> str:
        """Id of the encoder."""
        return self._encoder.id

    def similarity(self, face: SeenFace, reference: SeenFace) -> float | None:
        """Mean cosine to the reference's mean face; None where one is not seen."""
        if not face.track.found.any() or not reference.track.found.any():
            return None
        made, true = (self._encoder.embed(self._crop(one)) for one in (face, reference))
        return identity_similarity(made, true)


def pair_quality(
    settings: QualitySettings, brought: FullJudges | None = None, scenes: SceneJudge | None = None
) -> PairQuality:
    """Quality control with judging's judges: large ones where ``brought`` names their weights, else the packaged ones.

    Args:
        scenes: a vision-language model, where there is one.

    Raises:
        WrongUse: ``install.missing_extra``.
        BadInput: for weights that are missing or do not fit, as their judges say.
    """
    named = brought or FullJudges()
    parts: dict[str, Any] = {
        "speech": PhoneSpeech() if named.whisper is None else WordSpeech(_whisper(named.whisper, named.device)),
        "voices": EncodedVoices(_voices(named)),
        "faces": EncodedFaces(EmbeddedFace(), _square) if named.arcface is None else _arcface(named),
    }
    return PairQuality(settings, scenes=scenes, **parts)


def quality_by(settings: QualitySettings, judges: str | None = None) -> PairQuality:
    """Quality control by the judges of a YAML file or preset; without one the packaged ones judge.

    Its section ``judges`` names weights of large ones, as for evaluations; ``incontext.chat`` a vision-language model.

    Raises:
        As :func:`pair_quality`, and what reading the file says.
    """
    if judges is None:
        return pair_quality(settings)
    chat = load_preset(judges, ChatSettings.section, ChatSettings)
    scenes = ChatScene(HttpChat(chat)) if chat.named else None
    return pair_quality(settings, read_judge_settings(judges).full, scenes)


def _whisper(model: str, device: str) -> TranscribesInLanguage:
    from dubflow.judging.full.whisper import Whisper

    return Whisper(model, device)


def _voices(named: FullJudges) -> SpeakerEncoder:
    if named.eres2net is not None:
        from dubflow.judging.full.eres2net.judge import Eres2NetSpeaker

        return Eres2NetSpeaker(named.eres2net, named.eres2net_variant, named.device)
    from dubflow.judging.ge2e import Ge2eSpeaker

    return Ge2eSpeaker()


def _arcface(named: FullJudges) -> EncodedFaces:
    from dubflow.judging.full.arcface.alignment import aligned_faces
    from dubflow.judging.full.arcface.encoder import ArcFaceEncoder

    assert named.arcface is not None  # asked for by whoever calls
    encoder = ArcFaceEncoder(named.arcface, named.device)
    return EncodedFaces(encoder, lambda seen: aligned_faces(seen.frames, seen.track))


def _square(seen: SeenFace) -> NDArray[np.uint8]:
    """Crops of the frames in which the face was found."""
    return crop_face(seen.frames, seen.track)[seen.track.found]
