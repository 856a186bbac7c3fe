"""API keys: made once, shown once, kept as a hash.

A key reads ``dubflow_ID_SECRET``. The id is public (it stands in lists and in logs); of the secret, 256 random bits,
the database has HMAC-SHA256 under a salt of the key's own. A slow hash would protect a secret that somebody chose;
against a random one of this length there is nothing to guess, and every request would pay for it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from sqlalchemy import BigInteger, Column, Index, LargeBinary, MetaData, String, Table, insert, select, update

from dubflow.errors import BadInput, OurFault, WrongUse
from dubflow.gateway.database import Database, Step

Scope = Literal["submit", "read", "admin", "promote"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
TENANT = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_KEY = re.compile(r"dubflow_([0-9a-f]{16})_([0-9a-f]{64})")
_NAME = 100
_MOST_DAYS = 36_500

METADATA = MetaData()
KEYS = Table(
    "api_keys",
    METADATA,
    Column("id", String(16), primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("name", String(_NAME), nullable=False),
    Column("scopes", String(64), nullable=False),
    Column("salt", LargeBinary(16), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger),
    Column("revoked_ms", BigInteger),
    Column("used_ms", BigInteger),
    Index("api_keys_tenant", "tenant"),
)
STEPS: dict[int, Step] = {}


@dataclass(frozen=True)
class KeyRecord:
    """What is known of a key; never the key.

    Attributes:
        expires, revoked: when it ends or ended; None: never. used: when it was last used, to within some seconds.
    """

    id: str
    tenant: str
    name: str
    scopes: frozenset[Scope]
    created: datetime
    expires: datetime | None
    revoked: datetime | None
    used: datetime | None

    def as_dict(self) -> dict[str, Any]:
        """JSON types only."""
        times = {name: getattr(self, name) for name in ("created", "expires", "revoked", "used")}
        return {
            "id": self.id,
            "tenant": self.tenant,
            "name": self.name,
            "scopes": sorted(self.scopes),
            **{name: None if one is None else one.isoformat(timespec="seconds") for name, one in times.items()},
        }


class KeyStore:
    """Keys of one database."""

    def __init__(self, database: Database) -> None:
        """Make or bring up the table.

        Raises:
            as :meth:`Database.migrate`.
        """
        self.database = database
        self._uses: dict[str, int] = {}
        self._lock = threading.Lock()
        database.migrate("keys", METADATA, STEPS)

    def create(
        self, tenant: str, scopes: Collection[str], *, name: str = "", days: float | None = None
    ) -> tuple[str, KeyRecord]:
        """A new key and what is kept of it; ``days`` until it expires, None for never.

        Raises:
            WrongUse: ``gateway.bad_tenant``, ``gateway.bad_scope``, ``gateway.bad_expiry``, ``gateway.bad_key_name``.
        """
        wanted = check_wish(tenant, scopes, name, days)
        identity, secret, salt = secrets.token_hex(8), secrets.token_hex(32), secrets.token_bytes(16)
        now = self.database.now_ms()
        row = {
            "id": identity,
            "tenant": tenant,
            "name": name,
            "scopes": ",".join(sorted(wanted)),
            "salt": salt,
            "digest": _digest(salt, secret),
            "created_ms": now,
            "expires_ms": None if days is None else now + round(days * 86_400_000),
            "revoked_ms": None,
            "used_ms": None,
        }

        def add(connection: Any) -> None:
            # Run again after a lost answer, it finds its own row.
            if connection.execute(select(KEYS.c.id).where(KEYS.c.id == identity)).first() is None:
                connection.execute(insert(KEYS).values(**row))

        self.database.write(add)
        return f"dubflow_{identity}_{secret}", _record(row)

    def list(self, tenant: str | None = None) -> tuple[KeyRecord, ...]:
        """All keys, or a tenant's, oldest first."""
        query = select(KEYS).order_by(KEYS.c.created_ms, KEYS.c.id)
        if tenant is not None:
            query = query.where(KEYS.c.tenant == tenant)
        rows = self.database.read(lambda connection: connection.execute(query).mappings().all())
        return tuple(_record(dict(row)) for row in rows)

    def get(self, identity: str) -> KeyRecord:
        """What is known of a key, by its id.

        Raises:
            BadInput: ``gateway.unknown_key``.
        """
        query = select(KEYS).where(KEYS.c.id == _id_in(identity))
        return _found(self.database.read(lambda connection: connection.execute(query).mappings().first()))

    def revoke(self, identity: str) -> KeyRecord:
        """End a key now; one that has been ended stays as it is.

        Raises:
            BadInput: ``gateway.unknown_key``.
        """
        this, now = KEYS.c.id == _id_in(identity), self.database.now_ms()

        def end(connection: Any) -> Any:
            connection.execute(update(KEYS).where(this, KEYS.c.revoked_ms.is_(None)).values(revoked_ms=now))
            return connection.execute(select(KEYS).where(this)).mappings().first()

        return _found(self.database.write(end))

    def check(self, text: str) -> KeyRecord:
        """The record of a key that is good now.

        Raises:
            WrongUse: ``gateway.bad_key``, the same for every reason.
        """
        parts = _KEY.fullmatch(text)
        identity, secret = parts.groups() if parts else ("", "0" * 64)
        query = select(KEYS).where(KEYS.c.id == identity)
        row = self.database.read(lambda connection: connection.execute(query).mappings().first())
        # An unknown id takes the same steps, so that time does not tell which ids there are.
        salt, digest = (bytes(16), bytes(32)) if row is None else (bytes(row["salt"]), bytes(row["digest"]))
        same = hmac.compare_digest(_digest(salt, secret), digest)
        now = self.database.now_ms()
        if row is None or not same or row["revoked_ms"] is not None or (row["expires_ms"] or now + 1) <= now:
            raise WrongUse("gateway.bad_key", "The API key is not valid.", "Check it; it may be expired or revoked.")
        with self._lock:
            self._uses[identity] = now
        return _record(dict(row))

    def flush_uses(self) -> int:
        """Write down when keys were used since the last call; a request does not wait for that. How many keys."""
        with self._lock:
            uses, self._uses = self._uses, {}
        if not uses:
            return 0

        def note(connection: Any) -> None:
            for identity, used in uses.items():
                connection.execute(update(KEYS).where(KEYS.c.id == identity).values(used_ms=used))

        try:
            self.database.write(note)
        except OurFault:
            with self._lock:
                self._uses = uses | self._uses
            raise
        return len(uses)


def check_wish(tenant: str, scopes: Collection[str], name: str, days: float | None) -> frozenset[Scope]:
    """The scopes of a key that can be made so.

    Raises:
        WrongUse: as :meth:`KeyStore.create`.
    """
    wanted = frozenset(scope for scope in SCOPES if scope in scopes)
    if not wanted or len(wanted) != len(frozenset(scopes)):
        raise WrongUse(
            "gateway.bad_scope",
            f"{', '.join(sorted(scopes)) or 'nothing'} is not a set of scopes.",
            f"There are {', '.join(SCOPES)}.",
        )
    if not TENANT.fullmatch(tenant):
        raise WrongUse(
            "gateway.bad_tenant",
            f"{tenant!r} cannot name a tenant.",
            "Use up to 63 of a-z, 0-9, '.', '_' and '-', a letter or digit first.",
        )
    if len(name) > _NAME or not name.isprintable():
        raise WrongUse("gateway.bad_key_name", "That is no name for a key.", f"Up to {_NAME} printable characters.")
    if days is not None and not 0 < days <= _MOST_DAYS:
        raise WrongUse("gateway.bad_expiry", f"A key cannot end in {days:g} days.", "Give days from now.")
    return wanted


def _id_in(text: str) -> str:
    """Somebody may give the whole key where only its id is wanted."""
    found = _KEY.fullmatch(text)
    return found.group(1) if found else text


def _found(row: Any) -> KeyRecord:
    if row is None:
        raise BadInput("gateway.unknown_key", "There is no key of that id.", "See them: dubflow keys list.")
    return _record(dict(row))


def _digest(salt: bytes, secret: str) -> bytes:
    return hmac.digest(salt, secret.encode(), hashlib.sha256)


def _record(row: dict[str, Any]) -> KeyRecord:
    times = {name: row[f"{name}_ms"] for name in ("created", "expires", "revoked", "used")}
    moments = {name: None if ms is None else datetime.fromtimestamp(ms / 1000, UTC) for name, ms in times.items()}
    return KeyRecord(
        id=row["id"],
        tenant=row["tenant"],
        name=row["name"],
        scopes=frozenset(scope for scope in SCOPES if scope in row["scopes"].split(",")),
        created=datetime.fromtimestamp(row["created_ms"] / 1000, UTC),
        expires=moments["expires"],
        revoked=moments["revoked"],
        used=moments["used"],
    )
