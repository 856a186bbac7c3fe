"""A client of the HTTP API: uploads, consents, dubs that are followed to their end, files that are checked.

What the API answers is read into the models that it is written from, so a field that goes missing is noticed here.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel

from dubflow.atomic import atomic_file
from dubflow.errors import DubflowError, ExitCode, OurFault, restored
from dubflow.gateway.consent import ConsentTerms
from dubflow.gateway.jobs.job import ENDED
from dubflow.gateway.submission import DubSubmission
from dubflow.gateway.views import DubView, ResultView, UploadView
from dubflow.media.digest import sha256_file

_ANSWER_S = 60.0
_AGAIN_S = 0.5
_CHUNK = 2**18
_BYTES = "application/octet-stream"
_CONSENTS = "/v1/consents"
_DUBS = "/v1/dubs"
_LOOK = "Look at the server: dubflow serve status."
Model = TypeVar("Model", bound=BaseModel)


class DubClient:
    """Speaks for one API key.

    Every method raises what the server refuses, as :func:`refusal` reads it, and ``platform.no_answer`` (OurFault).
    """

    def __init__(self, address: str, key: str) -> None:
        """``address`` is ``http://HOST:PORT``."""
        headers = {"Authorization": f"Bearer {key}"}
        # The environment's proxies have no business with a server that is named by its address.
        self._http = httpx.Client(base_url=address, headers=headers, timeout=_ANSWER_S, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def upload(self, path: Path) -> UploadView:
        """Send a clip or a recording; the same bytes get the same key again."""
        with path.open("rb") as content:
            answer = self._ask("POST", "/v1/uploads", content=content, headers={"Content-Type": _BYTES})
        return _read(UploadView, answer)

    def consents(self) -> Iterator[tuple[str, ConsentTerms]]:
        """Ids and terms of the records that hold now, newest first."""
        after: dict[str, str] = {}
        while True:
            page = self._ask("GET", _CONSENTS, params={"limit": 200, **after}).json()
            for one in page["consents"]:
                terms = ConsentTerms.model_validate_json(json.dumps(one["terms"]))
                if one["revoked"] is None and terms.expires.timestamp() > time.time():
                    yield one["id"], terms
            if page["next"] is None:
                return
            after = {"after": page["next"]}

    def record_consent(self, terms: ConsentTerms) -> str:
        """Enter a record; its id."""
        return str(self._ask("POST", _CONSENTS, json=terms.model_dump(mode="json")).json()["id"])

    def submit(self, asked: DubSubmission, once: str) -> tuple[DubView, bool]:
        """Ask for a dub under an idempotency key; True with it where it was asked for before."""
        content = asked.model_dump(mode="json", exclude_none=True)
        answer = self._ask("POST", _DUBS, json=content, headers={"Idempotency-Key": once})
        return _read(DubView, answer), answer.status_code == httpx.codes.OK

    def follow(self, dub: DubView, within_s: float) -> Iterator[DubView]:
        """The dub as it changes, by server-sent events, to its end; a connection that is lost is taken up again.

        Raises:
            OurFault: ``platform.dub_too_slow`` where it has not ended in ``within_s`` seconds.
        """
        until, seen, now = time.monotonic() + within_s, 0, dub
        while now.state not in ENDED:
            for number, now in self._events(dub, seen):
                seen = number
                yield now
                if time.monotonic() > until:
                    break
            if now.state not in ENDED and time.monotonic() > until:
                raise OurFault(
                    "platform.dub_too_slow", f"The dub {dub.id} has not ended in {within_s:g} s.", "It may end later."
                )

    def result(self, dub: DubView) -> ResultView:
        """What came of a dub that is done."""
        return _read(ResultView, self._ask("GET", dub.links["result"]))

    def fetch(self, result: ResultView, name: str, out: Path) -> bool:
        """Bring a file of the result to ``out``, whole and with the digest it should have; False where it lies there.

        Raises:
            OurFault: ``platform.fetched_broken``.
        """
        wanted = result.files[name]
        if out.is_file() and sha256_file(out) == wanted["sha256"]:
            return False
        digest = hashlib.sha256()
        with atomic_file(out) as part, part.open("wb") as file:
            with _answering(wanted["url"]), self._http.stream("GET", wanted["url"]) as answer:
                _check(answer)
                for chunk in answer.iter_bytes(_CHUNK):
                    digest.update(chunk)
                    file.write(chunk)
            if digest.hexdigest() != wanted["sha256"]:
                raise OurFault("platform.fetched_broken", f"{wanted['url']} came with other bytes.", "Fetch it again.")
        return True

    def _events(self, dub: DubView, seen: int) -> Iterator[tuple[int, DubView]]:
        """One connection's events, by number."""
        headers = {"Last-Event-ID": str(seen)}
        try:
            with self._http.stream("GET", dub.links["events"], headers=headers) as answer:
                if answer.status_code == httpx.codes.NO_CONTENT:
                    yield seen, _read(DubView, self._ask("GET", dub.links["self"]))
                    return
                _check(answer)
                event: dict[str, str] = {}
                for line in answer.iter_lines():
                    name, _, value = line.partition(":")
                    if name:
                        event[name] = value.removeprefix(" ")
                    elif "id" in event and "data" in event:
                        yield int(event["id"]), DubView.model_validate_json(event["data"])
                        event = {}
        except httpx.TransportError:
            time.sleep(_AGAIN_S)  # the next connection goes on where this one was lost

    def _ask(self, method: str, address: str, **more: Any) -> httpx.Response:
        with _answering(address):
            answer = self._http.request(method, address, **more)
        _check(answer)
        return answer


def refusal(status: int, content: dict[str, Any]) -> DubflowError:
    """The error that an answer tells of: what the client did is the user's doing, everything else ours."""
    told = {"code": content["code"], "headline": content["message"], "hint": content["hint"]}
    code = ExitCode.OURS if status >= httpx.codes.INTERNAL_SERVER_ERROR else ExitCode.BAD_INPUT
    return restored(told, int(code))


def _check(answer: httpx.Response) -> None:
    """Raise what an answer refuses."""
    if answer.is_success:
        return
    answer.read()
    try:
        error = refusal(answer.status_code, answer.json())
    except (ValueError, KeyError, TypeError):
        raise OurFault(
            "platform.no_answer", f"{answer.url} answered {answer.status_code}, and not as the API does.", _LOOK
        ) from None
    raise error


@contextmanager
def _answering(address: str) -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as error:
        raise OurFault("platform.no_answer", f"Nobody answers at {address}: {error}.", _LOOK) from error


def _read(model: type[Model], answer: httpx.Response) -> Model:
    return model.model_validate_json(answer.content)
