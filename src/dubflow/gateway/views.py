"""What the API answers, as models: fields are a contract, and their descriptions the documentation."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from dubflow.config import Strict
from dubflow.gateway.jobs.job import ENDED, Job, JobError, JobState
from dubflow.gateway.jobs.request import ClonedVoice
from dubflow.gateway.jobs.result import SegmentFigures
from dubflow.gateway.uploads import MediaFacts, Upload


class ErrorView(Strict):
    """Every error answers so."""

    code: str = Field(description="Stable; docs/errors.md lists every one.", examples=["gateway.no_such_job"])
    message: str = Field(description="What went wrong.")
    hint: str = Field(description="What to do next.")
    trace_id: str | None = Field(None, description="Names this request in our logs.")


class UploadView(Strict):
    """A file that was uploaded and looked at."""

    key: str = Field(description="Names it in requests; the same bytes get the same key again.")
    sha256: str = Field(description="Of its bytes; consent for a voice is bound to it.")
    bytes: int
    container: str = Field(description="Format, by content.")
    seconds: float
    picture: bool = Field(description="Whether it can be dubbed.")
    sound: bool = Field(description="Whether it can be the reference of a voice.")
    width: int | None
    height: int | None
    rate: float | None = Field(description="Frames a second.")
    notices: tuple[str, ...] = Field((), description="What was decided, one sentence each.")


class DubView(Strict):
    """A dub as it stands."""

    id: str
    state: JobState
    stage: str = Field(description="waiting, planning, looking, speaking or writing.")
    percent: float = Field(description="Of the whole job.")
    estimate_s: float | None = Field(description="Seconds until it is done, as far as earlier dubs tell.")
    revision: int = Field(description="Grows with every change; the id of its event.")
    created: datetime
    started: datetime | None
    finished: datetime | None
    attempts: int
    cancel_asked: bool
    language: str | None
    voice: str | None = Field(description="`stock:NAME`, or `consent:ID` for a cloned one.")
    quality: str | None
    engine: str | None = Field(description="Who spoke, with a digest.")
    served_version: int | None = Field(description="Version of the model in the registry; 0: from no registry.")
    notices: tuple[str, ...] = Field(description="What was decided, one sentence each.")
    error: JobError | None
    trace_id: str | None
    links: dict[str, str]


class DubPage(Strict):
    """Dubs, newest first."""

    dubs: tuple[DubView, ...]
    next: str | None = Field(description="Send it back as `after` for older ones; null: there are none.")


class ResultView(Strict):
    """What came of a dub that is done."""

    id: str
    engine: str
    package: str | None = Field(description="Digest of the model package that spoke.")
    served_version: int | None
    world: Literal["embedded", "real"] = Field(description="Where the model learnt to speak.")
    language: str
    voice: dict[str, Any] = Field(description="Who spoke: a stock voice, or under which consent.")
    duration_s: float = Field(description="Of the picture.")
    duration_error_s: float = Field(description="Sound minus picture.")
    seconds: float = Field(description="Work that it took.")
    segments: tuple[SegmentFigures, ...]
    notices: tuple[str, ...] = Field(description="What was decided, one sentence each.")
    files: dict[str, dict[str, Any]] = Field(description="By name: bytes, sha256, media_type and url.")


class ServedView(Strict):
    """A version that is loaded."""

    version: int
    package: str | None = Field(description="Digest of its package.")
    engine: str
    world: str
    languages: tuple[str, ...]
    since: str


class ModelsView(Strict):
    """What is served."""

    model: str
    mode: str = Field(description="triton or in_process.")
    current: ServedView | None
    previous: ServedView | None = Field(description="Kept loaded, for going back.")
    refused: tuple[dict[str, Any], ...] = Field(description="Versions that must not serve, and why.")


class ChangeView(Strict):
    """A change of who is champion; the server follows within seconds."""

    model: str
    action: str
    champion: int | None
    before: int | None
    by: str
    at: str
    reason: str


class HealthView(Strict):
    """How a check went."""

    fine: bool
    checks: dict[str, str] = Field(description="By name: `fine`, or the code of what is wrong.")
    seconds: float | None = Field(None, description="How long a deep look took.")


def upload_view(upload: Upload, notices: list[str]) -> UploadView:
    """An upload as its tenant sees it."""
    media: MediaFacts = upload.media
    return UploadView(
        key=upload.key,
        sha256=upload.sha256,
        bytes=upload.bytes,
        container=media.container,
        seconds=round(media.seconds, 3),
        picture=media.picture_s is not None,
        sound=media.sound,
        width=media.width,
        height=media.height,
        rate=media.rate,
        notices=tuple(notices),
    )


def dub_view(job: Job) -> DubView:
    """A job as its tenant sees it."""
    base = f"/v1/dubs/{job.id}"
    links = {"self": base, "events": f"{base}/events"}
    if job.state == "done":
        links["result"] = f"{base}/result"
    if job.state not in ENDED:
        links["cancel"] = f"{base}/cancel"
    asked = job.request
    return DubView(
        id=job.id,
        state=job.state,
        stage=job.stage,
        percent=round(job.percent, 1),
        estimate_s=None if job.estimate_s is None else round(job.estimate_s, 1),
        revision=job.revision,
        created=job.created,
        started=job.started,
        finished=job.finished,
        attempts=job.attempts,
        cancel_asked=job.cancel_asked,
        language=None if asked is None else asked.language,
        voice=None if asked is None else _voice(asked.voice),
        quality=None if asked is None else asked.quality,
        engine=job.engine,
        served_version=job.served_version,
        notices=() if asked is None else asked.notices,
        error=job.error,
        trace_id=job.trace_id,
        links=links,
    )


def _voice(voice: Any) -> str:
    return f"consent:{voice.consent}" if isinstance(voice, ClonedVoice) else f"stock:{voice.name}"
