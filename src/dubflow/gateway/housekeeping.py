"""What the gateway does now and then: it notes when keys were used, and clears the spool. Workers do the rest."""

from __future__ import annotations

import asyncio
import logging
import time

from dubflow.errors import DubflowError
from dubflow.gateway.parts import Parts
from dubflow.gateway.receiving import sweep
from dubflow.gateway.threads import slowly, writing

_EVERY_S = 5.0
_SWEEP_EVERY_S = 600.0

_log = logging.getLogger("dubflow.gateway")


async def housekeeping(parts: Parts) -> None:
    """Run until it is cancelled; what fails is logged and tried again."""
    swept = -_SWEEP_EVERY_S
    while True:
        try:
            await writing(parts.keys.flush_uses)
            if time.monotonic() - swept >= _SWEEP_EVERY_S:
                swept = time.monotonic()
                await slowly(sweep, parts.settings.spool, 2 * parts.settings.upload_s)
        except (DubflowError, OSError) as error:
            _log.warning("housekeeping failed", extra={"code": getattr(error, "code", "gateway.internal")})
        await asyncio.sleep(_EVERY_S)
