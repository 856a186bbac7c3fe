"""The denoiser in a process of its own: segments of all requests that wait share the network's batches.

Requests come as they are (ragged); what shares a batch of the network is decided here, by options and by length.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubflow.diflow.inference.items import SilentClip
from dubflow.diflow.stored import load_model
from dubflow.dubbing.diflow_denoiser import DiflowDenoiser
from dubflow.dubbing.drawn import DrawnSegment
from dubflow.dubbing.request import DubOptions
from dubflow.dubbing.watching import cancelled
from dubflow.errors import DubflowError
from dubflow.serving.models.parts import Counters, device_of, installed, packet_of, response
from dubflow.serving.packing import clips_of, pack_drawn
from dubflow.serving.slips import Slip
from dubflow.serving.wire import Bytes, packed_error

_TOLD = {
    "dubflow_denoiser_executions_total": "Batches of requests that the denoiser computed together.",
    "dubflow_denoiser_requests_total": "Requests in them.",
    "dubflow_denoiser_segments_total": "Segments in them.",
    "dubflow_denoiser_dropped_total": "Requests that were cancelled before their end.",
    "dubflow_denoiser_seconds_total": "Time spent on computing, in seconds.",
}


@dataclass(frozen=True, eq=False)
class _Asked:
    """A request that was read."""

    clips: list[SilentClip]
    options: DubOptions
    slip: Slip


class DenoiserModel:
    """See ``serving/model_repository/diflow_denoiser``."""

    def initialize(self, args: dict[str, str]) -> None:
        """The network, on this instance's device."""
        version = installed(args)
        network = load_model(version.folder).dubber
        self._denoiser = DiflowDenoiser(network, batch_items=version.batch_items, device=device_of(args))
        self._counters = Counters(args, _TOLD)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Tokens of each request's segments."""
        started = time.monotonic()
        answers: dict[int, Bytes] = {}
        asked: dict[int, _Asked] = {}
        for number, request in enumerate(requests):
            try:
                packet = packet_of(request)
                options = DubOptions.model_validate(packet.facts["options"])
                asked[number] = _Asked(clips_of(packet), options, Slip(Path(packet.facts["slip"])))
            except DubflowError as error:
                answers[number] = packed_error(error)
            except FileNotFoundError:  # its slip is gone, and whoever asked as well
                answers[number] = packed_error(cancelled())
        try:
            answers |= self._drawn(asked)
        finally:
            dropped = sum(one.slip.cancelled for one in asked.values())
            for one in asked.values():
                one.slip.close()
        self._count(asked, len(requests), dropped, time.monotonic() - started)
        return [response(answers[number], batched=True) for number in range(len(requests))]

    def _drawn(self, asked: dict[int, _Asked]) -> dict[int, Bytes]:
        """Answers of requests that are computed together; if they fail together, each is tried alone."""
        owners = [number for number, one in asked.items() for _ in one.clips]
        clips = [clip for one in asked.values() for clip in one.clips]
        options = [one.options for one in asked.values() for _ in one.clips]
        try:
            drawn = self._denoiser.draw(clips, options, _Following(asked, owners)) if clips else []
        except DubflowError as error:
            if len(asked) == 1:
                return dict.fromkeys(asked, packed_error(error))
            return {key: value for number, one in asked.items() for key, value in self._drawn({number: one}).items()}
        own: dict[int, list[DrawnSegment | None]] = {number: [] for number in asked}
        for number, segment in zip(owners, drawn, strict=True):
            own[number].append(segment)
        return {number: _answer(segments) for number, segments in own.items()}

    def _count(self, asked: dict[int, _Asked], requests: int, dropped: int, seconds: float) -> None:
        self._counters.add("dubflow_denoiser_executions_total")
        self._counters.add("dubflow_denoiser_requests_total", requests)
        self._counters.add("dubflow_denoiser_segments_total", sum(len(one.clips) for one in asked.values()))
        self._counters.add("dubflow_denoiser_dropped_total", dropped)
        self._counters.add("dubflow_denoiser_seconds_total", seconds)


class _Following:
    """Follows the flow for every request by its slip."""

    def __init__(self, asked: dict[int, _Asked], owners: Sequence[int]) -> None:
        self._asked, self._owners = asked, owners
        self._done = [0.0] * len(owners)
        self._stopped: set[int] = set()

    def stopped(self, item: int) -> bool:
        owner = self._owners[item]
        if owner not in self._stopped and self._asked[owner].slip.cancelled:
            self._stopped.add(owner)  # from now on, even if its slip says otherwise
        return owner in self._stopped

    def step(self, items: Sequence[int], share: float) -> None:
        for item in items:
            self._done[item] = share
        for owner in {self._owners[item] for item in items}:
            own = [done for done, whose in zip(self._done, self._owners, strict=True) if whose == owner]
            self._asked[owner].slip.share = sum(own) / len(own)


def _answer(segments: Sequence[DrawnSegment | None]) -> Bytes:
    drawn = [one for one in segments if one is not None]
    return pack_drawn(drawn).packed() if len(drawn) == len(segments) else packed_error(cancelled())
