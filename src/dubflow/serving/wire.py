"""What passes between clients, Triton's models and their parts: JSON, and named arrays in safetensors form.

Nothing in it is code, and every array says its type and shape itself, so requests of different lengths can wait in one
batch. Errors of ours cross as JSON and are raised again on the other side.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from dubflow.errors import DubflowError, OurFault, restored

Bytes = NDArray[np.uint8]
Arrays = dict[str, NDArray[Any]]

_FACTS = "facts"


@dataclass(frozen=True, eq=False)
class Packet:
    """Facts (JSON types) and arrays under names."""

    facts: dict[str, Any]
    arrays: Mapping[str, NDArray[Any]]

    def packed(self) -> Bytes:
        """As bytes ``[n]``."""
        arrays = {name: np.asarray(array, order="C") for name, array in self.arrays.items()}
        return np.frombuffer(save({**arrays, _FACTS: json_bytes(self.facts)}), np.uint8)


def unpacked(content: Bytes) -> Packet:
    """The packet in bytes; raises the error that it carries, if it is one.

    Raises:
        OurFault: ``serving.bad_packet``.
        DubflowError: that which :func:`packed_error` packed.
    """
    try:
        arrays: Arrays = load(content.tobytes())
        facts = json_of(arrays.pop(_FACTS))
    except (SafetensorError, KeyError, ValueError) as error:
        raise _bad(str(error)) from error
    if "error" in facts:
        raise error_of(facts)
    return Packet(facts, arrays)


def json_bytes(value: Any) -> Bytes:
    """JSON as bytes ``[n]``."""
    return np.frombuffer(json.dumps(value, ensure_ascii=False).encode(), np.uint8)


def json_of(content: Bytes) -> dict[str, Any]:
    """What :func:`json_bytes` wrote.

    Raises:
        OurFault: ``serving.bad_packet``.
    """
    try:
        value = json.loads(content.tobytes())
    except ValueError as error:
        raise _bad(str(error)) from error
    if not isinstance(value, dict):
        raise _bad("it is no object")
    return value


def error_facts(error: DubflowError) -> dict[str, Any]:
    """An error of ours in JSON types."""
    return {"error": error.as_dict(), "exit_code": int(error.exit_code)}


def error_of(facts: Mapping[str, Any]) -> DubflowError:
    """What :func:`error_facts` wrote, of the class that it was."""
    return restored(facts["error"], int(facts["exit_code"]))


def packed_error(error: DubflowError) -> Bytes:
    """A packet that is an error."""
    return Packet(error_facts(error), {}).packed()


def one_of(packet: Packet, number: int, **facts: Any) -> Packet:
    """Item ``number`` of a packet whose arrays are named ``NUMBER.name``, alone, with facts of its own."""
    prefix = f"{number}."
    return Packet(
        facts, {f"0.{name[len(prefix) :]}": a for name, a in packet.arrays.items() if name.startswith(prefix)}
    )


def _bad(problem: str) -> OurFault:
    return OurFault("serving.bad_packet", f"What came is not what the models say to one another: {problem}.")
