"""The HTTP API as an ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI
from fastapi.routing import APIRoute

from dubflow import __version__
from dubflow.gateway import errors, openapi
from dubflow.gateway.guard import Guard
from dubflow.gateway.housekeeping import housekeeping
from dubflow.gateway.observing import Observed
from dubflow.gateway.parts import open_parts
from dubflow.gateway.routes import consents, dubs, health, metrics, models, results, uploads
from dubflow.gateway.settings import GatewaySettings, load_settings
from dubflow.gateway.speakers import following

ROUTERS = (dubs, results, uploads, models, consents, health, metrics)


def create_app(settings: GatewaySettings | None = None) -> FastAPI:
    """The application; database and storage are opened at once, what runs beside requests with the server's start.

    Raises:
        as :func:`dubflow.gateway.parts.open_parts`; WrongUse: ``gateway.bad_settings``.
    """
    settings = settings or load_settings()
    parts = open_parts(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        beside = asyncio.create_task(housekeeping(parts))
        try:
            with following(settings):
                yield
        finally:
            beside.cancel()
            with suppress(asyncio.CancelledError):
                await beside
            parts.close()

    app = FastAPI(
        title="dubflow",
        version=__version__,
        description=openapi.DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # those pages load scripts from other people's servers
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation,
    )
    app.state.parts = parts
    app.state.settings = settings
    errors.install(app)
    app.add_middleware(Guard, settings=settings)
    app.add_middleware(Observed, meters=parts.meters)
    for module in ROUTERS:
        app.include_router(module.router)
    openapi.install(app)
    return app


def _operation(route: APIRoute) -> str:
    return f"{route.tags[0] if route.tags else 'root'}_{route.name}"
