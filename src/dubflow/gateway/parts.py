"""What an app is made of, opened once and shared by its routes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from fastapi import Request

from dubflow.errors import DubflowError
from dubflow.gateway.consent import ConsentStore
from dubflow.gateway.database import Database
from dubflow.gateway.jobs.store import JobStore
from dubflow.gateway.keys import KeyStore
from dubflow.gateway.limits import Rate, Slots, too_many_streams, too_many_uploads
from dubflow.gateway.metrics import Meters
from dubflow.gateway.settings import GatewaySettings
from dubflow.gateway.tables import migrate
from dubflow.gateway.uploads import UploadStore
from dubflow.storage import Objects


@dataclass(frozen=True)
class Parts:
    """Of one gateway.

    Attributes:
        uploading, streaming: how much of it a tenant does at the same time.
    """

    settings: GatewaySettings
    database: Database
    files: Objects
    jobs: JobStore
    keys: KeyStore
    uploads: UploadStore
    consents: ConsentStore
    meters: Meters
    rate: Rate
    uploading: Slots
    streaming: Slots

    def close(self) -> None:
        """Write down what was not yet, and let go of the database."""
        with suppress(DubflowError):
            self.keys.flush_uses()
        self.database.close()


def open_parts(settings: GatewaySettings) -> Parts:
    """Open database and storage; tables are made or brought up.

    Raises:
        WrongUse: ``gateway.no_driver``, ``storage.bad_address``, ``install.missing_extra``.
        BadInput: ``gateway.newer_database``.
        OurFault: ``gateway.database_busy``, ``gateway.database_failed``.
    """
    settings.spool.mkdir(parents=True, exist_ok=True)
    database, files = Database(settings.database_url), Objects(settings.files_root)
    migrate(database)
    return Parts(
        settings=settings,
        database=database,
        files=files,
        jobs=JobStore(database),
        keys=KeyStore(database),
        uploads=UploadStore(database, files),
        consents=ConsentStore(database),
        meters=Meters("gateway"),
        rate=Rate(settings.requests_a_minute, settings.burst),
        uploading=Slots(settings.tenant_uploads, too_many_uploads),
        streaming=Slots(settings.tenant_streams, too_many_streams),
    )


def parts_of(request: Request) -> Parts:
    """The parts of the app that a request came to."""
    found = request.app.state.parts
    assert isinstance(found, Parts)
    return found
