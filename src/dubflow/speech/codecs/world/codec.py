"""A speech codec of the classical kind with FACodec's token layout: WORLD's parameters, normalised and quantised.

Prosody is pitch, voicing and level; content is the envelope without the voice; acoustic is what the content leaves of
envelope, level and aperiodicity; the speaker vector puts the voice back. Nothing in it is a network: it is fitted in
minutes, and every part can be looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput
from dubflow.speech.codecs import Tokens
from dubflow.speech.codecs.world.analysis import Features, analyse, synthesise
from dubflow.speech.codecs.world.model import WorldModel, digest
from dubflow.speech.codecs.world.normalisation import (
    CLASSIFIED,
    SHAPE,
    TRAITS,
    Traits,
    aperiodicity_of,
    gate,
    measure_traits,
    shape_of,
)
from dubflow.speech.prosody import HIGHEST_HZ, LOWEST_HZ

Floats = NDArray[np.float64]

CONTENT = CLASSIFIED
"""Cepstra 1 to 24: what the content books describe."""

_VOICED_AT = 3.0
_LEVEL_SCALE = 2.5
_NEIGHBOURS = 0.4
_PITCHES = np.log([LOWEST_HZ, HIGHEST_HZ])
_RANK_OF_CEPSTRA = 1.0 / (1.0 + 0.05 * np.arange(SHAPE - 1))
_ACOUSTIC_WEIGHTS = np.concatenate([[0.5], _RANK_OF_CEPSTRA, [0.7]])


class WorldCodec:
    """Encodes and decodes one utterance at a time; equal input gives equal bytes."""

    def __init__(self, model: WorldModel) -> None:
        self._model = model
        self._id = f"world-1-{digest(model)[:16]}"

    @property
    def id(self) -> str:
        """``world-1-`` and a digest of the books and the voice model."""
        return self._id

    @property
    def model(self) -> WorldModel:
        """What was fitted."""
        return self._model

    @property
    def speaker_size(self) -> int:
        """Values of a speaker vector: three traits, then the voice."""
        return TRAITS + self._model.voices.size

    def encode(self, waveform: NDArray[np.float32]) -> Tokens:
        """Tokens of a 16 kHz mono waveform ``[N]`` in -1..1; ``L = ceil(N / 200)``, the last frame filled with zeros.

        Raises:
            BadInput: ``speech.bad_waveform``.
            WrongUse: ``install.missing_extra``.
        """
        return self.encode_features(analyse(waveform))

    def decode(self, tokens: Tokens) -> NDArray[np.float32]:
        """A 16 kHz mono waveform ``[200 L]`` in -1..1.

        Raises:
            BadInput: ``speech.bad_tokens``.
        """
        return synthesise(self.decode_features(tokens))

    def encode_features(self, features: Features) -> Tokens:
        """Tokens of what WORLD heard."""
        model = self._model
        traits, voice = self.speaker_of(features)
        speaker = np.concatenate([traits.as_vector(), voice]).astype(np.float32)
        traits, voice = split_speaker(speaker)
        prosody = model.prosody.encode(prosody_of(features, traits))
        spoken = read_prosody(model.prosody.decode(prosody))
        content = model.content.encode(self.content_of(features, voice, spoken))
        rest = self.acoustic_of(features, traits, voice, spoken, model.content.decode(content))
        return Tokens(prosody=prosody, content=content, acoustic=model.acoustic.encode(rest), speaker=speaker)

    def decode_features(self, tokens: Tokens, *, acoustic: bool = True) -> Features:
        """What WORLD shall say; without ``acoustic`` from prosody, content and speaker alone.

        Raises:
            BadInput: ``speech.bad_tokens``.
        """
        if tokens.speaker.shape != (self.speaker_size,):
            raise BadInput(
                "speech.bad_tokens",
                f"The speaker vector has {tokens.speaker.size} values; {self.id} speaks with {self.speaker_size}.",
                "Decode with the codec that encoded.",
            )
        model = self._model
        traits, voice = split_speaker(tokens.speaker)
        spoken = read_prosody(model.prosody.decode(tokens.prosody))
        level, shape = self._predicted(traits, voice, spoken, model.content.decode(tokens.content))
        if acoustic:
            rest = model.acoustic.decode(tokens.acoustic) / _ACOUSTIC_WEIGHTS
            level = level + rest[:, 0]
            shape = shape + rest[:, 1:] * model.voices.widths(gate(spoken.level), voice)
        return Features(
            hz=np.where(spoken.voiced, np.exp(np.clip(traits.pitch + traits.spread * spoken.pitch, *_PITCHES)), 0.0),
            cepstrum=np.concatenate([level[:, None], shape[:, :-1]], axis=1),
            aperiodicity=aperiodicity_of(shape, spoken.voiced, model.usual_aperiodicity),
        )

    def speaker_of(self, features: Features) -> tuple[Traits, Floats]:
        """Traits and voice ``[80 + R]`` of an utterance."""
        traits = measure_traits(features)
        shape = shape_of(features, features.voiced, self._model.usual_aperiodicity)
        return traits, self._model.voices.estimate(shape, gate(features.cepstrum[:, 0] - traits.level))

    def content_of(self, features: Features, voice: Floats, spoken: Prosody) -> NDArray[np.float32]:
        """The vectors that the content books code ``[L, 24]``: cepstra without the voice."""
        shape = shape_of(features, spoken.voiced, self._model.usual_aperiodicity)
        return averaged(self._model.voices.remove(shape, gate(spoken.level), voice)[:, :CONTENT])

    def acoustic_of(
        self, features: Features, traits: Traits, voice: Floats, spoken: Prosody, content: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """What quantised prosody and content leave of level and shape, weighted ``[L, 41]``."""
        level, shape = self._predicted(traits, voice, spoken, content)
        heard = shape_of(features, spoken.voiced, self._model.usual_aperiodicity)
        detail = (heard - shape) / self._model.voices.widths(gate(spoken.level), voice)
        rest = np.concatenate([(features.cepstrum[:, 0] - level)[:, None], detail], axis=1)
        weighted: NDArray[np.float32] = (rest * _ACOUSTIC_WEIGHTS).astype(np.float32)
        return weighted

    def _predicted(
        self, traits: Traits, voice: Floats, spoken: Prosody, content: NDArray[np.float32]
    ) -> tuple[Floats, Floats]:
        """Level ``[L]`` and shape ``[L, 40]`` from everything but the acoustic books."""
        voices = self._model.voices
        said = voices.posteriors(content.astype(np.float64)) @ voices.means  # what the content does not say is as usual
        said[:, :CONTENT] = content
        return spoken.level + traits.level, voices.restore(said, gate(spoken.level), voice)


@dataclass(frozen=True, eq=False)
class Prosody:
    """Pitch in deviations from the speaker's mean, voicing, level relative to the utterance's; each ``[L]``."""

    pitch: Floats
    voiced: NDArray[np.bool_]
    level: Floats


def prosody_of(features: Features, traits: Traits) -> NDArray[np.float32]:
    """The vectors that the prosody book codes ``[L, 3]``: pitch, voicing, level."""
    voiced = features.voiced
    pitch = (np.log(np.where(voiced, features.hz, 1.0)) - traits.pitch) / traits.spread * voiced
    level = (features.cepstrum[:, 0] - traits.level) / _LEVEL_SCALE
    vectors: NDArray[np.float32] = np.stack([pitch, _VOICED_AT * voiced, level], axis=1).astype(np.float32)
    return vectors


def read_prosody(vectors: NDArray[np.float32]) -> Prosody:
    """The inverse of :func:`prosody_of`, of rows of the book ``[L, 3]``."""
    wide = vectors.astype(np.float64)
    return Prosody(pitch=wide[:, 0], voiced=wide[:, 1] > _VOICED_AT / 2, level=wide[:, 2] * _LEVEL_SCALE)


def averaged(frames: Floats) -> NDArray[np.float32]:
    """Frames ``[L, D]``, each averaged a little with its neighbours.

    A sound lasts several frames, an accident of the analysis one: what is averaged away goes to the acoustic books.
    """
    if not len(frames):
        return frames.astype(np.float32)
    padded = np.pad(frames, ((1, 1), (0, 0)), mode="edge")
    middle = (padded[1:-1] + _NEIGHBOURS * (padded[:-2] + padded[2:])) / (1 + 2 * _NEIGHBOURS)
    vectors: NDArray[np.float32] = middle.astype(np.float32)
    return vectors


def split_speaker(speaker: NDArray[np.float32]) -> tuple[Traits, Floats]:
    """Traits and voice of a speaker vector."""
    wide = speaker.astype(np.float64)
    return Traits.from_vector(wide[:TRAITS]), wide[TRAITS:]
