"""Messages between us and the decoding child: a JSON header and raw bytes behind it.

JSON and not pickle, since the child has read an untrusted file and may be under its author's control: nothing it says
is executed, and every size it announces is checked before memory is set aside.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

# Puts some bytes into the view and says how many; 0 at the end of the stream.
Receive = Callable[[memoryview], int]

_PREFIX = struct.Struct("<IQ")
MOST_HEADER_BYTES = 4 * 2**20


class WireBroken(Exception):
    """The other end closed in the middle, or said something that is not in the protocol."""


@dataclass(frozen=True)
class Header:
    """What one message announces: its kind, its fields, and how many raw bytes follow."""

    kind: str
    fields: dict[str, Any]
    payload: int


def send(sock: socket.socket, kind: str, payload: memoryview | bytes = b"", **fields: Any) -> None:
    """Send one message whole."""
    data = memoryview(payload).cast("B") if len(payload) else memoryview(b"")
    head = json.dumps({"kind": kind, **fields}).encode()
    sock.sendall(_PREFIX.pack(len(head), len(data)) + head)
    if len(data):
        sock.sendall(data)


def receive_header(receive: Receive) -> Header | None:
    """The next message's header, or None when the other end is done."""
    prefix = bytearray(_PREFIX.size)
    first = receive(memoryview(prefix))
    if first == 0:
        return None
    receive_into(receive, memoryview(prefix)[first:])
    head_bytes, payload = _PREFIX.unpack(prefix)
    if head_bytes > MOST_HEADER_BYTES:
        raise WireBroken(f"a header of {head_bytes} bytes")
    head = bytearray(head_bytes)
    receive_into(receive, memoryview(head))
    try:
        fields = json.loads(head)
        kind = fields.pop("kind")
    except (ValueError, KeyError, AttributeError, RecursionError) as error:
        raise WireBroken("a header that is not a JSON object with a kind") from error
    return Header(str(kind), fields, payload)


def receive_into(receive: Receive, target: memoryview) -> None:
    """Fill ``target``."""
    while len(target):
        count = receive(target)
        if count == 0:
            raise WireBroken("the end in the middle of a message")
        target = target[count:]


def pack_fraction(value: Fraction | None) -> list[int] | None:
    """A fraction as JSON."""
    return None if value is None else [value.numerator, value.denominator]


def unpack_fraction(value: Any) -> Fraction | None:
    """The inverse of :func:`pack_fraction`.

    Raises:
        WireBroken: for anything else.
    """
    if value is None:
        return None
    try:
        numerator, denominator = value
        return Fraction(int(numerator), int(denominator))
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise WireBroken(f"{value!r} for a fraction") from error
