"""``dubflow metrics``: training, gate and registry of a workspace, for Prometheus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dubflow.cli.output import Json, emit
from dubflow.errors import OurFault, WrongUse

if TYPE_CHECKING:
    from rich.console import Console

    from dubflow.platform.telemetry import Workspace


def metrics(
    folder: Annotated[Path, typer.Argument(help="Workspace: folder with trainings and verdicts, at any depth to 6.")],
    registry: Annotated[
        str | None, typer.Option(help="MLflow's database; DUBFLOW_MLFLOW_URI, else mlflow.db of the workspace.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write a file for node_exporter's textfile collector.")] = None,
    listen: Annotated[int | None, typer.Option(help="Answer GET /metrics on this port of --host until Ctrl-C.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; within a pod 0.0.0.0.")] = "127.0.0.1",
    as_json: Json = False,
) -> None:
    """Metrics of trainings, the gate's verdicts and the registry, from what they leave behind.

    The running server's own metrics are at its /metrics.
    """
    from dubflow.atomic import write_text
    from dubflow.gateway.metrics import exposition
    from dubflow.platform.telemetry import Workspace
    from dubflow.registry.tracking_store import store_of

    if not folder.is_dir():
        raise WrongUse("cli.wrong_use", f"{folder} is no folder.", "See `dubflow metrics --help`.")
    workspace = Workspace(folder, store_of(registry, folder / "run"))
    if listen is not None:
        _listen(workspace, host, listen)
        return
    text = exposition(workspace.collect())[0].decode()
    if out is not None:
        write_text(out, text)
    samples = [
        {"name": one.name, "labels": one.labels, "value": one.value}
        for family in workspace.collect()
        for one in family.samples
    ]

    def human(console: Console) -> None:
        console.print(str(out) if out is not None else text, markup=False, highlight=False, soft_wrap=True)

    emit({"out": None if out is None else str(out), "samples": samples}, as_json, human)


def _listen(workspace: Workspace, host: str, port: int) -> None:
    from prometheus_client import CollectorRegistry, start_http_server

    registry = CollectorRegistry()
    registry.register(workspace)
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise OurFault(
            "cli.port_taken", f"{host}:{port} cannot be listened on: {error.strerror}.", "Take another port."
        ) from error
    typer.echo(f"http://{host}:{server.server_port}/metrics", err=True)
    try:
        thread.join()
    finally:
        server.shutdown()
