"""The codec in a process of its own: tokens of a segment into sound."""

from __future__ import annotations

import time
from typing import Any

from dubflow.diflow.facts import CODEC
from dubflow.dubbing.diflow_codec import voiced
from dubflow.serving.models.parts import Counters, answered, device_of, installed
from dubflow.serving.packing import drawn_of
from dubflow.serving.wire import Packet
from dubflow.speech.codecs.stored import load_codec

_SECONDS = "dubflow_codec_seconds_total"


class CodecModel:
    """See ``serving/model_repository/diflow_codec``."""

    def initialize(self, args: dict[str, str]) -> None:
        """The codec alone."""
        self._codec = load_codec(installed(args).folder / CODEC, device_of(args))
        self._counters = Counters(args, {_SECONDS: "Time spent on decoding tokens, in seconds."})

    def execute(self, requests: list[Any]) -> list[Any]:
        """The sound of each request's segment."""
        return [answered(request, self._voiced) for request in requests]

    def _voiced(self, packet: Packet) -> Packet:
        started = time.monotonic()
        (drawn,) = drawn_of(packet)
        spoken = voiced(self._codec, drawn, int(packet.facts["frames"]), 0.0, ())
        self._counters.add(_SECONDS, time.monotonic() - started)
        return Packet({"planned": spoken.planned, "notices": spoken.notices}, {"waveform": spoken.waveform})
