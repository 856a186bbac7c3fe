"""How Triton is run: instances, batching, patience."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from dubflow.config import Strict


class TritonSettings(Strict):
    """Settings of a server; written into the models' configs when a version is installed."""

    device: Literal["cpu", "gpu"] = Field("cpu", description="Where the denoiser and the codec compute.")
    gpus: tuple[int, ...] = Field((), description="Numbers of the cards; every card gets as many instances.")
    frontends: int = Field(1, ge=1, le=64, description="Processes that look at clips; always on the processor.")
    denoisers: int = Field(1, ge=1, le=64, description="Processes that run the network, a card or in all.")
    codecs: int = Field(1, ge=1, le=64, description="Processes that decode tokens, a card or in all.")
    batching: bool = Field(True, description="Whether requests wait a moment for others to share a batch with.")
    batch_requests: int = Field(16, ge=1, le=256, description="Requests of a batch, at most.")
    batch_delay_s: float = Field(0.02, ge=0, le=1, description="How long a request waits for others.")
    jobs_at_once: int = Field(32, ge=1, le=1024, description="Jobs inside the server; more are told to come again.")
    start_s: float = Field(60, gt=0, description="A server that is not ready by then has failed.")
    load_s: float = Field(180, gt=0, description="A version that is not loaded by then has failed.")
    stop_s: float = Field(10, gt=0, description="How long running jobs may take to finish when the server is stopped.")

    @model_validator(mode="after")
    def _cards_named(self) -> Self:
        if (self.device == "gpu") != bool(self.gpus):
            raise ValueError("gpus are named for device gpu, and only then")
        return self
