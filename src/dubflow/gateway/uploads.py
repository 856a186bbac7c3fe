"""Clips and voices that tenants have uploaded: what they are, under keys of ours.

A key is made from the tenant and the content's digest: the same bytes get the same key again, so a request that is
repeated with its files is the same request, and two tenants with the same file know nothing of each other. A file is
looked at (in the confined child of :mod:`dubflow.media`) before it has a key.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import BigInteger, Column, Index, MetaData, String, Table, Text, delete, exists, insert, select, update

from dubflow.errors import BadInput, DubflowError
from dubflow.gateway.database import Database, Step
from dubflow.gateway.errors import renamed
from dubflow.gateway.jobs.job import ENDED
from dubflow.gateway.limits import soft
from dubflow.gateway.receiving import Received
from dubflow.gateway.settings import GatewaySettings
from dubflow.gateway.tables import JOBS
from dubflow.media.limits import Limits
from dubflow.media.probe import Probe, probe
from dubflow.storage import Objects

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection

METADATA = MetaData()
UPLOADS = Table(
    "uploads",
    METADATA,
    Column("key", String(48), primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("facts", Text, nullable=False),  # JSON
    Column("used_ms", BigInteger, nullable=False),  # last uploaded, or named in a request
    Index("uploads_used", "used_ms"),
)
STEPS: dict[int, Step] = {}
KEY = re.compile(r"up_[0-9a-f]{40}")
_FOLDER = "uploads"


@dataclass(frozen=True)
class MediaFacts:
    """What a file is, as far as a request needs it.

    Attributes:
        seconds: of all of it. picture_s: of the picture; None without one. rate: frames a second.
    """

    container: str
    seconds: float
    picture_s: float | None
    sound: bool
    width: int | None
    height: int | None
    rate: float | None

    @classmethod
    def of(cls, found: Probe) -> Self:
        """Facts of a file that was probed."""
        video = None if found.video is None else found.video.video
        length = None if found.video is None else found.video.duration
        return cls(
            container=found.container,
            seconds=float(found.duration or 0),
            picture_s=None if length is None else float(length),
            sound=found.audio is not None,
            width=None if video is None else video.width,
            height=None if video is None else video.height,
            rate=None if video is None or video.rate is None else float(video.rate),
        )


@dataclass(frozen=True)
class Upload:
    """A file of a tenant."""

    key: str
    sha256: str
    bytes: int
    media: MediaFacts
    used: datetime

    @property
    def stored(self) -> str:
        """Its key in the storage; jobs name it so."""
        return f"{_FOLDER}/{self.key}"


class UploadStore:
    """Uploads of one deployment.

    Every method raises :class:`OurFault` ``gateway.database_busy``, ``gateway.database_failed`` or ``storage.failed``.
    """

    def __init__(self, database: Database, files: Objects) -> None:
        """Make or bring up the table."""
        self.database, self.files = database, files
        database.migrate("uploads", METADATA, STEPS)

    def known(self, tenant: str, received: Received) -> Upload | None:
        """The upload with the very same bytes, if it is still there."""
        try:
            return self.get(tenant, key_of(tenant, received.sha256))
        except BadInput:
            return None

    def add(self, tenant: str, received: Received, media: MediaFacts) -> Upload:
        """Keep a file. Its row comes first, so that :meth:`sweep` finds what a killed process leaves."""
        key, now = key_of(tenant, received.sha256), self.database.now_ms()
        row = {
            "key": key,
            "tenant": tenant,
            "sha256": received.sha256,
            "bytes": received.bytes,
            "facts": json.dumps(media.__dict__),
            "used_ms": now,
        }

        def write(connection: Connection) -> None:
            changed = connection.execute(update(UPLOADS).where(UPLOADS.c.key == key).values(used_ms=now))
            if not changed.rowcount:
                connection.execute(insert(UPLOADS).values(**row))

        from sqlalchemy.exc import IntegrityError

        try:
            self.database.write(write)
        except IntegrityError:  # the same file, uploaded twice at the same time
            self.database.write(write)
        self.files.put(f"{_FOLDER}/{key}", received.path)
        return _upload(row)

    def get(self, tenant: str, key: str) -> Upload:
        """A tenant's upload; asking for it keeps it.

        Raises:
            BadInput: ``gateway.no_upload``, also for another tenant's and for one whose time is over.
        """
        now = self.database.now_ms()

        def touch(connection: Connection) -> Any:
            this = (UPLOADS.c.key == key, UPLOADS.c.tenant == tenant)
            connection.execute(update(UPLOADS).where(*this).values(used_ms=now))
            return connection.execute(select(UPLOADS).where(*this)).mappings().first()

        row = self.database.write(touch) if KEY.fullmatch(key) else None
        if row is None or self.files.find(f"{_FOLDER}/{key}") is None:
            raise BadInput(
                "gateway.no_upload", "There is no upload of that key.", "Upload it (again): POST /v1/uploads."
            )
        return _upload(dict(row))

    def sweep(self, older_than_s: float) -> int:
        """Remove uploads that nobody has named for so long and that no job needs; how many."""
        before = self.database.now_ms() - round(older_than_s * 1000)
        needed = exists().where(JOBS.c.state.not_in(ENDED)).where(
            (JOBS.c.clip_key == _FOLDER + "/" + UPLOADS.c.key) | (JOBS.c.reference_key == _FOLDER + "/" + UPLOADS.c.key)
        )  # fmt: skip
        old = (UPLOADS.c.used_ms < before, ~needed)
        keys = self.database.read(
            lambda connection: list(connection.execute(select(UPLOADS.c.key).where(*old).limit(1000)).scalars())
        )
        return sum(self._remove(key, old) for key in keys)

    def _remove(self, key: str, condition: tuple[ColumnElement[bool], ...]) -> bool:
        # The row first, under the same condition: whoever names it from now on is told that it is gone.
        query = delete(UPLOADS).where(UPLOADS.c.key == key, *condition)
        if not self.database.write(lambda connection: connection.execute(query).rowcount):
            return False
        self.files.remove(f"{_FOLDER}/{key}")
        return True


def key_of(tenant: str, sha256: str) -> str:
    """The key of a tenant's file."""
    return "up_" + hashlib.sha256(f"{tenant}\0{sha256}".encode()).hexdigest()[:40]


def look_at(received: Received, settings: GatewaySettings) -> MediaFacts:
    """What a received file is; reads its packets in the confined child.

    Raises:
        BadInput: what :func:`dubflow.media.probe.probe` says.
    """
    longest = max(settings.clip_seconds, settings.reference_seconds) * (1 + settings.tolerance)
    limits = Limits(bytes=settings.clip_bytes, seconds=longest + 1, wall_s=settings.probe_wall_s)
    try:
        return MediaFacts.of(probe(received.path, limits))
    except DubflowError as error:
        raise renamed(error, received.path, "The file") from error


def check_clip(media: MediaFacts, settings: GatewaySettings) -> list[str]:
    """Notices about a clip to dub.

    Raises:
        BadInput: ``gateway.no_picture``, ``gateway.clip_too_long``.
    """
    if media.picture_s is None:
        raise BadInput("gateway.no_picture", "The clip has no picture.", "Send a video.")
    notice = soft(media.seconds, settings.clip_seconds, settings, _clip_too_long, "The clip has", " s")
    return [] if notice is None else [notice]


def check_reference(media: MediaFacts, settings: GatewaySettings) -> list[str]:
    """Notices about a recording of a voice.

    Raises:
        BadInput: ``gateway.no_sound``, ``gateway.reference_too_long``.
    """
    if not media.sound:
        raise BadInput("gateway.no_sound", "The recording of the voice has no sound.", "Send one that has.")
    limit = settings.reference_seconds
    notice = soft(media.seconds, limit, settings, _reference_too_long, "The recording of the voice has", " s")
    return [] if notice is None else [notice]


def _clip_too_long(told: str) -> BadInput:
    return BadInput("gateway.clip_too_long", f"{told}.", "Cut it into parts.")


def _reference_too_long(told: str) -> BadInput:
    return BadInput("gateway.reference_too_long", f"{told}.", "Cut it: some seconds are enough.")


def _upload(row: dict[str, Any]) -> Upload:
    return Upload(
        key=row["key"],
        sha256=row["sha256"],
        bytes=row["bytes"],
        media=MediaFacts(**json.loads(row["facts"])),
        used=datetime.fromtimestamp(row["used_ms"] / 1000, UTC),
    )
