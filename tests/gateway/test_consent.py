"""Nobody's voice is cloned without their consent, for anything but what they agreed to, or after they took it back."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DatabaseError
from sqlalchemy.schema import CreateTable

import real_postgres
from dubflow.dubbing.provenance.reading import read_provenance
from dubflow.errors import BadInput, WrongUse
from dubflow.gateway.consent import EVENTS, ConsentStore, ConsentTerms, resolve_voice
from dubflow.gateway.database import Database
from dubflow.gateway.jobs.request import ClonedVoice, StockVoice
from dubflow.gateway.stock_voices import DEFAULT, STOCK, stock_voice
from dubflow.media.decode import read_audio
from dubflow.media.digest import sha256_file
from gateway.api import Api, make_clip
from jobs_room import CLIP, Clock, open_room

START = 1_800_000_000.0
VOICE = "ab" * 32


def terms(**more: Any) -> ConsentTerms:
    content = {
        "person": "Maria Example",
        "how": "Signed form 118.",
        "given": datetime.fromtimestamp(START - 86_400, UTC),
        "scope": "The Lighthouse, season 1.",
        "languages": ["en", "fr"],
        "expires": datetime.fromtimestamp(START + 1000, UTC),
        "reference_sha256": VOICE,
        "recorded_by": "J. Example",
    }
    return ConsentTerms.model_validate(content | more)


@pytest.fixture
def clock() -> Clock:
    made = Clock()
    made.now = START
    return made


@pytest.fixture
def database(tmp_path: Path, clock: Clock) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/gateway.db", clock)
    yield made
    made.close()


@pytest.fixture
def consents(database: Database) -> ConsentStore:
    return ConsentStore(database)


def code(consents: ConsentStore, *asked: str) -> str:
    try:
        consents.check(*asked)
    except BadInput as error:
        return error.code
    return ""


def test_consent_holds_for_what_was_agreed_and_nothing_else(consents: ConsentStore, clock: Clock) -> None:
    made = consents.record("t", "key1", terms())
    assert made.terms == terms()
    assert consents.check("t", made.id, VOICE, "fr") == made
    assert consents.check("t", made.id, VOICE, "en-gb") == made
    assert code(consents, "t", made.id, "cd" * 32, "fr") == "gateway.consent_other_recording"
    assert code(consents, "t", made.id, VOICE, "de") == "gateway.consent_other_language"
    assert code(consents, "u", made.id, VOICE, "fr") == "gateway.no_consent"
    assert code(consents, "t", "con_0", VOICE, "fr") == "gateway.no_consent"
    every = consents.record("t", "key1", terms(languages=["*"]))
    assert code(consents, "t", every.id, VOICE, "ru") == ""
    clock.now = START + 1000
    assert code(consents, "t", made.id, VOICE, "fr") == "gateway.consent_expired"


def test_a_revocation_is_at_once_for_ever_and_on_record(consents: ConsentStore, clock: Clock) -> None:
    made = consents.record("t", "key1", terms())
    clock.now += 5
    ended = consents.revoke("t", made.id, "key2", "asked by letter")
    assert code(consents, "t", made.id, VOICE, "fr") == "gateway.consent_revoked"
    clock.now += 5
    assert consents.revoke("t", made.id, "key3") == ended
    assert [(one.action, one.by, one.reason) for one in ended.history] == [
        ("given", "key1", ""), ("revoked", "key2", "asked by letter"),
    ]  # fmt: skip
    assert ended.revoked is not None
    assert ended.revoked.timestamp() == START + 5
    with pytest.raises(BadInput, match="no_consent"):
        consents.revoke("u", made.id, "key2")


def test_records_make_sense(consents: ConsentStore) -> None:
    late = datetime.fromtimestamp(START + 10 * 86_400, UTC)
    with pytest.raises(BadInput, match="consent_not_yet"):
        consents.record("t", "k", terms(given=late, expires=datetime.fromtimestamp(START + 20 * 86_400, UTC)))
    with pytest.raises(BadInput, match="consent_expired"):
        consents.record("t", "k", terms(expires=datetime.fromtimestamp(START, UTC)))
    for wrong in (
        {"person": ""}, {"languages": []}, {"languages": ["tlh"]}, {"reference_sha256": "AB" * 32}, {"expires": "soon"},
        {"given": "2020-01-01T00:00:00"}, {"expires": datetime.fromtimestamp(START - 90_000, UTC)}, {"more": 1},
    ):  # fmt: skip
        with pytest.raises(ValueError, match="validation error"):
            terms(**wrong)
    assert consents.list("t") == ()


def test_pages_are_a_tenants_own_newest_first(consents: ConsentStore, clock: Clock) -> None:
    made = []
    for number in range(5):
        clock.now += 1
        made.append(consents.record("t" if number != 2 else "u", "k", terms()).id)
    consents.revoke("t", made[0], "k")
    first = consents.list("t", 3)
    assert [one.id for one in first] == [made[4], made[3], made[1]]
    rest = consents.list("t", 3, first[-1].id)
    assert [(one.id, one.revoked is not None) for one in rest] == [(made[0], True)]


def test_the_history_cannot_be_changed(consents: ConsentStore, database: Database) -> None:
    consents.record("t", "k", terms())
    for statement in ("UPDATE consent_events SET tenant = 'u'", "DELETE FROM consent_events"):
        with pytest.raises((DatabaseError, Exception), match="append-only"):
            database.write(lambda connection, statement=statement: connection.execute(text(statement)))
    assert len(consents.list("t")) == 1


def test_postgres_has_the_same_table() -> None:
    made = str(CreateTable(EVENTS).compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]
    assert "SERIAL" in made


@pytest.mark.slow
@pytest.mark.skipif(real_postgres.programs() is None, reason="no Postgres on this machine")
def test_postgres_keeps_the_history_too() -> None:
    with real_postgres.running() as url:
        database = Database(url)
        now = datetime.now(UTC)
        consents = ConsentStore(database)
        made = consents.record("t", "k", terms(given=now, expires=now.replace(year=now.year + 1)))
        assert consents.revoke("t", made.id, "k").revoked is not None
        engine = create_engine(url)
        with pytest.raises(DatabaseError, match="append-only"), engine.begin() as connection:
            connection.execute(text("DELETE FROM consent_events"))
        engine.dispose()
        database.close()


def test_a_stock_voice_is_the_same_every_time_and_nobodys(tmp_path: Path) -> None:
    one, other = (stock_voice(DEFAULT, tmp_path / folder) for folder in ("a", "b"))
    assert one.name == other.name
    assert one.read_bytes() == other.read_bytes()
    sounds = [read_audio(stock_voice(name, tmp_path / "a"), 16_000) for name in STOCK]
    assert all(4 < len(sound) / 16_000 < 15 for sound in sounds)
    assert len({sound.tobytes() for sound in sounds}) == len(STOCK)
    with pytest.raises(WrongUse, match="no_voice"):
        stock_voice("../alder", tmp_path)


def test_who_speaks_and_by_what_right(consents: ConsentStore, tmp_path: Path) -> None:
    clip, reference = tmp_path / "clip", tmp_path / "voice"
    clip.write_bytes(b"clip")
    reference.write_bytes(b"voice")
    known = {"tenant": "t", "language": "en", "clip": clip, "consents": consents, "folder": tmp_path / "stock"}

    stock = resolve_voice(StockVoice(name="alder"), reference=None, **known)
    assert (stock.facts.kind, stock.facts.name, stock.facts.consent) == ("stock", "alder", None)
    assert "no voice of a person" in stock.notices[0]
    stock.check()

    digests = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in (clip, reference)}
    other = consents.record("t", "k", terms(reference_sha256=digests[reference]))
    own = consents.record("t", "k", terms(reference_sha256=digests[clip]))
    cloned = resolve_voice(ClonedVoice(consent=other.id, reference="uploads/v"), reference=reference, **known)
    assert (cloned.reference, cloned.facts.consent, cloned.facts.sha256) == (
        str(reference), other.id, digests[reference],
    )  # fmt: skip
    itself = resolve_voice(ClonedVoice(consent=own.id, reference="self"), reference=None, **known)
    assert (itself.reference, itself.facts.kind) == ("self", "consent")
    with pytest.raises(BadInput, match="consent_other_recording"):
        resolve_voice(ClonedVoice(consent=other.id, reference="self"), reference=None, **known)
    with pytest.raises(BadInput, match="consent_other_recording"):
        resolve_voice(ClonedVoice(consent=own.id, reference="uploads/v"), reference=reference, **known)

    cloned.check()
    consents.revoke("t", other.id, "k")
    with pytest.raises(BadInput, match="consent_revoked"):
        cloned.check()
    itself.check()


def recorded(api: Api, clip: Path, who: str = "one", **more: Any) -> str:
    body = {
        "person": "Maria Example", "how": "Signed form.", "given": "2026-01-01T00:00:00Z", "scope": "All.",
        "languages": ["en"], "expires": "2099-01-01T00:00:00Z", "recorded_by": "J.",
        "reference_sha256": hashlib.sha256(clip.read_bytes()).hexdigest(),
    }  # fmt: skip
    answer = api.ask("POST", "/v1/consents", who, json=body | more)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_a_clone_over_http_names_its_consent_in_result_and_manifest(api: Api, clip: Path, tmp_path: Path) -> None:
    voice = make_clip(tmp_path / "voice.mp4", seed=3)
    clip_key, voice_key = api.upload(clip), api.upload(voice)
    consent = recorded(api, voice)
    refused = api.submit(clip_key, reference=voice_key, consent=recorded(api, clip))
    assert refused.json()["code"] == "gateway.consent_other_recording"
    assert refused.status_code == 422
    dub = api.submit(clip_key, reference=voice_key, consent=consent).json()
    api.work()
    result = api.ask("GET", f"/v1/dubs/{dub['id']}/result").json()
    assert (result["voice"]["kind"], result["voice"]["consent"]) == ("consent", consent)
    for name in ("video", "audio"):
        path = tmp_path / f"out.{'mp4' if name == 'video' else 'wav'}"
        path.write_bytes(api.ask("GET", f"/v1/dubs/{dub['id']}/{name}").content)
        facts = read_provenance(path).facts
        assert facts is not None
        assert (facts.job, facts.voice.consent, facts.package) == (dub["id"], consent, "ab" * 32)
        assert facts.clip_sha256 == hashlib.sha256(clip.read_bytes()).hexdigest()


@pytest.mark.slow
def test_without_consent_a_stock_voice_speaks_and_the_result_says_so(api: Api, clip: Path) -> None:
    key = api.upload(clip)
    dub = api.submit(key, reference="self").json()
    api.work()
    result = api.ask("GET", f"/v1/dubs/{dub['id']}/result").json()
    assert (result["voice"]["kind"], result["voice"]["name"]) == ("stock", DEFAULT)
    assert any("not cloned" in notice for notice in result["notices"])


def test_a_revocation_stops_jobs_that_were_accepted_before(api: Api, clip: Path) -> None:
    key, consent = api.upload(clip), recorded(api, clip)
    dub = api.submit(key, reference="self", consent=consent).json()
    assert dub["state"] == "queued"
    gone = api.ask("DELETE", f"/v1/consents/{consent}", params={"reason": "by letter"})
    assert (gone.status_code, gone.json()["revoked"] is None) == (200, False)
    api.work()
    done = api.ask("GET", f"/v1/dubs/{dub['id']}").json()
    assert (done["state"], done["error"]["code"]) == ("failed", "gateway.consent_revoked")
    assert api.submit(key, reference="self", consent=consent).json()["code"] == "gateway.consent_revoked"
    metrics = api.client.get("/metrics").text
    assert 'dubflow_consent_refusals_total{code="gateway.consent_revoked"} 1.0' in metrics


def test_a_revocation_stops_a_job_that_runs(tmp_path: Path) -> None:
    room = open_room(tmp_path, seconds=60.0)
    digest = sha256_file(room.objects.local(CLIP, tmp_path))
    now = datetime.now(UTC)
    agreed = terms(given=now, expires=now.replace(year=now.year + 1), reference_sha256=digest)
    consent = room.consents.record("acme", "k", agreed).id
    job = room.submit(voice=ClonedVoice(consent=consent, reference="self"))
    worker = room.worker()
    thread = threading.Thread(target=worker.run, kwargs={"once": True})
    thread.start()
    while room.store.get("acme", job).stage != "speaking":
        time.sleep(0.02)
    room.consents.revoke("acme", consent, "k")
    thread.join(30)
    assert not thread.is_alive()
    ended = room.store.get("acme", job)
    assert (ended.state, ended.error.code if ended.error else "") == ("failed", "gateway.consent_revoked")
    assert ended.result is None
    room.database.close()


def test_consents_are_a_tenants_own_and_need_scopes(api: Api, clip: Path) -> None:
    consent = recorded(api, clip)
    for method in ("GET", "DELETE"):
        answer = api.ask(method, f"/v1/consents/{consent}", "two")
        assert (answer.status_code, answer.json()["code"]) == (404, "gateway.no_consent")
    assert api.ask("GET", "/v1/consents", "two").json()["consents"] == []
    assert [one["id"] for one in api.ask("GET", "/v1/consents").json()["consents"]] == [consent]
    assert api.ask("DELETE", f"/v1/consents/{consent}", "reader").json()["code"] == "gateway.missing_scope"
    assert api.ask("GET", f"/v1/consents/{consent}", "reader").json()["revoked"] is None
    assert api.client.get("/v1/consents").status_code == 401
    bad = api.ask("POST", "/v1/consents", json={"person": "secret name"})
    assert bad.status_code == 400
    assert "secret name" not in json.dumps(bad.json())
    names = [one["name"] for one in api.ask("GET", "/v1/voices", "reader").json()["voices"]]
    assert names == list(STOCK)
