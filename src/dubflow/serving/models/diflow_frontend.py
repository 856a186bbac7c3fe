"""The frontend in a process of its own: it looks at clips, one after another."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from dubflow.diflow.facts import CODEC, read_facts
from dubflow.dubbing.diflow_frontend import open_frontend
from dubflow.serving.asking import job_of
from dubflow.serving.models.parts import Counters, answered, installed
from dubflow.serving.packing import pack_seen
from dubflow.serving.slips import Slip, SlipWatch
from dubflow.serving.wire import Packet
from dubflow.speech.codecs.stored import load_codec

_SECONDS = "dubflow_frontend_seconds_total"


class FrontendModel:
    """See ``serving/model_repository/diflow_frontend``."""

    def initialize(self, args: dict[str, str]) -> None:
        """Extractors and codec; not the network."""
        folder = installed(args).folder
        self._frontend = open_frontend(read_facts(folder), load_codec(folder / CODEC), folder)
        self._frontend.warm()
        self._counters = Counters(args, {_SECONDS: "Time spent on looking at clips, in seconds."})

    def execute(self, requests: list[Any]) -> list[Any]:
        """Features of each request's clip."""
        return [answered(request, self._look) for request in requests]

    def _look(self, packet: Packet) -> Packet:
        started = time.monotonic()
        slip = Slip(Path(packet.facts["slip"]))
        try:
            seen = self._frontend.look(job_of(packet.facts["job"], packet.arrays["voice"]), SlipWatch(slip))
            return pack_seen(seen, str(slip.path))
        finally:
            slip.close()
            self._counters.add(_SECONDS, time.monotonic() - started)
