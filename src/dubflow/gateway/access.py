"""Who asks, and whether they may: what routes depend on.

``caller: Annotated[Caller, Depends(needs("read"))]`` in a route's signature is all it takes. A caller sees what belongs
to their tenant; whatever belongs to another is not found.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from dubflow.errors import WrongUse
from dubflow.gateway.keys import KeyRecord, Scope
from dubflow.gateway.parts import parts_of
from dubflow.gateway.threads import reading

_BEARER = HTTPBearer(auto_error=False, scheme_name="key", description="An API key: `dubflow keys create`.")


@dataclass(frozen=True)
class Caller:
    """Whoever holds the key of a request."""

    tenant: str
    key: KeyRecord

    @property
    def name(self) -> str:
        """For histories: tenant, and the key's id and name."""
        return f"{self.tenant}/{self.key.id}" + (f" ({self.key.name})" if self.key.name else "")

    def may(self, scope: Scope) -> bool:
        """Whether the key has it."""
        return scope in self.key.scopes


def needs(scope: Scope) -> Callable[..., Awaitable[Caller]]:
    """A dependency: the caller, whose key has ``scope``; counts as one request of the tenant.

    Raises:
        WrongUse: ``gateway.no_key``, ``gateway.bad_key``, ``gateway.missing_scope``, ``gateway.rate_limited``.
    """

    async def caller(
        request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]
    ) -> Caller:
        if given is None or not given.credentials:
            raise WrongUse(
                "gateway.no_key", "The request has no API key.", "Send it as: Authorization: Bearer dubflow_…."
            )
        parts = parts_of(request)
        record = await reading(parts.keys.check, given.credentials)
        parts.rate.take(record.tenant)
        found = Caller(record.tenant, record)
        request.scope.setdefault("state", {})["key_id"] = record.id
        if not found.may(scope):
            raise WrongUse(
                "gateway.missing_scope",
                f"This API key may not do this; it lacks the scope {scope!r}.",
                f"Use a key with it: dubflow keys create --scopes {scope}.",
            )
        return found

    return caller


Reader = Annotated[Caller, Depends(needs("read"))]
Submitter = Annotated[Caller, Depends(needs("submit"))]
Promoter = Annotated[Caller, Depends(needs("promote"))]
Admin = Annotated[Caller, Depends(needs("admin"))]
