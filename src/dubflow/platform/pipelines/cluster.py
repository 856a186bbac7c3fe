"""A run on a Kubeflow cluster: the compiled pipeline is handed to the endpoint, and what becomes of it is asked there.

The pipeline is the one that runs here; only the images' names are put in the place of the neutral ones, and GPUs are
left out where the cluster has none. The record of the run lies here like any other, with the cluster's id in it.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from dubflow.errors import BadInput, OurFault, WrongUse, missing_extra
from dubflow.platform.pipelines.definitions import Definition, Value, code_digest, documents_of
from dubflow.platform.pipelines.listening import to_standard_error
from dubflow.platform.pipelines.records import (
    PIPELINE,
    RunRecord,
    State,
    StepState,
    new_id,
    now,
    read_record,
    write_record,
)

_IMAGE = re.compile(r"^dubflow/([a-z]+)-python:(.+)$")
_STATES: dict[str, State] = {
    "SUCCEEDED": "succeeded", "FAILED": "failed", "CANCELED": "cancelled", "CANCELING": "cancelled",
}  # fmt: skip
_STEPS: dict[str, StepState] = {"SUCCEEDED": "succeeded", "SKIPPED": "cached", "CACHED": "cached", "FAILED": "failed"}


class ClusterSettings(BaseSettings):
    """How the endpoint is reached and what the cluster has; from the environment, prefix ``DUBFLOW_KFP_``."""

    model_config = SettingsConfigDict(env_prefix="DUBFLOW_KFP_", extra="ignore", frozen=True)

    host: str = Field("", description="URL of the Kubeflow Pipelines API.")
    namespace: str = Field("dubflow-training", description="Of the runs, on an installation for several users.")
    token: str = Field("", description="Bearer token; none where empty.")
    token_file: Path | None = Field(None, description="File with the token, as a cluster mounts it for a pod.")
    experiment: str = Field("dubflow", description="That runs are gathered under.")
    images: str = Field("", description="Registry and path before the images' names; none where empty.")
    tag: str = Field("", description="Tag or digest (sha256:…) of the images; the release's own where empty.")
    data_image: str = Field("", description="The image as a whole, such as REGISTRY/NAME@sha256:…; by the two above.")
    train_image: str = Field("", description="As data_image.")
    serve_image: str = Field("", description="As data_image.")
    gpus: bool = Field(True, description="False: steps ask for none.")
    service_account: str = Field("dubflow-pipeline", description="That steps run as.")
    poll_s: float = Field(5.0, gt=0, description="Seconds between looks at a run that is followed.")


def submit(
    definition: Definition,
    arguments: Mapping[str, Value],
    home: Path,
    *,
    follow: bool = False,
    settings: ClusterSettings | None = None,
    say: Callable[[str], None] = to_standard_error,
) -> RunRecord:
    """Hand a pipeline to the cluster; with ``follow`` wait for its end.

    Raises:
        WrongUse: ``platform.no_endpoint``, ``install.missing_extra``.
        OurFault: ``platform.endpoint_failed``. BadInput: ``platform.run_failed_there`` when it is followed and fails.
    """
    settings = settings or ClusterSettings()
    client = _client(settings)
    known = {one.name for one in definition.parameters}
    given = ({"code": code_digest()} if "code" in known else {}) | dict(arguments)
    run, text = new_id(definition.name), cluster_form(definition.text, settings)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        path.write_text(text, encoding="utf-8")
        made = _asked(
            lambda: client.create_run_from_pipeline_package(
                str(path),
                arguments=given,
                run_name=run,
                experiment_name=settings.experiment,
                namespace=settings.namespace,
                service_account=settings.service_account,
            )
        )
    record = RunRecord(
        id=run, pipeline=definition.name, arguments=given, where="cluster", state="running", created=now(),
        remote=made.run_id,
    )  # fmt: skip
    (Path(home) / run).mkdir(parents=True)
    (Path(home) / run / PIPELINE).write_text(text, encoding="utf-8")
    write_record(Path(home), record)
    say(f"{run}: submitted to {settings.host} as {made.run_id}")
    return _followed(client, record, Path(home), settings, say) if follow else record


def refresh(record: RunRecord, home: Path, settings: ClusterSettings | None = None) -> RunRecord:
    """The record as the cluster tells it now.

    Raises:
        As :func:`submit`.
    """
    return _looked(_client(settings or ClusterSettings()), record, Path(home))


def cancel(run: str, home: Path, settings: ClusterSettings | None = None) -> RunRecord:
    """Ask the cluster to end a run.

    Raises:
        WrongUse: ``platform.run_is_over``, and as :func:`submit`.
    """
    client = _client(settings or ClusterSettings())
    record = _looked(client, read_record(Path(home), run), Path(home))
    if record.state != "running":
        raise WrongUse("platform.run_is_over", f"The run {run} is {record.state}.", "There is nothing to cancel.")
    _asked(lambda: client.terminate_run(record.remote))
    return _looked(client, record, Path(home))


def resume(run: str, home: Path, settings: ClusterSettings | None = None) -> RunRecord:
    """Ask the cluster to go on with a failed run at the steps that failed.

    Raises:
        WrongUse: ``platform.run_is_over``, ``platform.run_is_busy``, and as :func:`submit`.
    """
    client = _client(settings or ClusterSettings())
    record = _looked(client, read_record(Path(home), run), Path(home))
    if record.state == "succeeded":
        raise WrongUse("platform.run_is_over", f"The run {run} has succeeded.", "Start another with `dubflow run`.")
    if record.state == "running":
        raise WrongUse("platform.run_is_busy", f"The run {run} is going on.", "Cancel it first, or wait.")
    # The client has no verb of its own for it; the API behind it has.
    _asked(lambda: client._run_api.run_service_retry_run(run_id=record.remote))
    again = record.model_copy(update={"state": "running", "ended": None, "attempts": record.attempts + 1})
    write_record(Path(home), again)
    return again


def cluster_form(text: str, settings: ClusterSettings) -> str:
    """The compiled pipeline with this cluster's images, and without GPUs where it has none."""
    return yaml.safe_dump_all(cluster_documents(text, settings), sort_keys=True)


def cluster_documents(text: str, settings: ClusterSettings) -> list[Any]:
    """As :func:`cluster_form`, not written out."""
    documents = documents_of(text)
    for executor in documents[0]["deploymentSpec"]["executors"].values():
        container = executor.get("container")
        if container is None:
            continue
        container["image"] = _image(container["image"], settings)
        if not settings.gpus:
            container.get("resources", {}).pop("accelerator", None)
    if not settings.gpus:
        for executor in _on_kubernetes(documents).values():
            executor.pop("tolerations", None)
    return documents


def _on_kubernetes(documents: list[Any]) -> dict[str, Any]:
    """Executors as only Kubernetes knows them; none where the pipeline asks for nothing of it."""
    known = documents[1]["platforms"].get("kubernetes", {}) if len(documents) > 1 else {}
    executors: dict[str, Any] = known.get("deploymentSpec", {}).get("executors", {})
    return executors


def _image(neutral: str, settings: ClusterSettings) -> str:
    found = _IMAGE.match(neutral)
    if found is None:
        return neutral
    name, tag = found[1], settings.tag or found[2]
    if whole := getattr(settings, f"{name}_image", ""):
        return str(whole)
    place = f"{settings.images.rstrip('/')}/" if settings.images else "dubflow/"
    return f"{place}{name}{'@' if tag.startswith('sha256:') else ':'}{tag}"


def _followed(
    client: Any, record: RunRecord, home: Path, settings: ClusterSettings, say: Callable[[str], None]
) -> RunRecord:
    told: dict[str, StepState] = {}
    while True:
        record = _looked(client, record, home)
        for step, state in record.steps.items():
            if told.get(step) != state:
                say(f"[{list(record.steps).index(step) + 1}] {step}: {state}")
        told = dict(record.steps)
        if record.state == "succeeded":
            return record
        if record.state != "running":
            raise BadInput(
                "platform.run_failed_there",
                f"The run {record.id} {record.state} on the cluster.",
                "Its steps' logs say why; `dubflow runs resume` goes on with it.",
            )
        time.sleep(settings.poll_s)


def _looked(client: Any, record: RunRecord, home: Path) -> RunRecord:
    found = _asked(lambda: client.get_run(record.remote))
    state = _STATES.get(str(found.state), "running")
    details = getattr(found.run_details, "task_details", None) or []
    steps = {
        task.display_name: _STEPS.get(str(task.state), "running")
        for task in sorted(details, key=lambda one: str(one.create_time))
        if task.display_name and not re.search(r"-driver$|^root", task.display_name)
    }
    ended = None if state == "running" else str(found.finished_at or now())
    changed = record.model_copy(update={"state": state, "steps": steps or record.steps, "ended": ended})
    if changed != record:
        write_record(home, changed)
    return changed


def _client(settings: ClusterSettings) -> Any:
    if not settings.host:
        raise WrongUse(
            "platform.no_endpoint", "No Kubeflow endpoint is named.", "Set DUBFLOW_KFP_HOST to the URL of its API."
        )
    try:
        from kfp import client
    except ImportError as error:
        raise missing_extra("kfp") from error
    token = _token(settings)
    return _asked(lambda: client.Client(host=settings.host, namespace=settings.namespace, existing_token=token or None))


def _token(settings: ClusterSettings) -> str:
    if settings.token_file is None:
        return settings.token
    try:
        return settings.token_file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise WrongUse(
            "platform.no_token",
            f"{settings.token_file} cannot be read: {error.strerror}.",
            "See DUBFLOW_KFP_TOKEN_FILE.",
        ) from error


def _asked(question: Callable[[], Any]) -> Any:
    try:
        with redirect_stdout(sys.stderr):  # the client prints links there, and an answer in JSON stands alone
            return question()
    except Exception as error:
        status = getattr(error, "status", None)
        reason = getattr(error, "body", None) or str(error)
        if status in (401, 403):
            raise WrongUse(
                "platform.not_allowed", f"The cluster refuses: {status}.", "Set DUBFLOW_KFP_TOKEN, or ask for the role."
            ) from error
        if status == 404:
            raise BadInput("platform.no_run_there", "The cluster does not know this run.", "It was removed.") from error
        raise OurFault(
            "platform.endpoint_failed", f"The Kubeflow endpoint did not answer: {str(reason)[:300]}", "Try again."
        ) from error
