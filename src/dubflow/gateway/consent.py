"""Whose voice may be cloned: consent records, and what a job may speak with.

A record names who gave consent, how, when, for what, in which languages and until when, and is bound to one recording
by its digest: consent for other bytes is no consent. The clip's own voice (``self``) is a clone as well, bound to the
clip's digest. Without consent a synthetic stock voice speaks (:mod:`dubflow.gateway.stock_voices`).

History is append-only, and the database itself refuses to change it. A revocation stops jobs that come later, and those
that run at their next look (:meth:`ResolvedVoice.check`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import AwareDatetime, Field, model_validator
from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text, event, insert, select

from dubflow.config import Strict
from dubflow.dubbing.provenance.facts import VoiceFacts
from dubflow.dubbing.request import SELF
from dubflow.errors import BadInput
from dubflow.gateway.database import Database, Step
from dubflow.gateway.jobs.job import new_id
from dubflow.gateway.jobs.request import StockVoice, Voice
from dubflow.gateway.stock_voices import stock_voice
from dubflow.media.digest import sha256_file
from dubflow.speech.phonemes import LANGUAGES

if TYPE_CHECKING:
    from sqlalchemy import Connection

METADATA = MetaData()
EVENTS = Table(
    "consent_events",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("consent", String(40), nullable=False),
    Column("tenant", String(128), nullable=False),
    Column("action", String(16), nullable=False),  # given | revoked
    Column("at_ms", BigInteger, nullable=False),
    Column("by", String(64), nullable=False),  # id of the API key
    Column("content", Text, nullable=False),  # JSON: the terms, or the reason
    Index("consent_once", "consent", "action", unique=True),
    Index("consents_of_tenant", "tenant", "consent"),
)
STEPS: dict[int, Step] = {}
_HINT = "Record consent for exactly this recording (POST /v1/consents), or choose a stock voice."

# What was recorded stays recorded, whoever holds a connection.
_KEPT = {
    "sqlite": [
        f"CREATE TRIGGER consent_events_keep_{verb.lower()} BEFORE {verb} ON consent_events "
        "BEGIN SELECT RAISE(ABORT, 'consent_events is append-only'); END"
        for verb in ("UPDATE", "DELETE")
    ],
    "postgresql": [
        "CREATE FUNCTION consent_events_keep() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'consent_events is append-only'; END $$",
        "CREATE TRIGGER consent_events_keep BEFORE UPDATE OR DELETE ON consent_events "
        "FOR EACH ROW EXECUTE FUNCTION consent_events_keep()",
    ],
}


@event.listens_for(EVENTS, "after_create")
def _keep(target: Table, connection: Connection, **_more: Any) -> None:
    for statement in _KEPT.get(connection.dialect.name, []):
        connection.exec_driver_sql(statement)


class ConsentTerms(Strict):
    """What was agreed, as whoever records it says."""

    person: str = Field(min_length=1, max_length=200, description="Name of who gave consent: whose voice it is.")
    how: str = Field(min_length=1, max_length=500, description="How it was given, and where the proof is kept.")
    given: AwareDatetime = Field(description="When it was given.")
    scope: str = Field(min_length=1, max_length=500, description="What the voice may be used for.")
    languages: tuple[str, ...] = Field(
        min_length=1, max_length=50, description=f"Which it may speak, of {', '.join(LANGUAGES)}; `*` for every one."
    )
    expires: AwareDatetime = Field(description="Until when.")
    reference_sha256: str = Field(
        pattern="^[0-9a-f]{64}$", description="SHA-256 of the recording; of the clip where its own voice is meant."
    )
    recorded_by: str = Field(min_length=1, max_length=200, description="Who entered this record.")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.expires <= self.given:
            raise ValueError("consent cannot expire before it is given")
        unknown = [one for one in self.languages if one != "*" and one not in LANGUAGES]
        if unknown:
            raise ValueError(f"languages that are not known: {', '.join(one[:20] for one in unknown[:5])}")
        return self


class ConsentEvent(Strict):
    """One entry of a record's history."""

    action: Literal["given", "revoked"]
    at: datetime
    by: str = Field(description="Id of the API key.")
    reason: str = ""


class Consent(Strict):
    """A record, and what became of it."""

    id: str
    tenant: str
    terms: ConsentTerms
    recorded: datetime
    revoked: datetime | None
    history: tuple[ConsentEvent, ...]


class ConsentStore:
    """Records of a database; nobody sees another tenant's.

    Every method raises :class:`OurFault` ``gateway.database_busy`` or ``gateway.database_failed``.
    """

    def __init__(self, database: Database) -> None:
        """Make or bring up the table."""
        self.database = database
        database.migrate("consents", METADATA, STEPS)

    def record(self, tenant: str, key_id: str, terms: ConsentTerms) -> Consent:
        """Enter a record.

        Raises:
            BadInput: ``gateway.consent_not_yet`` for one that lies in the future, ``gateway.consent_expired``.
        """
        now = self.database.now_ms()
        identity = new_id("con", now)
        if terms.given.timestamp() * 1000 > now + 86_400_000:
            raise BadInput("gateway.consent_not_yet", "Consent cannot be given in the future.", "Correct `given`.")
        if terms.expires.timestamp() * 1000 <= now:
            raise BadInput("gateway.consent_expired", "This consent has expired already.", "Ask for a new one.")
        self._append(identity, tenant, "given", key_id, terms.model_dump_json(), now)
        return self.get(tenant, identity)

    def get(self, tenant: str, consent: str) -> Consent:
        """A record with its history.

        Raises:
            BadInput: ``gateway.no_consent``, also for another tenant's.
        """
        query = select(EVENTS).where(EVENTS.c.tenant == tenant, EVENTS.c.consent == consent).order_by(EVENTS.c.number)
        rows = self.database.read(lambda connection: connection.execute(query).mappings().all())
        if not rows:
            raise BadInput(
                "gateway.no_consent", f"There is no consent {consent[:40]!r}.", "GET /v1/consents lists yours."
            )
        return _consent(list(rows))

    def list(self, tenant: str, limit: int = 50, after: str | None = None) -> tuple[Consent, ...]:
        """A tenant's records, newest first; ``after`` is the last one's id of the page before."""
        known = select(EVENTS.c.consent).where(EVENTS.c.tenant == tenant, EVENTS.c.action == "given")
        if after is not None:
            known = known.where(EVENTS.c.consent < after)
        page = known.order_by(EVENTS.c.consent.desc()).limit(limit)

        def work(connection: Connection) -> list[Any]:
            names = list(connection.execute(page).scalars())
            query = select(EVENTS).where(EVENTS.c.consent.in_(names)).order_by(EVENTS.c.number)
            return list(connection.execute(query).mappings())

        rows: dict[str, list[Any]] = {}
        for row in self.database.read(work):
            rows.setdefault(row["consent"], []).append(row)
        return tuple(_consent(rows[name]) for name in sorted(rows, reverse=True))

    def revoke(self, tenant: str, consent: str, key_id: str, reason: str = "") -> Consent:
        """Take consent back; doing so again changes nothing.

        Raises:
            BadInput: ``gateway.no_consent``.
        """
        found = self.get(tenant, consent)
        if found.revoked is None:
            content = json.dumps({"reason": reason[:500]})
            self._append(consent, tenant, "revoked", key_id, content, self.database.now_ms())
        return self.get(tenant, consent)

    def check(self, tenant: str, consent: str, reference_sha256: str, language: str) -> Consent:
        """The record, if the voice of this recording may speak this language now.

        Raises:
            BadInput: ``gateway.no_consent``, ``gateway.consent_revoked``, ``gateway.consent_expired``,
                ``gateway.consent_other_recording``, ``gateway.consent_other_language``.
        """
        found = self.get(tenant, consent)
        terms = found.terms
        spoken = language.partition("-")[0]
        if found.revoked is not None:
            day = f"{found.revoked:%Y-%m-%d}"
            raise BadInput("gateway.consent_revoked", f"The consent {consent} was revoked on {day}.", _HINT)
        if terms.expires.timestamp() * 1000 <= self.database.now_ms():
            day = f"{terms.expires:%Y-%m-%d}"
            raise BadInput("gateway.consent_expired", f"The consent {consent} expired on {day}.", _HINT)
        if terms.reference_sha256 != reference_sha256:
            raise BadInput(
                "gateway.consent_other_recording",
                f"The consent {consent} was given for another recording, not for these bytes.",
                _HINT,
            )
        if "*" not in terms.languages and spoken not in terms.languages:
            agreed = ", ".join(terms.languages)
            raise BadInput(
                "gateway.consent_other_language", f"The consent {consent} is for {agreed}, not for {spoken!r}.", _HINT
            )
        return found

    def _append(self, consent: str, tenant: str, action: str, key_id: str, content: str, at_ms: int) -> None:
        row = {"consent": consent, "tenant": tenant, "action": action, "at_ms": at_ms, "by": key_id, "content": content}

        def work(connection: Connection) -> None:
            # Run again after an answer was lost, it finds its own row; and two who revoke at once are one revocation.
            there = select(EVENTS.c.number).where(EVENTS.c.consent == consent, EVENTS.c.action == action)
            if connection.execute(there).first() is None:
                connection.execute(insert(EVENTS).values(**row))

        from sqlalchemy.exc import IntegrityError

        try:
            self.database.write(work)
        except IntegrityError:
            return


@dataclass(frozen=True)
class ResolvedVoice:
    """What a job speaks with.

    Attributes:
        reference: for the dub request: a file, or ``self``. facts: for provenance and the result.
        notices: one sentence each, for the result.
        check: raises as :meth:`ConsentStore.check` once consent no longer holds; for looks while the job runs.
    """

    reference: str
    facts: VoiceFacts
    notices: tuple[str, ...]
    check: Callable[[], None]


def resolve_voice(
    voice: Voice,
    *,
    tenant: str,
    language: str,
    clip: Path,
    reference: Path | None,
    consents: ConsentStore,
    folder: Path,
) -> ResolvedVoice:
    """Find the voice of a job, and whether it may speak.

    Args:
        clip: the clip as it lies here. reference: the recording as it lies here, where the voice has one of its own.
        folder: where stock voices are kept.

    Raises:
        BadInput: as :meth:`ConsentStore.check`. WrongUse: ``gateway.no_voice`` for an unknown stock voice.
    """
    if isinstance(voice, StockVoice):
        path = stock_voice(voice.name, folder)
        facts = VoiceFacts(kind="stock", name=voice.name, sha256=sha256_file(path))
        told = f"a synthetic stock voice speaks ({voice.name}): no voice of a person was cloned"
        return ResolvedVoice(str(path), facts, (told,), _always)
    own = voice.reference == SELF
    heard = clip if own else reference
    if heard is None:
        raise ValueError("a voice of its own needs its recording")
    digest = sha256_file(heard)

    def check() -> None:
        consents.check(tenant, voice.consent, digest, language)

    check()
    facts = VoiceFacts(kind="consent", consent=voice.consent, sha256=digest)
    told = f"the voice was cloned under the consent {voice.consent}"
    return ResolvedVoice(SELF if own else str(heard), facts, (told,), check)


def _always() -> None:
    """A stock voice belongs to nobody; nothing can end it."""


def _consent(rows: list[Any]) -> Consent:
    """A record from its rows, oldest first."""
    events = [
        ConsentEvent(
            action=row["action"],
            at=datetime.fromtimestamp(row["at_ms"] / 1000, UTC),
            by=row["by"],
            reason="" if row["action"] == "given" else json.loads(row["content"])["reason"],
        )
        for row in rows
    ]
    return Consent(
        id=rows[0]["consent"],
        tenant=rows[0]["tenant"],
        terms=ConsentTerms.model_validate_json(rows[0]["content"]),
        recorded=events[0].at,
        revoked=next((one.at for one in events if one.action == "revoked"), None),
        history=tuple(events),
    )
