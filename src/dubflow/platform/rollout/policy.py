"""What a candidate must show at each stage of a rollout; written down before it is judged."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from dubflow.config import Strict

Where = Literal["local", "cluster"]


class TrafficPolicy(Strict):
    """What users' requests must show, as Prometheus counted them."""

    window_s: float = Field(600.0, gt=0, description="How far back requests are counted.")
    least_requests: int = Field(200, ge=1, description="Of each version, below which nothing is said: hold.")
    error_margin: float = Field(0.01, gt=0, lt=1, description="Largest acceptable rise of the share of failures.")
    latency_margin: float = Field(
        0.3, gt=0, description="Largest acceptable rise of a dub's time inside the server, as a share of it."
    )


class RolloutPolicy(Strict):
    """The section ``rollout`` of a preset."""

    stages: tuple[int, ...] = Field((10, 50), min_length=1, description="Percent of traffic before it gets all of it.")
    dubs: tuple[int, ...] = Field((24, 48), description="Golden dubs of each version at each stage.")
    alpha: float = Field(0.05, gt=0, lt=0.5, description="One-sided, over all looks of a rollout together.")
    quality_margin: float = Field(
        0.1, gt=0, description="Largest acceptable rise of the phone error rate of golden dubs."
    )
    speed_margin: float = Field(0.5, gt=0, description="Largest acceptable rise of a dub's time, as a share of it.")
    dub_s: float = Field(60.0, gt=0, description="A golden dub that takes longer has failed.")
    rounds: int = Field(2000, ge=500, description="Of the bootstrap.")
    most_looks: int = Field(20, ge=1, description="After so many looks without an answer the candidate goes back.")
    traffic: TrafficPolicy = TrafficPolicy()

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if list(self.stages) != sorted(set(self.stages)) or not all(0 < one < 100 for one in self.stages):
            raise ValueError("stages rise and lie between 0 and 100")
        if len(self.dubs) != len(self.stages):
            raise ValueError("dubs has a number for each stage")
        return self

    def alpha_of(self, look: int) -> float:
        """What the ``look``-th look (from 1) may err by: shares of the whole that sum up to it, however many there are.

        ``6 / (pi look)**2``, by Basel's sum; so whoever looks again and again does not get to promote by patience.
        """
        return self.alpha * 6.0 / (3.141592653589793 * look) ** 2
