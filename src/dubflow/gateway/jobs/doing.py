"""One job, done: files from the storage, the voice, the dub, its outputs into the storage below the lease's fence."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubflow.atomic import write_json
from dubflow.dubbing.engine import Engine
from dubflow.dubbing.jobs import DubTask, dub_all
from dubflow.dubbing.provenance.facts import VoiceFacts
from dubflow.dubbing.provenance.sealing import facts_of, open_seal
from dubflow.dubbing.request import DubRequest
from dubflow.dubbing.result import DubResult, SegmentResult
from dubflow.dubbing.watching import check_stopped
from dubflow.errors import BadInput, OurFault
from dubflow.gateway.consent import ConsentStore, resolve_voice
from dubflow.gateway.jobs.queue import Lease
from dubflow.gateway.jobs.result import FILE_NAMES, MEDIA_TYPES, JobResult, OutputFile, OutputName
from dubflow.gateway.jobs.watching import LeaseWatch
from dubflow.gateway.settings import GatewaySettings
from dubflow.media.decode import read_audio
from dubflow.media.encode import write_audio
from dubflow.media.subtitles import Cue, write_subtitles
from dubflow.progress import Silent
from dubflow.storage import Objects


@dataclass(frozen=True)
class Speaker:
    """An engine, and which version of which package it is.

    Attributes:
        version: number in the registry; 0 for a model from no registry, None where nobody knows.
        proof: has the engine dub something, and raises where it does not; None where there is nothing to doubt.
    """

    engine: Engine[Any]
    version: int | None = None
    package: str | None = None
    proof: Callable[[], object] | None = None


@dataclass(frozen=True)
class Tools:
    """What jobs are done with.

    Attributes:
        speaker: opens the engine that is current; asked before every job.
    """

    settings: GatewaySettings
    objects: Objects
    consents: ConsentStore
    speaker: Callable[[], Speaker]


def do_job(lease: Lease, speaker: Speaker, tools: Tools, watch: LeaseWatch, scratch: Path) -> JobResult:
    """Dub, and put the outputs into the storage; nothing of it counts before the queue says so.

    Args:
        scratch: an empty folder of this job's own.

    Raises:
        BadInput: ``dubbing.cancelled`` once ``watch`` says stop, ``gateway.clip_gone``, what dubbing, reading and
            consent say. OurFault: ``storage.failed``, what engines say.
    """
    began = time.monotonic()
    request, settings = lease.job.request, tools.settings
    if request is None:
        raise OurFault("gateway.job_without_request", f"{lease.job.id} has no request.", "Send it again.")
    clip = _brought(tools.objects, request.clip, scratch / "clip")
    reference = (
        None if request.reference_key is None else _brought(tools.objects, request.reference_key, scratch / "voice")
    )
    voice = resolve_voice(
        request.voice,
        tenant=lease.job.tenant,
        language=request.language,
        clip=clip,
        reference=reference,
        consents=tools.consents,
        folder=settings.state / "voices",
    )
    watch.check = voice.check
    task = DubTask(
        DubRequest(
            clip=clip,
            segments=request.segments,
            language=request.language,
            reference=voice.reference,
            engine=request.engine,
            options=request.dub_options(),
        ),
        scratch / FILE_NAMES["video"],
    )
    seal = open_seal(
        settings.state / "signing",
        key=settings.signing_key,
        chain=settings.signing_chain,
        package=speaker.package,
        job=lease.job.id,
        voice=voice.facts,
    )
    report = dub_all([task], speaker.engine, Silent(), watch, seal)
    if report.errors:
        raise report.errors[0]
    result = report.results[0]
    check_stopped(watch)
    made = {"video": task.out, **_beside(result, scratch)}
    notices = seal(made["audio"], clip, _sealed(result, voice.facts))
    check_stopped(watch)
    voice.check()  # once more before anybody may have it: dubbing takes longer than taking consent back
    files = {name: _stored(tools.objects, lease, name, path) for name, path in made.items()}
    return JobResult.of(
        result,
        files,
        voice.facts,
        package=speaker.package,
        served_version=speaker.version,
        seconds=time.monotonic() - began,
        notices=(*request.notices, *voice.notices, *notices),
    )


def _brought(objects: Objects, key: str, folder: Path) -> Path:
    try:
        return objects.local(key, folder)
    except BadInput as error:
        raise BadInput(
            "gateway.clip_gone", "An upload of this job is not there any more.", "Upload it again, then ask again."
        ) from error


def _beside(result: DubResult, scratch: Path) -> dict[OutputName, Path]:
    """What lies beside the video: its sound, subtitles in both formats, figures of every segment."""
    paths: dict[OutputName, Path] = {name: scratch / FILE_NAMES[name] for name in ("audio", "srt", "vtt", "figures")}
    write_audio(paths["audio"], read_audio(result.out, result.sample_rate), result.sample_rate)
    cues = [_cue(segment) for segment in result.segments]
    for form in ("srt", "vtt"):
        write_subtitles(paths[form], cues)
    write_json(paths["figures"], result.model_dump(mode="json", exclude={"out", "clip"}))
    return paths


def _cue(segment: SegmentResult) -> Cue:
    """When it is heard; where nothing stands out, when it may be."""
    start, end = segment.speech_start, segment.speech_end
    if start is None or end is None or end - start < 0.001:
        start, end = segment.start, segment.end
    # An arrow or an empty line would end the cue; nobody says them.
    text = "\n".join(line.strip() for line in segment.text.replace("-->", "→").splitlines() if line.strip())
    return Cue(max(0.0, start), end, text)


def _sealed(result: DubResult, voice: VoiceFacts) -> Any:
    return facts_of(
        engine=result.engine,
        world=result.world,
        language=result.language,
        clip_sha256=result.clip_sha256,
        voice_sha256=voice.sha256,
        request=result.request,
    )


def _stored(objects: Objects, lease: Lease, name: OutputName, path: Path) -> OutputFile:
    key = lease.prefix + FILE_NAMES[name]
    fact = objects.put(key, path)
    return OutputFile(key=key, bytes=fact["bytes"], sha256=fact["sha256"], media_type=MEDIA_TYPES[name])
