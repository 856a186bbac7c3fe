"""Examples of the API's description: requests that can be sent as they are, answers, and errors.

Keys and ids in them (``up_…``, ``dub_…``) stand for real ones.
"""

from __future__ import annotations

from typing import Any

UPLOAD = "up_" + "3f" * 20
DUB = "dub_01jd4m7x5qk2w9c8v6b3n1t0re"
CONSENT = "con_01jd4m7x5qk2w9c8v6b3n1t0rf"
_DIGEST = "9f" * 32
_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
_ENGINE = "diflow dubber-" + "c4" * 8

REQUESTS: dict[str, dict[str, Any]] = {
    "dubs_submit": {
        "text": {"clip": UPLOAD, "text": "Good morning.", "language": "en"},
        "segments": {
            "clip": UPLOAD,
            "segments": [{"text": "Good morning.", "start": 0.0, "end": 1.2}],
            "language": "en",
            "voice": "alder",
            "quality": "draft",
            "options": {"seed": 7, "background": "silence"},
        },
        "subtitles": {
            "clip": UPLOAD,
            "subtitles": "1\n00:00:00,000 --> 00:00:01,200\nGood morning.\n",
            "language": "en",
        },
        "cloned": {
            "clip": UPLOAD,
            "text": "Good morning.",
            "language": "en",
            "reference": "self",
            "consent": CONSENT,
        },
    },
    "models_promote": {
        "challenger": {
            "version": "challenger",
            "verdict": {"format": "dubflow.signed-verdict/1", "verdict": {"decision": "promote"}, "signature": {}},
            "reason": "Fewer wrong words on the open benchmark.",
            "seen": 3,
        }
    },
    "models_rollback": {"rollback": {"reason": "Complaints about French.", "seen": 4}},
}
"""Bodies by operation and name."""

FORM: dict[str, Any] = {
    "clip": "@clip.mp4",
    "subtitles": "@clip.srt",
    "language": "en",
    "voice": "linden",
    "quality": "standard",
}
"""A form as curl writes it: ``-F clip=@clip.mp4 …``."""

_DUB: dict[str, Any] = {
    "id": DUB,
    "state": "running",
    "stage": "speaking",
    "percent": 62.5,
    "estimate_s": 3.1,
    "revision": 5,
    "created": "2026-03-01T09:00:00Z",
    "started": "2026-03-01T09:00:01Z",
    "finished": None,
    "attempts": 1,
    "cancel_asked": False,
    "language": "en",
    "voice": "stock:linden",
    "quality": "standard",
    "engine": _ENGINE,
    "served_version": 4,
    "notices": [],
    "error": None,
    "trace_id": _TRACE,
    "links": {"self": f"/v1/dubs/{DUB}", "events": f"/v1/dubs/{DUB}/events", "cancel": f"/v1/dubs/{DUB}/cancel"},
}
_QUEUED = _DUB | {
    "state": "queued",
    "stage": "waiting",
    "percent": 0.0,
    "revision": 1,
    "started": None,
    "attempts": 0,
    "engine": None,
    "served_version": None,
}
_CANCELLED = _QUEUED | {
    "state": "cancelled",
    "revision": 2,
    "finished": "2026-03-01T09:00:01Z",
    "cancel_asked": True,
    "estimate_s": None,
    "links": {"self": f"/v1/dubs/{DUB}", "events": f"/v1/dubs/{DUB}/events"},
}
_SEGMENT = {
    "start": 0.0,
    "end": 1.2,
    "phones": 9,
    "phones_a_second": 7.5,
    "face_found": 1.0,
    "planned_start": 0.12,
    "planned_end": 1.04,
    "speech_start": 0.14,
    "speech_end": 1.06,
}
_FIGURES = {
    "format": "dubflow.dub-result/1",
    "engine": _ENGINE,
    "language": "en",
    "duration_s": 1.2,
    "segments": [_SEGMENT | {"text": "Good morning.", "notices": []}],
    "notices": [],
}
_SERVED = {
    "version": 4,
    "package": _DIGEST,
    "engine": _ENGINE,
    "world": "embedded",
    "languages": ["en", "es", "ru", "fr", "de", "it", "el"],
    "since": "2026-03-01T08:00:00+00:00",
}
_CHANGE = {
    "model": "dubber",
    "action": "promote",
    "champion": 4,
    "before": 3,
    "by": "studio/5a1c9e0d7b3f2468",
    "at": "2026-03-01T08:00:00+00:00",
    "reason": "Fewer wrong words on the open benchmark.",
}
_CONSENT = {
    "id": CONSENT,
    "terms": {
        "person": "Maria Example",
        "how": "Signed form, kept by the legal department under 2026-118.",
        "given": "2026-01-15T10:00:00Z",
        "scope": "Dubbing of the series The Lighthouse, seasons 1 and 2.",
        "languages": ["en", "fr"],
        "expires": "2099-01-15T00:00:00Z",
        "reference_sha256": _DIGEST,
        "recorded_by": "J. Example, production",
    },
    "recorded": "2026-01-15T10:05:00+00:00",
    "revoked": None,
    "history": [{"action": "given", "at": "2026-01-15T10:05:00Z", "by": "5a1c9e0d7b3f2468", "reason": ""}],
}
_REVOKED = _CONSENT | {
    "revoked": "2026-02-01T10:00:00+00:00",
    "history": [
        {"action": "given", "at": "2026-01-15T10:05:00Z", "by": "5a1c9e0d7b3f2468", "reason": ""},
        {"action": "revoked", "at": "2026-02-01T10:00:00Z", "by": "5a1c9e0d7b3f2468", "reason": "She asked us to."},
    ],
}

ANSWERS: dict[str, dict[str, Any]] = {
    "dubs_submit": {"202": _QUEUED, "200": _DUB},
    "dubs_list_dubs": {"200": {"dubs": [_DUB], "next": None}},
    "dubs_show": {"200": _DUB},
    "dubs_cancel": {"200": _CANCELLED},
    "dubs_delete": {"200": _CANCELLED},
    "results_result": {
        "200": {
            "id": DUB,
            "engine": _ENGINE,
            "package": _DIGEST,
            "served_version": 4,
            "world": "embedded",
            "language": "en",
            "voice": {"kind": "stock", "name": "linden", "consent": None, "sha256": _DIGEST},
            "duration_s": 1.2,
            "duration_error_s": 0.0,
            "seconds": 4.2,
            "segments": [_SEGMENT],
            "notices": ["a synthetic stock voice speaks (linden): no voice of a person was cloned"],
            "files": {
                "video": {
                    "bytes": 48213,
                    "sha256": _DIGEST,
                    "media_type": "video/mp4",
                    "url": f"/v1/dubs/{DUB}/video",
                }
            },
        }
    },
    "results_figures": {"200": _FIGURES},
    "uploads_upload": {
        "201": {
            "key": UPLOAD,
            "sha256": _DIGEST,
            "bytes": 48213,
            "container": "mp4",
            "seconds": 1.2,
            "picture": True,
            "sound": True,
            "width": 640,
            "height": 360,
            "rate": 25.0,
            "notices": [],
        }
    },
    "models_served": {
        "200": {
            "model": "dubber",
            "mode": "triton",
            "current": _SERVED,
            "previous": _SERVED | {"version": 3},
            "refused": [{"version": 5, "code": "serving.golden_failed", "at": "2026-03-01T08:30:00+00:00"}],
        }
    },
    "models_promote": {"200": _CHANGE},
    "models_rollback": {
        "200": _CHANGE | {"action": "rollback", "champion": 3, "before": 4, "reason": "Complaints about French."}
    },
    "voices_record": {"201": _CONSENT},
    "voices_list_consents": {"200": {"consents": [_CONSENT], "next": None}},
    "voices_show": {"200": _CONSENT},
    "voices_revoke": {"200": _REVOKED},
    "voices_voices": {
        "200": {"voices": [{"name": "linden", "description": "feminine, middle", "synthetic": True, "default": True}]}
    },
    "health_live": {"200": {"fine": True, "checks": {}, "seconds": None}},
    "health_ready": {
        "200": {"fine": True, "checks": {"database": "fine", "storage": "fine", "model": "fine"}, "seconds": None},
    },
    "health_deep": {"200": {"fine": True, "checks": {"inference": "fine"}, "seconds": 1.9}},
}
"""Bodies by operation and status."""

ERRORS: dict[str, tuple[int | None, str, str]] = {
    "gateway.bad_request": (400, "The request is not as described: language: Field required.", "See /openapi.json."),
    "gateway.bad_json": (400, "The body is not good JSON: NaN is no JSON number.", "Send one JSON document in UTF-8."),
    "gateway.bad_form": (400, "The form does not read: it ends too early.", "Send multipart/form-data."),
    "gateway.no_voice": (400, "There is no stock voice 'nobody'.", "There are: linden, aspen, alder, rowan."),
    "gateway.consent_other_recording": (
        422, "The consent con_0 was given for another recording, not for these bytes.",
        "Record consent for exactly this recording (POST /v1/consents), or choose a stock voice.",
    ),
    "gateway.too_much_text": (
        422, "The texts have 12000 characters; the limit is 10000 characters.", "Cut the clip into parts."
    ),
    "gateway.bad_event_id": (400, "Last-Event-ID is not a number.", "Send the last event's id back."),
    "gateway.empty_upload": (400, "The file has 0 bytes.", "Send the file as the body or part."),
    "gateway.no_key": (None, "The request has no API key.", "Send it as: Authorization: Bearer dubflow_…."),
    "gateway.bad_key": (None, "The API key is not valid.", "Check it; it may be expired or revoked."),
    "gateway.missing_scope": (
        None, "This API key may not do this; it lacks the scope 'submit'.",
        "Use a key with it: dubflow keys create --scopes submit.",
    ),
    "gateway.no_such_job": (None, "There is no job 'dub_0'.", "GET /v1/dubs lists yours."),
    "gateway.no_upload": (None, "There is no upload of that key.", "Upload it: POST /v1/uploads."),
    "gateway.no_consent": (None, "There is no consent 'con_0'.", "GET /v1/consents lists yours."),
    "gateway.upload_too_slow": (None, "The body came too slowly or not at all.", "Send it in one go."),
    "gateway.idempotency_conflict": (
        None, "This Idempotency-Key was used for another request.",
        "Take a new key for a new request, and send the same request again with the same key.",
    ),
    "gateway.not_finished": (None, "The dub is not done: running, 62 %.", "Follow its events."),
    "gateway.job_ended": (None, "The dub has no result: it was cancelled.", "Send it again."),
    "gateway.expired": (None, "The result is no longer kept.", "Dub the clip again."),
    "gateway.too_large": (None, "More bytes were sent than the limit of 1048576.", "Send a smaller one."),
    "gateway.content_type": (None, "The body must be JSON.", "Send Content-Type: application/json."),
    "gateway.bad_range": (None, "The file has 48213 bytes; none of those asked for.", ""),
    "gateway.clip_too_long": (
        422, "The clip has 75.2 s; the limit is 60 s.", "Cut it into parts."
    ),
    "dubbing.text_too_long": (
        422, "'Good morning, ladies and gentlemen.' has 28 phones for 0.80 s; 25 a second is the most.",
        "Shorten the text or give it more time.",
    ),
    "media.not_media": (422, "The file is not a clip in any format that is read here.", "Give a video or a sound."),
    "gateway.rate_limited": (
        None, "More than 600 requests a minute.",
        "Wait as Retry-After says; follow a job by its event stream instead of asking again and again.",
    ),
    "gateway.too_many_jobs": (
        None, "50 jobs are queued or running; the limit is 50.", "Wait for one to end, or cancel one."
    ),
    "gateway.too_many_uploads": (None, "8 uploads at the same time are the limit.", "Wait for one to end."),
    "gateway.too_many_streams": (None, "16 event streams at the same time are the limit.", "Wait for one to end."),
    "gateway.no_verdict_keys": (
        400, "This service knows no key that verdicts must be signed with, so it promotes nothing over HTTP.",
        "Set DUBFLOW_GATEWAY_VERDICT_KEYS, or promote with: dubflow models promote.",
    ),
    "registry.no_model": (None, "mlflow.db has no model 'dubber'.", "It has: none yet."),
    "registry.no_version": (None, "dubber has no version 9.", "See what it has: dubflow models list."),
    "registry.verdict_refuses": (
        422, "The gate does not say promote but refuse: word errors rose from 0.12 to 0.19.",
        "Make a better model, or decide against the gate: --override --by NAME --reason WHY.",
    ),
    "registry.stale_verdict": (
        None, "The verdict compares with the package 9f9f9f9f9f9f9f9f…; champion is version 5 (c4c4c4c4c4c4c4c4…).",
        "Run the gate again, against the champion in use.",
    ),
    "registry.nothing_before": (None, "Version 1 has no champion before it.", "Promote another one."),
    "gateway.internal": (
        500, "Something went wrong on our side.",
        "Try again; if it stays, tell whoever runs this service the trace id.",
    ),
    "gateway.busy": (None, "Too many requests at the same time.", "Try again in a moment."),
    "gateway.overloaded": (
        None, "500 jobs are waiting; no more are taken on now.", "Send it again after the time that Retry-After says."
    ),
    "gateway.database_busy": (None, "The database is busy: database is locked.", "Try again in a few seconds."),
    "gateway.disk_full": (
        None, "There is no room left to store this.", "Try again later; nothing of it was kept."
    ),
}  # fmt: skip
"""Status (None where :data:`dubflow.gateway.errors.STATUS` says it), message and hint by code."""
