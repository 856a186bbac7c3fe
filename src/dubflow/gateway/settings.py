"""What the gateway and its workers may be told, by the environment (``DUBFLOW_GATEWAY_*``) or by arguments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from dubflow.config import Settings
from dubflow.errors import WrongUse

MEBI = 2**20


class GatewaySettings(BaseSettings):
    """Of one deployment: gateway and workers read the same."""

    model_config = SettingsConfigDict(env_prefix="DUBFLOW_GATEWAY_", extra="forbid", frozen=True)

    # Where things lie and who is asked.
    state: Path = Field(
        default_factory=lambda: Settings().home / "serve",
        description="Folder of the serving state, jobs and files.",
    )
    database: str | None = Field(None, description="URL of the database; a SQLite file in the state folder without.")
    files: str | None = Field(None, description="Storage of clips and results: file:///… or s3://….")
    host: str = Field("127.0.0.1", description="Address to listen on; TLS and the outside are a proxy's business.")
    port: int = Field(8080, ge=0, le=65535, description="0 takes a free one.")
    registry: str | None = Field(None, description="MLflow's database or server; as `dubflow models` without.")
    model: str = Field("dubber", description="Name of the model in the registry that is served.")

    # Tritons of other machines, as in a cluster.
    triton: str | None = Field(
        None, description="HOST:PORT of gRPC of all Tritons together; without, the server of the state folder speaks."
    )
    triton_key: SecretStr | None = Field(None, description="Opens them: their DUBFLOW_TRITON_KEY.")
    scratch: Path | None = Field(
        None,
        description="Folder of clips at work, which Tritons of other machines see under the same path, and in "
        "which locks hold between machines; `work` in the state folder without.",
    )

    # Limits. A little over one earns a notice, not a refusal: see `tolerance`.
    tolerance: float = Field(0.05, ge=0, le=1, description="Share by which a soft limit may be passed with a notice.")
    clip_seconds: float = Field(60.0, gt=0, description="Longest clip, in seconds; soft.")
    clip_bytes: int = Field(512 * MEBI, gt=0, description="Largest upload, in bytes; hard.")
    reference_seconds: float = Field(120.0, gt=0, description="Longest recording of a voice, in seconds; soft.")
    text_characters: int = Field(10_000, gt=0, description="Most characters of all texts of a job; soft.")
    segments: int = Field(500, gt=0, description="Most segments of a job; hard.")
    body_bytes: int = Field(MEBI, gt=0, description="Largest body that is no upload, in bytes; hard.")
    json_depth: int = Field(32, gt=0, description="Deepest nesting of a JSON body.")
    upload_idle_s: float = Field(20.0, gt=0, description="An upload that sends nothing for so long is ended.")
    upload_s: float = Field(900.0, gt=0, description="Longest time that an upload may take.")
    upload_least_rate: float = Field(2048.0, ge=0, description="Bytes a second below which an upload is ended.")
    spare_bytes: int = Field(64 * MEBI, ge=0, description="Of the disk, what an upload must leave free.")
    send_idle_s: float = Field(60.0, gt=0, description="A client that reads nothing for so long is let go.")
    headers_s: float = Field(10.0, gt=0, description="Longest time for the head of a request.")
    probe_wall_s: float = Field(60.0, gt=0, description="Wall time for reading an uploaded clip's packets.")

    # Load.
    requests_a_minute: float = Field(600.0, gt=0, description="Of one tenant, in the long run.")
    burst: int = Field(100, gt=0, description="Requests of one tenant at once.")
    tenant_jobs: int = Field(50, gt=0, description="Jobs of one tenant that are queued or running.")
    queue_jobs: int = Field(500, gt=0, description="Jobs of all tenants that are queued.")
    queue_wait_s: float = Field(1800.0, gt=0, description="Expected wait above which new jobs are turned away.")
    tenant_uploads: int = Field(8, gt=0, description="Uploads of one tenant at the same time.")
    tenant_streams: int = Field(16, gt=0, description="Event streams of one tenant at the same time.")
    connections: int = Field(512, gt=0, description="Open requests of all tenants; more are answered with 503.")
    heartbeat_s: float = Field(10.0, gt=0, description="Silence on an event stream after which a comment is sent.")
    stream_s: float = Field(3600.0, gt=0, description="An event stream is ended after so long; clients resume.")

    # Jobs and workers.
    lease_s: float = Field(30.0, gt=0, description="A worker that is silent for so long has lost its job.")
    attempts: int = Field(3, ge=1, description="Of a job, before it counts as failed.")
    retention_days: float = Field(7.0, gt=0, description="How long clips and results are kept.")
    worker_metrics_port: int | None = Field(
        None, gt=0, le=65535, description="Of a worker's own /metrics on `host`; without, the gateway tells of workers."
    )

    # Webhooks.
    webhook_secret: SecretStr | None = Field(None, description="Signs webhooks; made in the state folder without.")
    webhook_hosts: tuple[str, ...] = Field(
        (), description="host:port that webhooks may reach although private or without TLS; for tests and intranets."
    )

    # Provenance: who signs outputs.
    signing_key: Path | None = Field(None, description="Private key (PEM); made in the state folder without.")
    signing_chain: Path | None = Field(None, description="Its certificate chain (PEM), the key's own first.")

    # Promotion over HTTP: the same rules as `dubflow models promote`.
    package_keys: tuple[Path, ...] = Field((), description="Public keys, one of which must have signed a package.")
    verdict_keys: tuple[Path, ...] = Field((), description="Public keys, one of which must have signed a verdict.")
    licences: str | None = Field(None, description="Licence policy: commercial, research or a file.")
    policies: tuple[str, ...] = Field((), description="Names of the gate's policies that count; none: all.")

    @property
    def database_url(self) -> str:
        """Where jobs, keys and consents are kept."""
        return self.database or f"sqlite:///{(self.state / 'gateway.db').resolve()}"

    @property
    def files_root(self) -> str:
        """The storage's address."""
        return self.files or (self.state / "files").resolve().as_uri()

    @property
    def scratch_root(self) -> Path:
        """Where workers keep what they work at; each in a folder of its own."""
        return self.scratch or self.state / "work"

    @property
    def spool(self) -> Path:
        """Where uploads are received before they are looked at; on the disk of the state folder."""
        return self.state / "spool"


def load_settings(**given: Any) -> GatewaySettings:
    """The environment's settings, with those ``given`` that are not None on top.

    Raises:
        WrongUse: ``gateway.bad_settings`` with every offending name.
    """
    try:
        return GatewaySettings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'value'}: {one['msg']}" for one in error.errors())
        raise WrongUse(
            "gateway.bad_settings", f"The gateway's settings are wrong: {problems}.", "Correct DUBFLOW_GATEWAY_*."
        ) from error
