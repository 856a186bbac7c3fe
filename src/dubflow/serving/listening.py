"""Where Triton listens: on loopback, where it likes, unless the environment (``DUBFLOW_TRITON_*``) says otherwise.

In a pod of its own it is asked by other pods, so gRPC and metrics have fixed ports there, and a key that they know as
well. HTTP never leaves loopback: one bad request ends this server. Whatever the address, health and metadata alone are
answered without the key; who may reach it at all is the cluster's business (NetworkPolicies in ``infra/kubernetes``).
"""

from __future__ import annotations

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from dubflow.errors import WrongUse

LOOPBACK = "127.0.0.1"


class Listening(BaseSettings):
    """Of one server."""

    model_config = SettingsConfigDict(env_prefix="DUBFLOW_TRITON_", extra="ignore", frozen=True)

    host: str = Field(LOOPBACK, description="Address of gRPC and metrics; 0.0.0.0 in a pod.")
    grpc_port: int = Field(0, ge=0, le=65535, description="Of inference; 0 takes a free one.")
    metrics_port: int = Field(0, ge=0, le=65535, description="Of Prometheus' page; 0 takes a free one.")
    key: SecretStr | None = Field(
        None, min_length=16, description="Opens everything but health; made anew at each start without."
    )

    @property
    def ports(self) -> tuple[int, int, int]:
        """HTTP (always a free one), gRPC, metrics."""
        return 0, self.grpc_port, self.metrics_port


def load_listening() -> Listening:
    """The environment's.

    Raises:
        WrongUse: ``serving.bad_listening``.
    """
    try:
        return Listening()
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise WrongUse(
            "serving.bad_listening", f"Triton cannot listen so: {problems}.", "Correct DUBFLOW_TRITON_*."
        ) from error
