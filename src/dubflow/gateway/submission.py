"""From what a client sends to a job: the same fields as JSON or as a form, checked before anything waits in a queue."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from dubflow.atomic import write_text
from dubflow.config import Strict
from dubflow.dubbing.planning import plan_segments, texts_of_subtitles
from dubflow.dubbing.request import SELF, SegmentText
from dubflow.errors import BadInput, DubflowError, WrongUse
from dubflow.gateway.body import parse_json
from dubflow.gateway.errors import invalid, renamed
from dubflow.gateway.jobs.request import ClonedVoice, JobOptions, JobRequest, Quality, StockVoice, Voice
from dubflow.gateway.limits import soft
from dubflow.gateway.receiving import Form
from dubflow.gateway.settings import GatewaySettings
from dubflow.gateway.stock_voices import DEFAULT, STOCK
from dubflow.gateway.uploads import Upload

_STOCK = "stock:"
_JSON_FIELDS = ("segments", "options")


class DubSubmission(Strict):
    """What to dub: a clip, what is said in it, in which language and whose voice."""

    clip: str = Field(max_length=64, description="Key of an upload; in a form also the file itself.")
    text: str | None = Field(None, description="What is said over the whole clip.")
    segments: tuple[SegmentText, ...] | None = Field(None, description="What is said when, in seconds of the clip.")
    subtitles: str | None = Field(None, description="What is said when, as SRT or WebVTT; in a form also a file.")
    language: str = Field(min_length=2, max_length=35, description="Of the text: en, es, ru, fr, de, it, el.")
    voice: str | None = Field(None, max_length=70, description=f"A stock voice: {', '.join(STOCK)}.")
    reference: str | None = Field(
        None, max_length=64, description=f"Voice to clone: key of an upload, or `{SELF}` for the clip's own."
    )
    consent: str | None = Field(None, max_length=64, description="Record of the consent for that recording.")
    engine: Literal["auto", "diflow"] = Field("auto", description="Who does it.")
    quality: Quality = Field("standard", description="How many steps it takes.")
    options: JobOptions = JobOptions()
    webhook: str | None = Field(None, max_length=2048, description="https URL that is told when it has ended.")

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if sum(one is not None for one in (self.text, self.segments, self.subtitles)) != 1:
            raise ValueError("give one of text, segments and subtitles")
        if self.voice is not None and self.consent is not None:
            raise ValueError("give either a stock voice or a consent")
        if self.consent is not None and self.reference is None:
            raise ValueError(f"a consent goes with the reference that it is for (or `{SELF}`)")
        return self


def form_content(form: Form, depth: int) -> tuple[dict[str, Any], list[str]]:
    """Fields of a submission from a form, and notices about its subtitles; ``segments`` and ``options`` are JSON in it.

    Raises:
        WrongUse: ``gateway.bad_json``, ``gateway.bad_form``.
        BadInput: what the reader of subtitles says.
    """
    content: dict[str, Any] = dict(form.texts)
    for name in _JSON_FIELDS:
        if name in content:
            content[name] = parse_json(content[name].encode(), depth)
    file = form.files.get("subtitles")
    if file is None:
        return content, []
    if "segments" in content:
        raise WrongUse("gateway.bad_form", "The form has both segments and subtitles.", "Send one of them.")
    content["segments"], notices = _cues(file.path)
    return content, notices


def said(asked: DubSubmission, settings: GatewaySettings, folder: Path) -> tuple[tuple[SegmentText, ...], list[str]]:
    """What is to be said, and notices about it.

    Args:
        folder: where a file may be put for a moment; the caller removes it.

    Raises:
        BadInput: ``gateway.too_many_segments``, ``gateway.too_much_text``, ``dubbing.nothing_to_say``; what the reader
            of subtitles says.
    """
    notices: list[str] = []
    if asked.subtitles is not None:
        path = folder / "text"
        write_text(path, asked.subtitles)
        segments, notices = _cues(path)
    else:
        segments = asked.segments if asked.segments is not None else (SegmentText(text=asked.text or ""),)
    if len(segments) > settings.segments:
        raise BadInput(
            "gateway.too_many_segments",
            f"The request has {len(segments)} segments; the limit is {settings.segments}.",
            "Cut the clip into parts.",
        )
    letters = sum(len(one.text) for one in segments)
    notice = soft(letters, settings.text_characters, settings, _too_much_text, "The texts have", " characters")
    return segments, notices if notice is None else [*notices, notice]


def voice_of(asked: DubSubmission, reference: Upload | None) -> tuple[Voice, list[str]]:
    """Who speaks: a clone only with consent, else a stock voice, with a notice where somebody else was meant.

    Raises:
        WrongUse: ``gateway.no_voice``.
    """
    if asked.consent is not None:
        stored = SELF if reference is None else reference.stored
        return ClonedVoice(consent=asked.consent, reference=stored), []
    name = (asked.voice or DEFAULT).removeprefix(_STOCK)
    if name not in STOCK:
        raise WrongUse("gateway.no_voice", f"There is no stock voice {name[:40]!r}.", f"There are: {', '.join(STOCK)}.")
    told = "the reference came without consent, so its voice is not cloned: the stock voice {} speaks"
    return StockVoice(name=name), [] if asked.reference is None else [told.format(name)]


def job_request(
    asked: DubSubmission, clip: Upload, voice: Voice, segments: Sequence[SegmentText], notices: Sequence[str]
) -> JobRequest:
    """The job, once it is known that its texts fit into the clip.

    Raises:
        WrongUse: ``gateway.bad_request``, ``speech.unknown_language``.
        BadInput: as :func:`dubflow.dubbing.planning.plan_segments`.
    """
    content = {
        "clip": clip.stored,
        "segments": tuple(segments),
        "language": asked.language,
        "voice": voice,
        "engine": asked.engine,
        "quality": asked.quality,
        "options": asked.options,
        "webhook": asked.webhook,
    }
    try:
        request = JobRequest.model_validate(content)
    except ValidationError as error:
        raise invalid(error.errors(include_url=False, include_context=False, include_input=False)) from error
    length = Fraction(clip.media.picture_s or 0).limit_denominator(90_000)
    plan = plan_segments(request.segments, request.language, length, request.dub_options())
    told = [*notices, *plan.notices, *(f"{one.text[:40]!r}: {n}" for one in plan.segments for n in one.notices)]
    return request.model_copy(update={"notices": tuple(told)})


def _too_much_text(told: str) -> BadInput:
    return BadInput("gateway.too_much_text", f"{told}.", "Cut the clip into parts.")


def _cues(path: Path) -> tuple[tuple[SegmentText, ...], list[str]]:
    try:
        segments, notices = texts_of_subtitles(path)
    except DubflowError as error:
        raise renamed(error, path, "The subtitle file") from error
    return segments, [one.replace(path.name, "subtitles", 1) for one in notices]
