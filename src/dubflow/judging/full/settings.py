"""Which large judges there are: one settings object that names their weights."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from dubflow.config import Strict
from dubflow.judging.card.functions import MetricFunction


class FullJudges(Strict):
    """Where the weights of the full judges lie. What is not named is a gap in the score card.

    ``whisper`` and ``emotion`` are read by transformers: a folder, or the id of a model that lies in its cache or that
    it may fetch; nothing is fetched that is not named here.
    """

    whisper: str | None = Field(default=None, description="Folder or hub id of a Whisper model (safetensors).")
    eres2net: Path | None = Field(default=None, description="ERes2Net's state dict (3D-Speaker, Apache-2.0).")
    eres2net_variant: Literal["en-voxceleb", "zh-cn-common"] = Field(
        default="en-voxceleb", description="Which of the published ERes2Net models the file is."
    )
    utmos: Path | None = Field(
        default=None, description="State dict of UTMOS22 strong (utmos22_strong_step7459_v1.pt of SpeechMOS)."
    )
    emotion: str | None = Field(
        default=None, description="Folder or hub id of a wav2vec 2.0, HuBERT, WavLM or data2vec-audio encoder."
    )
    device: str = Field(
        default="cpu",
        pattern=r"^(cpu|cuda(:\d+)?)$",
        description="Of torch, for judges of sound: cpu, cuda, cuda:1.",
    )
    syncnet: Path | None = Field(default=None, description="SyncNet's state dict (syncnet_v2.model).")
    arcface: Path | None = Field(default=None, description="An ArcFace network.")
    inception: Path | None = Field(default=None, description="Inception v3's state dict, of FID.")
    i3d: Path | None = Field(default=None, description="I3D's state dict (Kinetics-400), of FVD.")


def sound_judges(settings: FullJudges) -> tuple[MetricFunction, ...]:
    """The full judges of sound, one of each kind, whether its weights are named or not (``missing`` says)."""
    from dubflow.judging.full.emotion import EmotionLikeness
    from dubflow.judging.full.eres2net.judge import VSimJudge
    from dubflow.judging.full.utmos.judge import UtmosJudge
    from dubflow.judging.full.whisper import WhisperWords

    device = settings.device
    return (
        WhisperWords(settings.whisper, device),
        VSimJudge(settings.eres2net, settings.eres2net_variant, device),
        UtmosJudge(settings.utmos, device),
        EmotionLikeness(settings.emotion, device),
    )
