"""A dub over HTTP: sent, followed, fetched; as JSON and as a form; what is refused before it waits."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from dubflow.media.probe import probe
from gateway.api import TEXT, Api, make_clip, running

SEGMENTS = [{"text": TEXT, "start": 0.1, "end": 0.9}]
SRT = "1\n00:00:00,100 --> 00:00:00,900\nGood morning.\n"


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An app that takes nothing on, for all that is refused."""
    with running(tmp_path_factory.mktemp("idle")) as made:
        yield made


@pytest.fixture(scope="module")
def dubbed(tmp_path_factory: pytest.TempPathFactory, clip: Path) -> Iterator[tuple[Api, str]]:
    """An app, and the address of a dub that is done."""
    with running(tmp_path_factory.mktemp("dubbed")) as api:
        key = api.upload(clip)
        made = api.ask("POST", "/v1/dubs", json={"clip": key, "segments": SEGMENTS, "language": "en", "voice": "alder"})
        dub = made.json()
        assert (made.status_code, made.headers["location"]) == (202, dub["links"]["self"])
        assert (dub["state"], dub["stage"], dub["voice"]) == ("queued", "waiting", "stock:alder")
        assert api.ask("GET", f"{dub['links']['self']}/result").json()["code"] == "gateway.not_finished"
        assert api.work() == 1
        yield api, dub["links"]["self"]


def test_a_clip_is_uploaded_dubbed_and_fetched(dubbed: tuple[Api, str], clip: Path, tmp_path: Path) -> None:
    api, path = dubbed
    done = api.ask("GET", path).json()
    assert (done["state"], done["percent"], done["served_version"], done["error"]) == ("done", 100.0, 4, None)
    result = api.ask("GET", done["links"]["result"]).json()
    assert (result["voice"]["name"], result["world"]) == ("alder", "embedded")
    assert any("stock voice" in one for one in result["notices"])
    assert set(result["files"]) == {"video", "audio", "srt", "vtt", "figures"}
    for name, file in result["files"].items():
        content = api.ask("GET", file["url"])
        assert content.status_code == 200, name
        assert content.headers["content-type"].partition(";")[0] == file["media_type"]
        assert len(content.content) == file["bytes"]
        assert hashlib.sha256(content.content).hexdigest() == file["sha256"]
    video = tmp_path / "dubbed.mp4"
    video.write_bytes(api.ask("GET", f"{path}/video").content)
    before, after = probe(clip), probe(video)
    assert before.video is not None
    assert after.video is not None
    assert (after.video.packets, after.video.duration) == (before.video.packets, before.video.duration)


def test_figures_and_subtitles_say_what_was_said(dubbed: tuple[Api, str]) -> None:
    api, path = dubbed
    figures = api.ask("GET", f"{path}/figures").json()
    assert TEXT in json.dumps(figures)
    assert TEXT in api.ask("GET", f"{path}/subtitles?format=vtt").text
    assert TEXT in api.ask("GET", f"{path}/subtitles").text


def test_a_form_brings_its_files(api: Api, clip: Path) -> None:
    files = {"clip": ("my clip.mp4", clip.read_bytes(), "video/mp4"), "subtitles": ("my.srt", SRT.encode())}
    sent = {"language": "en", "quality": "draft", "options": '{"seed": 7}'}
    answer = api.ask("POST", "/v1/dubs", files=files, data=sent)
    assert answer.status_code == 202, answer.text
    job = api.parts.jobs.get("one", answer.json()["id"])
    assert job.request is not None
    assert [(one.text, one.start, one.end) for one in job.request.segments] == [(TEXT, 0.1, 0.9)]
    assert job.request.dub_options().seed == 7
    assert job.request.dub_options().steps == 4
    assert not list(api.settings.spool.iterdir())


def test_the_same_bytes_have_the_same_key_and_tenants_have_different_ones(api: Api, clip: Path) -> None:
    first, again = api.upload(clip), api.upload(clip)
    assert first == again
    assert api.upload(clip, "two") != first
    assert hashlib.sha256(clip.read_bytes()).hexdigest() not in first


def test_an_idempotency_key_gives_the_same_dub_once(api: Api, clip: Path) -> None:
    once = {"Idempotency-Key": str(uuid.uuid4())}
    key = api.upload(clip)
    first, again = api.submit(key, headers=once), api.submit(key, headers=once)
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json()["id"] == again.json()["id"]
    other = api.submit(key, headers=once, text="Good evening.")
    assert (other.status_code, other.json()["code"]) == (409, "gateway.idempotency_conflict")
    assert api.submit(key, "two", headers=once).status_code == 404  # of another tenant the key means nothing
    assert len(api.ask("GET", "/v1/dubs").json()["dubs"]) == 1


def test_a_form_that_is_sent_again_is_the_same_request(api: Api, clip: Path) -> None:
    once = {"Idempotency-Key": "form-1"}
    sent = [
        api.ask(
            "POST", "/v1/dubs", files={"clip": clip.read_bytes()}, data={"language": "en", "text": TEXT}, headers=once
        )
        for _ in range(2)
    ]
    assert [one.status_code for one in sent] == [202, 200]
    assert sent[0].json()["id"] == sent[1].json()["id"]


def test_a_known_idempotency_key_is_answered_however_full_the_queue_is(tmp_path: Path, clip: Path) -> None:
    with running(tmp_path, tenant_jobs=1) as api:
        key = api.upload(clip)
        assert api.submit(key, headers={"Idempotency-Key": "a"}).status_code == 202
        full = api.submit(key, headers={"Idempotency-Key": "b"})
        assert (full.status_code, full.json()["code"]) == (429, "gateway.too_many_jobs")
        assert int(full.headers["retry-after"]) >= 1
        assert api.submit(key, headers={"Idempotency-Key": "a"}).status_code == 200


def test_a_full_queue_turns_everybody_away_with_a_time(tmp_path: Path, clip: Path) -> None:
    with running(tmp_path, queue_jobs=1) as api:
        assert api.submit(api.upload(clip)).status_code == 202
        turned = api.submit(api.upload(clip, "two"), "two")
        assert (turned.status_code, turned.json()["code"]) == (503, "gateway.overloaded")
        assert int(turned.headers["retry-after"]) >= 1


def test_a_dub_is_cancelled_and_stays_so(api: Api, clip: Path) -> None:
    dub = api.submit(api.upload(clip)).json()
    cancelled = api.ask("POST", dub["links"]["cancel"])
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert api.ask("DELETE", dub["links"]["self"]).json()["state"] == "cancelled"
    assert api.work() == 0
    ended = api.ask("GET", f"{dub['links']['self']}/result")
    assert (ended.status_code, ended.json()["code"]) == (409, "gateway.job_ended")


def test_lists_are_pages_newest_first(api: Api, clip: Path) -> None:
    key = api.upload(clip)
    made = [api.submit(key, text=f"Number {word}.").json()["id"] for word in ("one", "two", "three")]
    first = api.ask("GET", "/v1/dubs?limit=2").json()
    rest = api.ask("GET", f"/v1/dubs?limit=2&after={first['next']}").json()
    assert [one["id"] for one in (*first["dubs"], *rest["dubs"])] == made[::-1]
    assert rest["next"] is None
    assert api.ask("GET", "/v1/dubs?state=done").json()["dubs"] == []


def test_a_little_over_a_limit_is_a_notice_much_over_it_an_error(tmp_path: Path) -> None:
    with running(tmp_path / "state", clip_seconds=1.0, tolerance=0.1) as api:
        little = api.ask("POST", "/v1/uploads", content=make_clip(tmp_path / "a.mp4", 27).read_bytes())
        assert little.status_code == 201
        assert "1.08 s" in little.json()["notices"][0]
        dub = api.submit(little.json()["key"]).json()
        assert any("1.08 s" in one for one in dub["notices"])
        much = api.ask("POST", "/v1/uploads", content=make_clip(tmp_path / "b.mp4", 40).read_bytes())
        assert (much.status_code, much.json()["code"]) == (422, "gateway.clip_too_long")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"clip": "up_" + "0" * 40}, 404, "gateway.no_upload"),
        ({"clip": "../../etc/passwd"}, 404, "gateway.no_upload"),
        ({"text": None}, 400, "gateway.bad_request"),
        ({"segments": [{"text": TEXT}]}, 400, "gateway.bad_request"),
        ({"text": "", "language": "en"}, 422, "dubbing.nothing_to_say"),
        ({"text": "word " * 60}, 422, "dubbing.text_too_long"),
        ({"text": "x" * 12_000}, 422, "gateway.too_much_text"),
        ({"text": None, "segments": [{"text": TEXT, "start": 5.0, "end": 6.0}]}, 422, "dubbing.cue_outside"),
        ({"text": None, "subtitles": "no times"}, 422, "media.not_subtitles"),
        ({"language": "xx"}, 400, "speech.unknown_language"),
        ({"voice": "nobody"}, 400, "gateway.no_voice"),
        ({"quality": "superb"}, 400, "gateway.bad_request"),
        ({"unknown": 1}, 400, "gateway.bad_request"),
        ({"options": {"steps": 10**9}}, 400, "gateway.bad_request"),
        ({"consent": "con_0", "reference": "self"}, 404, "gateway.no_consent"),
        ({"consent": "con_0"}, 400, "gateway.bad_request"),
        ({"webhook": "https://169.254.169.254/latest"}, 422, "gateway.webhook_not_allowed"),
        ({"webhook": "http://example.com/"}, 422, "gateway.webhook_not_allowed"),
        ({"webhook": "ftp://example.com/"}, 422, "gateway.bad_webhook"),
    ],
)
def test_what_cannot_be_done_is_refused_before_it_waits(
    idle: Api, clip: Path, change: dict[str, object], status: int, code: str
) -> None:
    api = idle
    body = {"clip": api.upload(clip), "text": TEXT, "language": "en", **change}
    answer = api.ask("POST", "/v1/dubs", json={name: one for name, one in body.items() if one is not None})
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert set(answer.json()) == {"code", "message", "hint", "trace_id"}
    assert api.parts.jobs.counts().queued == 0


def test_a_reference_without_consent_is_spoken_by_a_stock_voice_which_is_said(api: Api, clip: Path) -> None:
    key = api.upload(clip)
    dub = api.submit(key, reference="self").json()
    assert dub["voice"] == "stock:linden"
    assert any("without consent" in one for one in dub["notices"])


def test_a_voice_is_cloned_with_consent_for_these_very_bytes(api: Api, clip: Path, tmp_path: Path) -> None:
    key, other = api.upload(clip), api.upload(make_clip(tmp_path / "other.mp4", seed=1))
    terms = {
        "person": "Maria", "how": "signed form", "given": "2026-01-01T00:00:00Z", "scope": "tests",
        "languages": ["en"], "expires": "2099-01-01T00:00:00Z", "recorded_by": "a test",
        "reference_sha256": hashlib.sha256(clip.read_bytes()).hexdigest(),
    }  # fmt: skip
    consent = api.ask("POST", "/v1/consents", json=terms)
    assert consent.status_code == 201, consent.text
    identity = consent.json()["id"]
    cloned = api.submit(key, reference="self", consent=identity)
    assert (cloned.status_code, cloned.json()["voice"]) == (202, f"consent:{identity}")
    refused = api.submit(other, reference="self", consent=identity)
    assert (refused.status_code, refused.json()["code"]) == (422, "gateway.consent_other_recording")
    assert api.submit(other, reference=key, consent=identity).status_code == 202


def test_a_file_that_is_no_media_leaves_nothing_and_no_name(api: Api) -> None:
    answer = api.ask("POST", "/v1/uploads", content=b"not a clip at all" * 100)
    assert (answer.status_code, answer.json()["code"]) == (422, "media.not_media")
    assert "The file" in answer.json()["message"]
    assert str(api.settings.state) not in answer.text
    assert not list(api.settings.spool.iterdir())


def test_ranges_of_bytes_are_served(dubbed: tuple[Api, str]) -> None:
    api, dub = dubbed
    path = f"{dub}/video"
    whole = api.ask("GET", path)
    size = len(whole.content)
    for asked, first, stop in (("bytes=0-9", 0, 10), ("bytes=10-", 10, size), ("bytes=-5", size - 5, size),
                               (f"bytes=5-{size + 100}", 5, size)):  # fmt: skip
        part = api.ask("GET", path, headers={"Range": asked})
        assert part.status_code == 206
        assert part.content == whole.content[first:stop]
        assert part.headers["content-range"] == f"bytes {first}-{stop - 1}/{size}"
    beyond = api.ask("GET", path, headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.json()["code"]) == (416, "gateway.bad_range")
    assert beyond.headers["content-range"] == f"bytes */{size}"
    tag = whole.headers["etag"]
    assert api.ask("GET", path, headers={"Range": "bytes=0-9", "If-Range": tag}).status_code == 206
    assert api.ask("GET", path, headers={"Range": "bytes=0-9", "If-Range": '"other"'}).content == whole.content
    assert api.ask("GET", path, headers={"If-None-Match": tag}).status_code == 304
    assert api.ask("GET", path, headers={"Range": "lines=1-2"}).content == whole.content
