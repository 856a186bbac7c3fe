"""``/metrics`` of one worker, where it shares no state folder with the gateway: in a cluster every worker is a pod.

On one machine workers publish to the state folder and the gateway adds them up (:mod:`dubflow.gateway.metrics`), which
asks the kernel who still lives. A pod's process numbers mean nothing in another pod, so there each is scraped itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dubflow.errors import OurFault
from dubflow.gateway.metrics import Meters
from dubflow.gateway.scraping import looked_up_here

if TYPE_CHECKING:
    from prometheus_client.core import Metric as Family


class WorkerFamilies:
    """What a worker tells when it is asked; what Prometheus' client calls a collector.

    Args:
        folder: of the state. beat: called before each answer.
    """

    def __init__(self, meters: Meters, folder: Path, beat: Callable[[], None]) -> None:
        self.meters, self.folder, self.beat = meters, folder, beat

    def describe(self) -> list[Family]:
        """Nothing: a client that registers this must not ask for everything at once."""
        return []

    def collect(self) -> list[Family]:
        """Its counters, what it serves, and drift of what came in to it."""
        self.beat()
        counted = self.meters.families()
        for family in counted:
            family.samples = [one for one in family.samples if not one.name.endswith("_created")]
        return [*counted, *looked_up_here(self.folder)]


@contextmanager
def told_by_itself(
    meters: Meters, folder: Path, address: tuple[str, int], beat: Callable[[], None]
) -> Iterator[tuple[str, int]]:
    """Answers ``GET /metrics`` at HOST, PORT while a ``with`` block runs; yields where (port 0 takes a free one).

    Raises:
        OurFault: ``gateway.metrics_port_taken``.
    """
    from prometheus_client import CollectorRegistry, start_http_server

    registry = CollectorRegistry()
    registry.register(WorkerFamilies(meters, folder, beat))
    host, port = address
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise OurFault(
            "gateway.metrics_port_taken",
            f"{host}:{port} cannot be listened on: {error.strerror}.",
            "Name another DUBFLOW_GATEWAY_WORKER_METRICS_PORT.",
        ) from error
    try:
        yield host, int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
