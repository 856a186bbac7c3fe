"""What came of a job, as its row keeps it: figures and keys of files, no texts."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from dubflow.config import Strict
from dubflow.dubbing.provenance.facts import VoiceFacts
from dubflow.dubbing.result import DubResult, SegmentResult

OutputName = Literal["video", "audio", "srt", "vtt", "figures"]
MEDIA_TYPES: dict[OutputName, str] = {
    "video": "video/mp4",
    "audio": "audio/wav",
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
    "figures": "application/json",
}
FILE_NAMES: dict[OutputName, str] = {
    "video": "video.mp4",
    "audio": "audio.wav",
    "srt": "subtitles.srt",
    "vtt": "subtitles.vtt",
    "figures": "figures.json",
}


class OutputFile(Strict):
    """One file of a result."""

    key: str = Field(description="In the storage.")
    bytes: int
    sha256: str
    media_type: str


class SegmentFigures(Strict):
    """A segment without its text; fields as in :class:`SegmentResult`."""

    model_config = ConfigDict(allow_inf_nan=False)

    start: float
    end: float
    phones: int
    phones_a_second: float
    face_found: float
    planned_start: float | None
    planned_end: float | None
    speech_start: float | None
    speech_end: float | None

    @classmethod
    def of(cls, segment: SegmentResult) -> SegmentFigures:
        """What of a segment may be kept."""
        return cls(**segment.model_dump(include=set(cls.model_fields)))


class JobResult(Strict):
    """The result of a job that is done."""

    model_config = ConfigDict(allow_inf_nan=False)  # JSON has no word for them

    format: Literal["dubflow.job-result/1"] = "dubflow.job-result/1"
    files: dict[OutputName, OutputFile] = Field(description="By name; empty once their time is over.")
    engine: str
    world: Literal["embedded", "real"]
    package: str | None = Field(description="Digest of the model package that spoke.")
    served_version: int | None
    language: str
    voice: VoiceFacts = Field(description="Who spoke, and by what right.")
    duration_s: float = Field(description="Of the picture.")
    duration_error_s: float = Field(description="Written sound minus picture.")
    seconds: float = Field(description="Work of the attempt that succeeded.")
    segments: tuple[SegmentFigures, ...]
    notices: tuple[str, ...]

    @classmethod
    def of(
        cls,
        result: DubResult,
        files: dict[OutputName, OutputFile],
        voice: VoiceFacts,
        *,
        package: str | None,
        served_version: int | None,
        seconds: float,
        notices: tuple[str, ...],
    ) -> JobResult:
        """From what the dub says and what the job knows."""
        return cls(
            files=files,
            engine=result.engine,
            world=result.world,
            package=package,
            served_version=served_version,
            language=result.language,
            voice=voice,
            duration_s=result.duration_s,
            duration_error_s=result.duration_error_s,
            seconds=seconds,
            segments=tuple(map(SegmentFigures.of, result.segments)),
            notices=tuple(dict.fromkeys((*notices, *result.notices))),
        )
