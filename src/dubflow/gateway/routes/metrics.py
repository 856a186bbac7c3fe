"""``/metrics``: everything that Prometheus scrapes, of all processes of this server."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from dubflow.gateway.metrics import exposition, gathered
from dubflow.gateway.parts import Parts, parts_of
from dubflow.gateway.scraping import looked_up
from dubflow.gateway.threads import reading

router = APIRouter(tags=["operation"])


@router.get("/metrics", summary="Metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """For Prometheus; OpenMetrics with trace ids as exemplars where `Accept` asks for it.

    Nothing in it names a tenant, a person, a file or a text, so it needs no key; keep it inside of your network.
    """
    text, kind = await reading(_exposed, parts_of(request), request.headers.get("accept", ""))
    return Response(text, headers={"Content-Type": kind})


def _exposed(parts: Parts, accept: str) -> tuple[bytes, str]:
    folder = parts.settings.state
    return exposition([*gathered(parts.meters.families(), folder), *looked_up(parts.jobs, folder)], accept)
