"""The API's description (OpenAPI 3.1): an example for every request and answer, and every error an operation can give.

A test walks through it: every example request is sent, and every answer must be what is described.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from dubflow.gateway.errors import STATUS
from dubflow.gateway.examples import ANSWERS, ERRORS, FORM, REQUESTS
from dubflow.gateway.submission import DubSubmission
from dubflow.gateway.views import ErrorView

DESCRIPTION = """Send a clip, what is to be said in it and a voice; get the clip back speaking.

Every request carries an API key (`Authorization: Bearer dubflow_…`). Every error is `{code, message, hint}`.
"""
_REF = "#/components/schemas/"
_ERROR = {"$ref": _REF + "ErrorView"}
_ALWAYS = ("gateway.bad_request", "gateway.busy", "gateway.internal")
_WITH_KEY = (
    "gateway.no_key", "gateway.bad_key", "gateway.missing_scope", "gateway.rate_limited", "gateway.database_busy",
)  # fmt: skip
_WITH_BODY = ("gateway.too_large", "gateway.upload_too_slow", "gateway.content_type")
_UPLOADING = ("gateway.disk_full", "gateway.empty_upload", "gateway.too_many_uploads", "media.not_media",)  # fmt: skip
_WITH_ID = {"dub": "gateway.no_such_job", "consent": "gateway.no_consent"}
_MORE: dict[str, tuple[str, ...]] = {
    "dubs_submit": (
        "gateway.bad_json", "gateway.bad_form", "gateway.no_voice", "gateway.no_upload", "gateway.no_consent",
        "gateway.consent_other_recording", "gateway.too_much_text", "gateway.idempotency_conflict",
        "gateway.clip_too_long", "gateway.too_many_jobs", "gateway.overloaded", "dubbing.text_too_long", *_UPLOADING,
    ),
    "dubs_follow": ("gateway.bad_event_id", "gateway.too_many_streams"),
    "uploads_upload": ("gateway.bad_form", "gateway.clip_too_long", *_UPLOADING),
    "models_promote": (
        "gateway.bad_json", "gateway.no_verdict_keys", "registry.no_model", "registry.no_version",
        "registry.verdict_refuses", "registry.stale_verdict",
    ),
    "models_rollback": ("gateway.bad_json", "registry.no_model", "registry.nothing_before"),
    "voices_record": ("gateway.bad_json",),
}  # fmt: skip
_RESULTS = ("gateway.not_finished", "gateway.job_ended", "gateway.expired")
_RANGES = ("gateway.bad_range",)


def install(app: FastAPI) -> None:
    """Make the app describe itself so."""

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = describe(app)
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]


def describe(app: FastAPI) -> dict[str, Any]:
    """The description of an app."""
    schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    parts = schema["components"]["schemas"]
    for model in (ErrorView, DubSubmission):
        own = model.model_json_schema(ref_template=_REF + "{model}")
        parts.update(own.pop("$defs", {}))
        parts[model.__name__] = own
    for name in ("HTTPValidationError", "ValidationError"):  # the framework's own errors, which nobody gets
        parts.pop(name, None)
    for path, methods in schema["paths"].items():
        for operation in methods.values():
            _complete(path, operation)
    return dict(schema)


def _complete(path: str, operation: dict[str, Any]) -> None:
    """Examples, bodies and errors of one operation."""
    identity = operation["operationId"]
    if identity == "dubs_submit":
        operation["requestBody"] = _submission()
    if identity in REQUESTS:
        content = operation["requestBody"]["content"]["application/json"]
        content["examples"] = {name: {"value": value} for name, value in REQUESTS[identity].items()}
    answers = operation["responses"]
    answers.pop("422", None)
    for status, example in ANSWERS.get(identity, {}).items():
        content = answers.setdefault(status, {"description": "Successful Response"}).setdefault("content", {})
        content.setdefault("application/json", {})["example"] = example
    for code in errors_of(path, operation):
        status = str(ERRORS[code][0] or STATUS[code])
        entry = answers.setdefault(status, {"description": "An error."})
        told = entry.setdefault("content", {}).setdefault("application/json", {"schema": _ERROR})
        if _ERROR not in (told["schema"], *told["schema"].get("anyOf", ())):
            told["schema"] = {"anyOf": [told["schema"], _ERROR]}
        _, message, hint = ERRORS[code]
        value = {"code": code, "message": message, "hint": hint}
        told.setdefault("examples", {})[code] = {"value": value}


def errors_of(path: str, operation: dict[str, Any]) -> tuple[str, ...]:
    """Codes of the errors that an operation can give."""
    if not operation.get("security"):
        return _ALWAYS
    named = tuple(code for name, code in _WITH_ID.items() if f"{{{name}}}" in path)
    body = _WITH_BODY if "requestBody" in operation else ()
    files = _RESULTS if operation["tags"] == ["results"] else ()
    ranges = _RANGES if files and not path.endswith("/result") else ()
    return (*_ALWAYS, *_WITH_KEY, *named, *body, *files, *ranges, *_MORE.get(operation["operationId"], ()))


def _submission() -> dict[str, Any]:
    text = {"type": "string"}
    file = {"type": "string", "format": "binary"}
    fields = DubSubmission.model_json_schema()["properties"]
    names = {name: {**text, "description": one.get("description", "")} for name, one in fields.items()}
    form = names | {
        "clip": {"oneOf": [file, text], "description": "The file, or the key of an upload."},
        "reference": {"oneOf": [file, text], "description": names["reference"]["description"]},
        "subtitles": {"oneOf": [file, text], "description": names["subtitles"]["description"]},
        "segments": {**text, "description": "JSON, as in the other form of this request."},
        "options": {**text, "description": "JSON, as in the other form of this request."},
    }
    return {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": _REF + "DubSubmission"}},
            "multipart/form-data": {
                "schema": {"type": "object", "required": ["clip", "language"], "properties": form},
                "example": FORM,
            },
        },
    }
