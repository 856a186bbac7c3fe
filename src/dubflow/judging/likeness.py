"""How alike a clip and a recording of its item are to an encoder, as an answer of a judge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput
from dubflow.judging.card.functions import Answer, Measured, Unmeasured
from dubflow.judging.card.items import Subject
from dubflow.judging.recogniser import SAMPLE_RATE
from dubflow.judging.voice import SpeakerEncoder, paired_similarity
from dubflow.media.decode import read_audio

NO_VOICE = Unmeasured("The item has no recording of the voice.", "item")
NO_REFERENCE = Unmeasured("The item has no true recording to compare with.", "item")


def voice_of(subject: Subject) -> Path | None:
    """The recording of the voice that the clip was to have."""
    return subject.files.get("voice") or subject.files.get("reference") or subject.files.get("source")


def likeness(encoder: SpeakerEncoder, clip: NDArray[np.float32], wanted: Path) -> Answer:
    """Cosine, -1 to 1, of the vectors of a clip (16 kHz mono ``[N]``) and of the recording that it was to be like.

    What the encoder refuses of the recording is the item's doing, what it refuses of the clip the clip's.
    """
    try:
        recorded = encoder.embed(read_audio(wanted, SAMPLE_RATE))
    except BadInput as error:
        return Unmeasured(f"The recording to be like: {error}", "item")
    try:
        return Measured(float(paired_similarity(encoder.embed(clip)[None], recorded[None])[0]))
    except BadInput as error:
        return Unmeasured(str(error), "clip")
