"""A model that is talked to: a Protocol, and services that speak OpenAI's ``/chat/completions``.

The key comes from the environment (:data:`KEY`) and is written nowhere. Faults of the service are tried again, faults
of ours are not; every request counts towards a budget. Answers are untrusted text: their length is bounded here, and
whoever asked checks what they say.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from dubflow.config import Strict
from dubflow.errors import OurFault, WrongUse, missing_extra

if TYPE_CHECKING:
    import httpx

KEY = "DUBFLOW_CHAT_KEY"
_LONGEST_WAIT_S = 30.0
_AGAIN = {408, 409, 425, 429}


class ChatSettings(Strict):
    """Which service is asked, and how often."""

    section: ClassVar[str] = "incontext.chat"

    url: str = Field(
        "", description="Up to the version, such as https://models.example/v1; http on this machine alone. Empty: none."
    )
    model: str = Field("", description="Its name there.")
    temperature: float = Field(1.0, ge=0, le=2)
    timeout_s: float = Field(120.0, gt=0, description="For one answer.")
    tries: int = Field(4, ge=1, le=20, description="Requests for one answer while the service fails.")
    pause_s: float = Field(0.5, ge=0, description="Before the second try; doubles each time.")
    most_calls: int = Field(200, ge=1, description="Requests in all; the budget.")
    most_bytes: int = Field(2**20, ge=2**10, description="Longest answer.")
    proxy: bool = Field(False, description="Go through the proxies that the environment names.")

    @property
    def named(self) -> bool:
        """Whether there is somebody to ask."""
        return bool(self.url)

    @field_validator("url")
    @classmethod
    def _is_safe(cls, value: str) -> str:
        if not value:
            return value
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise ValueError("must be an http(s) address without user and query")
        if parts.scheme == "http" and not _is_here(parts.hostname):
            raise ValueError("a key does not travel in the clear: https, or this machine")
        return value.rstrip("/")


@dataclass(frozen=True, eq=False)
class Message:
    """One message: text, and frames uint8 RGB ``[n, H, W, 3]`` to look at."""

    role: Literal["system", "user", "assistant"]
    text: str
    frames: NDArray[np.uint8] | None = None


class ChatModel(Protocol):
    """Answers messages with text."""

    @property
    def id(self) -> str:
        """Name of the model."""

    def ask(self, messages: Sequence[Message]) -> str:
        """The answer, which may say anything.

        Raises:
            OurFault: ``incontext.chat_failed``. WrongUse: ``incontext.chat_refused``, ``incontext.chat_budget``.
        """


class HttpChat:
    """Implements :class:`ChatModel`. Use as a context manager, or :meth:`close` it."""

    def __init__(self, settings: ChatSettings, key: str | None = None) -> None:
        """
        Args:
            key: by default what :data:`KEY` holds; services on this machine often want none.

        Raises:
            WrongUse: ``incontext.no_chat`` where no service is named, ``install.missing_extra``.
        """
        if not settings.url or not settings.model:
            raise WrongUse(
                "incontext.no_chat", "No model to talk to is named.", f"Name url and model in {settings.section}."
            )
        try:
            import httpx
        except ImportError as error:
            raise missing_extra("httpx") from error
        self._settings, self.calls = settings, 0
        secret = os.environ.get(KEY, "") if key is None else key
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        # Redirects are not followed: the key belongs to this address.
        self._http = httpx.Client(headers=headers, timeout=settings.timeout_s, trust_env=settings.proxy)

    def __enter__(self) -> HttpChat:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    @property
    def id(self) -> str:
        """``chat-`` and the model's name there; a service may change what stands behind it."""
        return f"chat-{self._settings.model}"

    def ask(self, messages: Sequence[Message]) -> str:
        """See :class:`ChatModel`."""
        settings, why = self._settings, ""
        content = {
            "model": settings.model,
            "temperature": settings.temperature,
            "response_format": {"type": "json_object"},
            "messages": [_as_sent(message) for message in messages],
        }
        for attempt in range(settings.tries):
            if self.calls >= settings.most_calls:
                raise WrongUse(
                    "incontext.chat_budget",
                    f"All {settings.most_calls} requests to {settings.model} are spent.",
                    "Raise most_calls, or ask for less.",
                )
            self.calls += 1
            answer, why, wait = self._once(content)
            if answer is not None:
                return answer
            if attempt + 1 < settings.tries:
                time.sleep(min(_LONGEST_WAIT_S, max(wait, settings.pause_s * 2**attempt)))
        raise OurFault(
            "incontext.chat_failed",
            f"{settings.model} gave no answer in {settings.tries} tries: {why}.",
            "Look at the service, and try again.",
        )

    def _once(self, content: dict[str, Any]) -> tuple[str | None, str, float]:
        """An answer; or None, why, and for how many seconds the service wants to be left alone."""
        import httpx

        try:
            with self._http.stream("POST", f"{self._settings.url}/chat/completions", json=content) as response:
                body = self._body(response)
                status, wait = response.status_code, _seconds(response.headers.get("retry-after"))
        except httpx.TransportError as error:
            return None, f"{type(error).__name__}", 0.0
        if status >= httpx.codes.INTERNAL_SERVER_ERROR or status in _AGAIN:
            return None, f"status {status}", wait
        if status != httpx.codes.OK:
            raise WrongUse(
                "incontext.chat_refused",
                f"{self._settings.model} refuses the request: status {status}.",
                f"Check url and model, and the key in {KEY}.",
                status=status,
            )
        if body is None:
            return None, f"an answer of more than {self._settings.most_bytes} bytes", 0.0
        said = _said(body)
        return said, "an answer that is none of a chat's", 0.0

    def _body(self, response: httpx.Response) -> bytes | None:
        """What came, or None where it is too long; no more than that is kept."""
        body = bytearray()
        for part in response.iter_bytes():
            body += part
            if len(body) > self._settings.most_bytes:
                return None
        return bytes(body)


def _as_sent(message: Message) -> dict[str, Any]:
    if message.frames is None:
        return {"role": message.role, "content": message.text}
    pictures = [{"type": "image_url", "image_url": {"url": _png_address(frame)}} for frame in message.frames]
    return {"role": message.role, "content": [{"type": "text", "text": message.text}, *pictures]}


def _png_address(frame: NDArray[np.uint8]) -> str:
    import cv2

    _, coded = cv2.imencode(".png", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    return f"data:image/png;base64,{base64.b64encode(coded.tobytes()).decode('ascii')}"


def _said(body: bytes) -> str | None:
    try:
        said = json.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return None
    return said if isinstance(said, str) else None


def _seconds(header: str | None) -> float:
    try:
        return max(0.0, float(header or 0))
    except ValueError:  # a date: our own pauses will do
        return 0.0


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
