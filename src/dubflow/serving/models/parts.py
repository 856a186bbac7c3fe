"""What the parts share: packets in and out, and errors of ours as answers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils

from dubflow.errors import DubflowError
from dubflow.serving.repository import Installed, read_installed
from dubflow.serving.wire import Bytes, Packet, packed_error, unpacked

STUB_LOCK = threading.Lock()
"""Held while a thread asks the server anything but an inference: two at once that count a metric crash it."""


def installed(args: dict[str, str]) -> Installed:
    """What the version was installed as, from Triton's arguments of ``initialize``."""
    return read_installed(Path(args["model_repository"]) / args["model_version"])


def device_of(args: dict[str, str]) -> str:
    """Where torch computes."""
    return f"cuda:{args['model_instance_device_id']}" if args["model_instance_kind"] == "GPU" else "cpu"


def packet_of(request: Any) -> Packet:
    """The packet of a request; raises the error that it carries."""
    array = pb_utils.get_input_tensor_by_name(request, "PACKET").as_numpy()
    return unpacked(array.reshape(-1))


def response(content: Bytes, *, batched: bool = False) -> Any:
    """Bytes as Triton's answer."""
    return pb_utils.InferenceResponse([pb_utils.Tensor("ANSWER", content[None] if batched else content)])


def answered(request: Any, answer: Callable[[Packet], Packet]) -> Any:
    """What ``answer`` says to a request; an error of ours is an answer, any other is Triton's to tell."""
    try:
        return response(answer(packet_of(request)).packed())
    except DubflowError as error:
        return response(packed_error(error))


class Counters:
    """Totals on the server's metrics page, labelled with model and version."""

    def __init__(self, args: dict[str, str], told: dict[str, str]) -> None:
        labels = {"model": args["model_name"], "version": args["model_version"]}
        self._families = {
            name: pb_utils.MetricFamily(name=name, description=text, kind=pb_utils.MetricFamily.COUNTER)
            for name, text in told.items()
        }
        self._labels = labels
        self._metrics: dict[tuple[str, str], Any] = {}

    def add(self, name: str, value: float = 1.0, **labels: str) -> None:
        """More of ``name``."""
        key = (name, repr(sorted(labels.items())))
        with STUB_LOCK:
            if key not in self._metrics:
                self._metrics[key] = self._families[name].Metric(labels={**self._labels, **labels})
            self._metrics[key].increment(float(value))
