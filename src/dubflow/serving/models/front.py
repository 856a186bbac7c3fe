"""The front of a version: leads a job through the three parts of the very same version.

The parts are called one after another and wait for their answer (calls that stream crash this server). Nothing heavy is
imported here: this process only passes on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from numpy.typing import NDArray

from dubflow.dubbing.engine import Job, SpokenSegment
from dubflow.dubbing.watching import check_stopped
from dubflow.errors import OurFault
from dubflow.serving.models.decoupled import Decoupled
from dubflow.serving.models.parts import installed
from dubflow.serving.models.streams import Stream
from dubflow.serving.repository import PARTS
from dubflow.serving.wire import Packet, one_of, unpacked

_FRONTEND, _DENOISER, _CODEC = PARTS
_LOOKED, _DRAWN = 0.4, 0.9


class FrontModel:
    """See ``serving/model_repository/diflow``."""

    def initialize(self, args: dict[str, str]) -> None:
        """No weights: the parts have them."""
        self._number = int(args["model_version"])
        self._jobs = Decoupled(args, installed(args), self._dub)

    def execute(self, requests: list[Any]) -> None:
        """Answers come over the requests' streams."""
        self._jobs.execute(requests)

    def finalize(self) -> None:
        """Jobs that run may finish."""
        self._jobs.finalize()

    def _dub(self, job: Job, facts: dict[str, Any], stream: Stream) -> list[SpokenSegment]:
        slip = str(stream.slip.path)
        stream.part("looking", 0, _LOOKED)
        seen = self._asked(_FRONTEND, Packet({"job": facts, "slip": slip}, {"voice": job.voice.waveform}), stream)
        stream.part("speaking", _LOOKED, _DRAWN)
        drawn = self._asked(_DENOISER, seen, stream)
        segments = seen.facts["segments"]
        spoken = []
        for number, (crowded, known) in enumerate(zip(drawn.facts["crowded"], segments, strict=True)):
            stream.stage("speaking", _DRAWN + (1 - _DRAWN) * number / len(segments))
            packet = one_of(drawn, number, crowded=[crowded], frames=known["frames"])
            said = self._asked(_CODEC, packet, stream)
            waveform: NDArray[np.float32] = said.arrays["waveform"]
            first, last = said.facts["planned"]
            notices = (*known["notices"], *said.facts["notices"])
            spoken.append(SpokenSegment(waveform, (first, last), known["face_found"], notices))
        return spoken

    def _asked(self, name: str, packet: Packet, stream: Stream) -> Packet:
        """What a part of this version answers.

        Raises:
            BadInput: ``dubbing.cancelled``. OurFault: ``serving.part_failed`` when Triton has no answer of it. What
                the part raised.
        """
        check_stopped(stream)
        content = packet.packed()
        request = pb_utils.InferenceRequest(
            model_name=name,
            model_version=self._number,
            requested_output_names=["ANSWER"],
            inputs=[pb_utils.Tensor("PACKET", content[None] if name == _DENOISER else content)],
        )
        answer = request.exec()
        if answer.has_error():
            raise OurFault(
                "serving.part_failed",
                f"{name} has no answer: {answer.error().message()}",
                "A server that is watched loads it anew; try again.",
            )
        return unpacked(pb_utils.get_output_tensor_by_name(answer, "ANSWER").as_numpy().reshape(-1))
