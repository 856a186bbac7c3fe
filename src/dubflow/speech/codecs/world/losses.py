"""What the codec loses, stage by stage."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from pydantic import Field

from dubflow.config import Strict
from dubflow.speech.codecs.world.analysis import Features
from dubflow.speech.codecs.world.codec import WorldCodec
from dubflow.speech.codecs.world.normalisation import active

_NEPERS_TO_DB = 10 / np.log(10)


class StageLoss(Strict):
    """Distance of what is decoded to the original, over the frames in which somebody speaks."""

    stage: str = Field(description="Which books were read.")
    mcd_db: float = Field(
        ge=0,
        description="Mel-cepstral distortion (Kubichek, 1993): root mean square difference of the envelopes over the "
        "mel axis, without the level.",
    )
    level_db: float = Field(ge=0, description="Mean absolute difference of the level.")
    pitch_cents: float = Field(ge=0, description="Mean absolute difference where both are voiced.")
    voicing: float = Field(ge=0, le=1, description="Share of frames whose voicing differs.")


def measure_losses(codec: WorldCodec, utterances: Iterable[Features]) -> list[StageLoss]:
    """With all six books, and with prosody and content alone; empty where nobody speaks.

    WORLD without codes is the reference, so its own loss is 0 here; what WORLD itself loses against the waveform is
    measured by listening to it (``benchmarks/codec_world.py``).
    """
    heard = [one for one in utterances if active(one).any()]
    if not heard:
        return []
    tokens = [codec.encode_features(one) for one in heard]
    return [
        _compare(stage, heard, [codec.decode_features(one, acoustic=acoustic) for one in tokens])
        for stage, acoustic in (("all six books", True), ("prosody and content", False))
    ]


def _compare(stage: str, heard: list[Features], decoded: list[Features]) -> StageLoss:
    envelope, level, cents, voicing = [], [], [], []
    for one, other in zip(heard, decoded, strict=True):
        spoken = active(one)
        difference = (one.cepstrum - other.cepstrum)[spoken]
        # WORLD scales its cosines to a mean square of 1, so this is the distance of the log power over the mel axis.
        envelope.append(np.sqrt(np.square(difference[:, 1:]).sum(1)))
        level.append(np.abs(difference[:, 0]))
        voicing.append((one.voiced != other.voiced)[spoken])
        both = one.voiced & other.voiced & spoken
        cents.append(1200 * np.abs(np.log2(one.hz[both] / other.hz[both])))
    pitches = np.concatenate(cents)
    return StageLoss(
        stage=stage,
        mcd_db=float(_NEPERS_TO_DB * np.concatenate(envelope).mean()),
        level_db=float(_NEPERS_TO_DB * np.concatenate(level).mean()),
        pitch_cents=float(pitches.mean()) if pitches.size else 0.0,
        voicing=float(np.concatenate(voicing).mean()),
    )
