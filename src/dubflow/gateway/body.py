"""JSON from strangers: bounded in size and depth, UTF-8, each name once, only finite numbers.

Python's parser takes ``NaN``, lets the last of two equal names win, and ends in a ``RecursionError`` on deep nesting;
depth is therefore counted before it is parsed.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from dubflow.errors import WrongUse
from dubflow.gateway.errors import invalid

Model = TypeVar("Model", bound=BaseModel)
DEPTH = 32
_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)
_MOST_DIGITS = 30


class StrictRequest(Request):
    """A request whose JSON is read by :func:`parse_json`."""

    async def json(self) -> Any:
        """The body; what it raises passes through the framework as it is."""
        if not hasattr(self, "_json"):
            self._json = parse_json(await self.body(), depth_of(self))
        return self._json


class StrictRoute(APIRoute):
    """A route that reads bodies so: ``APIRouter(route_class=StrictRoute)``."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The framework's handler, on a stricter request."""
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            strict = StrictRequest(request.scope, request.receive)
            if self.body_field is not None:
                await _checked_json(strict)
            return await inner(strict)

        return handler


async def json_body(request: Request, model: type[Model]) -> Model:
    """The body as a ``model``.

    Raises:
        WrongUse: ``gateway.content_type``, ``gateway.bad_json``, ``gateway.bad_request``, ``gateway.too_large``.
    """
    _check_type(request)
    return as_model(model, parse_json(await request.body(), depth_of(request)))


def as_model(model: type[Model], content: Any) -> Model:
    """``content`` as a ``model``.

    Raises:
        WrongUse: ``gateway.bad_request``, naming the fields.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise invalid(error.errors(include_url=False, include_context=False, include_input=False)) from error


def parse_json(data: bytes, depth: int = DEPTH) -> Any:
    """``data`` as JSON.

    Raises:
        WrongUse: ``gateway.bad_json``.
    """
    if _depth(data, depth) > depth:
        raise _bad(f"it is nested deeper than {depth}")
    try:
        value = json.loads(
            data.decode("utf-8"),
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_whole,
            object_pairs_hook=_once,
        )
    except UnicodeDecodeError as error:
        raise _bad("it is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise _bad(f"at line {error.lineno}, column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise _bad("it is nested too deep") from error
    _check_texts(value)
    return value


def depth_of(request: Request) -> int:
    """The deepest nesting that the app of a request takes."""
    settings = getattr(request.app.state, "settings", None) if "app" in request.scope else None
    return DEPTH if settings is None else int(settings.json_depth)


async def _checked_json(request: StrictRequest) -> None:
    # Before the framework sees it: the framework reads a body of another type as text and complains about its fields.
    if await request.body():
        _check_type(request)
        await request.json()


def _check_type(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise WrongUse("gateway.content_type", "The body must be JSON.", "Send Content-Type: application/json.")


def _depth(data: bytes, enough: int) -> int:
    """How deep brackets nest outside of strings; stops counting above ``enough``."""
    deep = deepest = 0
    for found in _STRUCTURE.finditer(data):
        first = found.group()[:1]
        if first in b"[{":
            deep += 1
            deepest = max(deepest, deep)
            if deepest > enough:
                break
        elif first in b"]}":
            deep -= 1
    return deepest


def _no_constant(name: str) -> Any:
    raise _bad(f"{name} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _bad("a number is too large")
    return value


def _whole(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise _bad("a number has too many digits")
    return int(text)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _bad("a name stands twice in one object")
    return found


def _check_texts(value: Any) -> None:
    # JSON's \ud800 gives a lone surrogate, which can be written to no file and no database; NUL is refused by Postgres.
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
            raise _bad("a text has characters that cannot be stored")
    elif isinstance(value, dict):
        for one in (*value, *value.values()):
            _check_texts(one)
    elif isinstance(value, list):
        for one in value:
            _check_texts(one)


def _bad(why: str) -> WrongUse:
    return WrongUse("gateway.bad_json", f"The body is not good JSON: {why}.", "Send one JSON document in UTF-8.")
