"""An engine that is run whole in one process: its ``look`` and ``speak``, streamed."""

from __future__ import annotations

from typing import Any

from dubflow.dubbing.engine import Job, SpokenSegment
from dubflow.dubbing.watching import Part
from dubflow.errors import OurFault
from dubflow.serving.inprocess import engine_of
from dubflow.serving.models.decoupled import Decoupled
from dubflow.serving.models.parts import installed
from dubflow.serving.models.streams import Stream

_LOOKED = 0.4


class IncontextModel:
    """See ``serving/model_repository/incontext``."""

    def initialize(self, args: dict[str, str]) -> None:
        """The engine of the package; a family without one is an error of ours here."""
        version = installed(args)
        self._engine = engine_of(version.folder)
        self._jobs = Decoupled(args, version, self._dub)

    def execute(self, requests: list[Any]) -> None:
        """Answers come over the requests' streams."""
        self._jobs.execute(requests)

    def finalize(self) -> None:
        """Jobs that run may finish."""
        self._jobs.finalize()

    def _dub(self, job: Job, facts: dict[str, Any], stream: Stream) -> list[SpokenSegment]:
        seen = self._engine.look(job, Part(stream, 0, _LOOKED))
        (spoken,) = self._engine.speak([seen], Part(stream, _LOOKED, 1))
        if any(one.picture is not None or one.covers is not None for one in spoken):
            raise OurFault("serving.picture_lost", "Pictures cannot be streamed.", "Dub without a server.")
        return spoken
