"""The full judges of pictures, all at once."""

from __future__ import annotations

from dubflow.judging.card.functions import MetricFunction, SetFunction
from dubflow.judging.full.arcface.judge import ArcFaceJudge
from dubflow.judging.full.i3d.judge import FvdJudge
from dubflow.judging.full.inception.judge import FidJudge
from dubflow.judging.full.settings import FullJudges
from dubflow.judging.full.syncnet.judge import SyncNetJudge

CROPS = {
    "lse_pipeline": "SyncNet's pipeline with MediaPipe's landmarks in place of S3FD: 1.4 of the face's box, 224 pixels",
    "lse_lrs": "whole frames, stretched to 224 pixels",
    "arcface": "five points onto the 112-pixel template, MediaPipe's landmarks",
    "fid": "whole frames, stretched to 299 pixels",
    "fvd": "whole frames, stretched to 224 pixels",
}
"""What the judges are shown, for a card's protocol."""


def picture_judges(settings: FullJudges) -> tuple[list[MetricFunction], list[SetFunction], dict[str, str]]:
    """Judges of clips, judges of sets, and what they are shown; whether their weights are named or not (``missing``
    says)."""
    device = settings.device
    clips: list[MetricFunction] = [
        SyncNetJudge(settings.syncnet, "lse_pipeline", device),
        SyncNetJudge(settings.syncnet, "lse_lrs", device),
        ArcFaceJudge(settings.arcface, device),
    ]
    sets: list[SetFunction] = [FidJudge(settings.inception, device), FvdJudge(settings.i3d, device)]
    return clips, sets, dict(CROPS)
