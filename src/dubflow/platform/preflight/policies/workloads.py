"""Workloads as a whole: how many may be missing, how they share a disk, when a job is over."""

from __future__ import annotations

from collections.abc import Iterator

from dubflow.platform.preflight.checks import Check
from dubflow.platform.preflight.container_settings import command_line, environment, named
from dubflow.platform.preflight.findings import Finding, Rule, refused
from dubflow.platform.preflight.replicas import least_replicas
from dubflow.platform.preflight.resources import Manifests, at, bodies, words
from dubflow.platform.preflight.selectors import selects

DISRUPTION_BUDGET = Rule(
    "policy.disruption_budget",
    "Where several replicas run, a PodDisruptionBudget keeps some of them, and lets some go.",
    "Draining a node ends all of them at once, or never ends.",
)
CLAIM_SHARING = Rule(
    "policy.claim_sharing",
    "A claim that one node at a time may mount has one pod, which ends before the next one starts.",
    "The new pod waits for a disk that the old one holds, and the old one for the new one.",
)
JOBS_END = Rule(
    "policy.jobs_end",
    "Jobs have a deadline and a number of tries, and are swept; scheduled ones do not run over one another.",
    "A job that hangs holds its GPU for ever; a slow night's run meets the next one.",
)
MLFLOW_SAFE = Rule(
    "policy.mlflow_safe",
    "MLflow's server reads no pickles and tells nobody about its use.",
    "Loading a pickled model runs whatever its author wrote.",
)
_SAFE = {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


def disruption_budget(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`DISRUPTION_BUDGET`."""
    for pod in manifests.pods:
        replicas = least_replicas(manifests, pod)
        if pod.lives != "always" or replicas < 2:
            continue
        budgets = [
            one
            for one in manifests.of("PodDisruptionBudget")
            if one.namespace == pod.namespace and selects(one.spec.get("selector"), pod.labels)
        ]
        if not budgets:
            told = f"Nothing keeps any of its {replicas} replicas while nodes are drained."
            yield refused(DISRUPTION_BUDGET, pod.where, told, "Add a PodDisruptionBudget that selects its pods.")
        for one in budgets:
            if one.spec.get("maxUnavailable") in (0, "0", "0%") or one.spec.get("minAvailable") in ("100%", replicas):
                told = f"It lets none of {pod.where} go, and no node can be drained."
                yield refused(DISRUPTION_BUDGET, one.where, told, "Set maxUnavailable: 1.")


def claim_sharing(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`CLAIM_SHARING`."""
    for pod in manifests.pods:
        for volume in bodies(pod.spec.get("volumes")):
            name = at(volume, "persistentVolumeClaim", "claimName")
            claim = manifests.find("PersistentVolumeClaim", name, pod.namespace)
            modes = words(claim.spec.get("accessModes")) if claim is not None else []
            if pod.owner.kind != "Deployment" or "ReadWriteMany" in modes or not modes or modes == ["ReadOnlyMany"]:
                continue
            if least_replicas(manifests, pod) > 1 or at(pod.owner.spec, "strategy", "type") != "Recreate":
                hint = "Take ReadWriteMany, or one replica with strategy Recreate, or a StatefulSet."
                yield refused(CLAIM_SHARING, pod.where, f"Its pods would share {name}, which one node may mount.", hint)


def jobs_end(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`JOBS_END`."""
    for one in manifests.of("Job", "CronJob"):
        spec = one.spec if one.kind == "Job" else at(one.spec, "jobTemplate", "spec")
        needed = ["activeDeadlineSeconds", "backoffLimit"] + (["ttlSecondsAfterFinished"] if one.kind == "Job" else [])
        missing = [name for name in needed if not isinstance(at(spec, name), int)]
        if missing:
            yield refused(JOBS_END, one.where, f"It does not say {', '.join(missing)}.", "Say when it is given up.")
        if one.kind == "CronJob" and one.spec.get("concurrencyPolicy") not in ("Forbid", "Replace"):
            yield refused(JOBS_END, one.where, "Its runs may overlap.", "Set concurrencyPolicy: Forbid.")


def mlflow_safe(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`MLFLOW_SAFE`."""
    for pod in manifests.pods:
        for container in pod.containers:
            told = command_line(container)
            if "server" not in told or not any(word.rpartition("/")[2] == "mlflow" for word in told):
                continue
            known = {one.name: one.value for one in environment(manifests, pod, container)}
            wrong = [f"{name}={value}" for name, value in _SAFE.items() if known.get(name) != value]
            if wrong:
                yield refused(MLFLOW_SAFE, named(pod, container), "It may load pickles or report its use.",
                              f"Set {' and '.join(wrong)}.")  # fmt: skip


CHECKS = (
    Check(DISRUPTION_BUDGET, disruption_budget),
    Check(CLAIM_SHARING, claim_sharing),
    Check(JOBS_END, jobs_end),
    Check(MLFLOW_SAFE, mlflow_safe),
)
