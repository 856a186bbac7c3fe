"""``/v1/dubs/{id}/result`` and the files it names."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import ValidationError

from dubflow.errors import BadInput, OurFault
from dubflow.gateway.access import Caller, Reader
from dubflow.gateway.delivery import deliver
from dubflow.gateway.jobs.job import ENDED, Job
from dubflow.gateway.jobs.result import FILE_NAMES, MEDIA_TYPES, JobResult, OutputName
from dubflow.gateway.parts import parts_of
from dubflow.gateway.threads import reading
from dubflow.gateway.views import ResultView

router = APIRouter(prefix="/v1/dubs/{dub}", tags=["results"])
_ROUTES: dict[OutputName, str] = {
    "video": "video",
    "audio": "audio",
    "srt": "subtitles?format=srt",
    "vtt": "subtitles?format=vtt",
    "figures": "figures",
}


def _file(*names: OutputName) -> dict[int | str, dict[str, Any]]:
    binary = {"type": "string", "format": "binary"}
    kinds = {MEDIA_TYPES[name]: {"type": "object"} if name == "figures" else binary for name in names}
    return {
        200: {"description": "The file.", "content": {kind: {"schema": schema} for kind, schema in kinds.items()}},
        206: {"description": "The bytes that `Range` asks for."},
        304: {"description": "`If-None-Match` names it."},
    }


@router.get("/result", summary="What came of a dub")
async def result(request: Request, caller: Reader, dub: str) -> ResultView:
    """Figures, who spoke and by what right, and the files with their digests and addresses."""
    job, found = await _done(request, caller, dub)
    base = f"/v1/dubs/{job.id}"
    files = {
        name: {**file.model_dump(exclude={"key"}), "url": f"{base}/{_ROUTES[name]}"}
        for name, file in found.files.items()
    }
    asked = () if job.request is None else job.request.notices
    return ResultView(
        id=job.id,
        engine=found.engine,
        package=found.package,
        served_version=found.served_version,
        world=found.world,
        language=found.language,
        voice=found.voice.model_dump(mode="json"),
        duration_s=found.duration_s,
        duration_error_s=found.duration_error_s,
        seconds=found.seconds,
        segments=found.segments,
        notices=(*asked, *(one for one in found.notices if one not in asked)),
        files=files,
    )


@router.get("/video", summary="The dubbed clip", response_class=Response, responses=_file("video"))
async def video(request: Request, caller: Reader, dub: str) -> Response:
    """MP4 with the picture as it was and the new sound, signed; ranges of bytes."""
    return await _sent(request, caller, dub, "video")


@router.get("/audio", summary="The new sound alone", response_class=Response, responses=_file("audio"))
async def audio(request: Request, caller: Reader, dub: str) -> Response:
    """WAV, signed; ranges of bytes."""
    return await _sent(request, caller, dub, "audio")


@router.get("/subtitles", summary="What is said when", response_class=Response, responses=_file("srt", "vtt"))
async def subtitles(
    request: Request, caller: Reader, dub: str, form: Annotated[Literal["srt", "vtt"], Query(alias="format")] = "srt"
) -> Response:
    """Times of the speech as it came out."""
    return await _sent(request, caller, dub, form)


@router.get("/figures", summary="Figures of every segment", response_class=Response, responses=_file("figures"))
async def figures(request: Request, caller: Reader, dub: str) -> Response:
    """JSON: texts, times asked and spoken, pace, share of frames with a face, notices."""
    return await _sent(request, caller, dub, "figures")


async def _sent(request: Request, caller: Caller, dub: str, name: OutputName) -> Response:
    job, found = await _done(request, caller, dub)
    if name not in found.files:
        raise BadInput("gateway.expired", "The file is no longer kept.", "Dub the clip again.")
    return await deliver(request, parts_of(request).files, found.files[name], f"{job.id}-{FILE_NAMES[name]}")


async def _done(request: Request, caller: Caller, dub: str) -> tuple[Job, JobResult]:
    """A dub that is done, and its result.

    Raises:
        BadInput: ``gateway.no_such_job``, ``gateway.not_finished``, ``gateway.job_ended`` where there is no result and
            will be none, ``gateway.expired``.
    """
    job = await reading(parts_of(request).jobs.get, caller.tenant, dub)
    if job.state == "expired":
        raise BadInput("gateway.expired", "The result is no longer kept.", "Dub the clip again.")
    if job.state not in ENDED:
        raise BadInput(
            "gateway.not_finished", f"The dub is not done: {job.state}, {job.percent:.0f} %.", "Follow its events."
        )
    if job.state != "done" or job.result is None:
        why = "" if job.error is None else f" ({job.error.code})"
        raise BadInput("gateway.job_ended", f"The dub has no result: it was {job.state}{why}.", "Send it again.")
    try:
        return job, JobResult.model_validate(job.result)
    except ValidationError as error:
        raise OurFault("gateway.bad_result", "The result does not read.", "Dub the clip again.") from error
