"""Quality control of pairs (JUST-DUB-IT, Sec. A.1): what was said, who is heard and seen, and what the lips do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

import numpy as np
import soxr

from dubflow.faces.landmarks import Landmarker, MediaPipeLandmarker
from dubflow.incontext.pairs.engine_parts import ContextHalf, GeneratedHalf, MadePair, Measured
from dubflow.incontext.pairs.quality.judges import (
    SAMPLE_RATE,
    FaceJudge,
    SceneJudge,
    SeenFace,
    SpeechJudge,
    VoiceJudge,
    Waveform,
)
from dubflow.incontext.pairs.quality.lips import lip_figures
from dubflow.incontext.pairs.quality.settings import QualitySettings
from dubflow.incontext.pairs.quality.verdicts import verdicts

VERSION = 1
"""Part of the identity: raise it when the same pair may get other figures than before."""

_FRAMES_SHOWN = 4


class PairQuality:
    """Implements :class:`~dubflow.incontext.pairs.engine_parts.QualityControl`.

    Args:
        settings: limits. speech, voices, faces, scenes: judges. A figure whose judge is missing is not taken, and a
            limit on it refuses every pair, unless the settings let unmeasured pairs pass.
        landmarker: finds the face; one a clip.
    """

    def __init__(
        self,
        settings: QualitySettings,
        *,
        speech: SpeechJudge | None = None,
        voices: VoiceJudge | None = None,
        faces: FaceJudge | None = None,
        scenes: SceneJudge | None = None,
        landmarker: Landmarker | None = None,
    ) -> None:
        self._settings = settings
        self._speech, self._voices, self._faces, self._scenes = speech, voices, faces, scenes
        self._landmarker = landmarker or MediaPipeLandmarker()

    @property
    def measures(self) -> str:
        """Digest of what figures hang on: the checks, their judges and the landmarks."""
        judges = [None if one is None else one.id for one in (self._speech, self._voices, self._faces, self._scenes)]
        return f"measures-{_digest([VERSION, judges, self._landmarker.id])}"

    @property
    def id(self) -> str:
        """Digest of what verdicts hang on: figures and limits."""
        return f"quality-{_digest([self.measures, self._settings.model_dump(mode='json')])}"

    def measure(self, pair: MadePair) -> Measured:
        """Figures of one pair (:data:`~dubflow.incontext.pairs.quality.figures.FIGURES`); they hang on it alone.

        Raises:
            OurFault: ``incontext.chat_failed`` where a service that is asked does not answer.
        """
        sounds = {name: _heard(getattr(pair, name)) for name in ("target", "context", "other")}
        figures = {
            **self._words(pair, sounds),
            **self._voice(sounds),
            **self._looks(pair),
            **self._scene(pair),
        }
        # What is no finite number was not measured: no comparison would refuse it.
        return Measured({name: float(one) for name, one in figures.items() if one is not None and np.isfinite(one)})

    def verdicts(self, figures: Sequence[Mapping[str, float]]) -> list[tuple[str, ...]]:
        """Reasons against each of the pairs of a run."""
        return verdicts(figures, self._settings)

    def _words(self, pair: MadePair, sounds: Mapping[str, Waveform]) -> dict[str, float | None]:
        if self._speech is None:
            return {}
        target = self._speech.error(sounds["target"], pair.target_said, pair.target_language)
        own = self._speech.error(sounds["context"], pair.context_said, pair.context_language)
        old = self._speech.error(sounds["context"], pair.target_said, pair.target_language)
        margin = None if own is None or old is None else old - own
        return {"words_target": target, "words_context": own, "words_margin": margin}

    def _voice(self, sounds: Mapping[str, Waveform]) -> dict[str, float | None]:
        if self._voices is None:
            return {}
        return {
            "voice_pair": self._voices.similarity(sounds["context"], sounds["target"]),
            "voice_language": self._voices.similarity(sounds["context"], sounds["other"]),
        }

    def _looks(self, pair: MadePair) -> dict[str, float | None]:
        context, target = (self._landmarker.landmarks(half.frames) for half in (pair.context, pair.target))
        if not context.tracks or not target.tracks:
            return {"face_found": 0.0}
        found: dict[str, float | None] = {"face_found": min(context.main.coverage, target.main.coverage)}
        found |= lip_figures(context.main, target.main)
        if self._faces is not None:
            seen = (SeenFace(pair.context.frames, context.main), SeenFace(pair.target.frames, target.main))
            found["face_pair"] = self._faces.similarity(*seen)
        return found

    def _scene(self, pair: MadePair) -> dict[str, float | None]:
        if self._scenes is None or not pair.shown:
            return {}
        # The target is what the prompt made; frames evenly spread, the first and the last left out.
        places = np.linspace(0, len(pair.target.frames) - 1, _FRAMES_SHOWN + 2)[1:-1].round().astype(int)
        return {"scene": self._scenes.agreement(pair.target.frames[places], pair.shown)}


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _heard(half: GeneratedHalf | ContextHalf) -> Waveform:
    """The sound as judges want it."""
    sound: Waveform = np.asarray(soxr.resample(half.waveform, half.sample_rate, SAMPLE_RATE), np.float32)
    return np.clip(sound, -1.0, 1.0)
