"""Names across the cluster: namespaces, roles, runtimes, queues, what is scaled, images that we build."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from dubflow.platform.preflight.checks import Check
from dubflow.platform.preflight.findings import Finding, Rule, refused
from dubflow.platform.preflight.resources import CLUSTER_SCOPED, Manifests, Resource, at, bodies, mapping, words

TWICE = Rule(
    "reference.twice",
    "No two resources of a kind have one name.",
    "The second one silently replaces the first.",
)
NAMESPACE = Rule(
    "reference.namespace",
    "Resources lie in namespaces that are there; those of the whole cluster lie in none.",
    "They are refused, or land in whatever namespace the person who applies them is in.",
)
ROLE = Rule(
    "reference.role",
    "Bindings name roles and service accounts that are there, and every role is bound.",
    "A right is granted to nobody, and somebody is refused at run time.",
)
RUNTIME = Rule(
    "reference.runtime",
    "Serving and training runtimes that services and jobs name are there, also those that our code names.",
    "The service or job is never started.",
)
QUEUE = Rule(
    "reference.queue",
    "Queues that jobs name are there, lead to a cluster queue with flavours, and know what the jobs ask for.",
    "Jobs wait for ever.",
)
SCALE_TARGET = Rule(
    "reference.scale_target",
    "Scalers name a workload that is there, whose replicas nobody else sets, with bounds in order.",
    "Nothing is scaled, or two set the number in turn.",
)
_QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
_RUNTIMES = {
    "ServingRuntime": ("ServingRuntime", "ClusterServingRuntime"),
    "ClusterTrainingRuntime": ("ClusterTrainingRuntime",),
    "TrainingRuntime": ("TrainingRuntime",),
}


def twice(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`TWICE`."""
    counted = Counter((one.api_group, one.kind, one.namespace, one.name) for one in manifests.resources)
    for (_, kind, namespace, name), count in counted.items():
        if count > 1:
            where = f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"
            yield refused(TWICE, where, f"It is there {count} times.", "Remove or rename one.")


def namespace(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`NAMESPACE`."""
    known = {one.name for one in manifests.of("Namespace")}
    for one in manifests.resources:
        if one.kind in CLUSTER_SCOPED:
            if one.namespace:
                yield refused(NAMESPACE, one.where, "A kind of the whole cluster has a namespace.", "Remove it.")
        elif not one.namespace:
            yield refused(NAMESPACE, one.where, "It does not say in which namespace it lies.", "Name it.")
        elif one.namespace not in known:
            yield refused(NAMESPACE, one.where, f"There is no namespace {one.namespace}.", "Add or correct it.")


def role(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`ROLE`. Roles of the whole cluster that the cluster brings (``system:``) are its own."""
    bound = {(at(one.body, "roleRef", "kind"), at(one.body, "roleRef", "name"), one.namespace)
             for one in manifests.of("RoleBinding", "ClusterRoleBinding")}  # fmt: skip
    for one in manifests.of("Role"):
        if ("Role", one.name, one.namespace) not in bound:
            yield refused(ROLE, one.where, "Nobody has it.", "Bind or remove it.")
    for one in manifests.of("RoleBinding", "ClusterRoleBinding"):
        reference = mapping(one.body.get("roleRef"))
        kind, name = str(reference.get("kind")), str(reference.get("name"))
        space = one.namespace if kind == "Role" else ""
        if not name.startswith("system:") and manifests.find(kind, name, space) is None:
            yield refused(ROLE, one.where, f"There is no {kind} {name}.", "Add or correct it.")
        for subject in bodies(one.body.get("subjects")):
            space = str(subject.get("namespace") or one.namespace)
            foreign = space not in {each.name for each in manifests.of("Namespace")}
            if subject.get("kind") != "ServiceAccount" or foreign:
                continue
            if manifests.find("ServiceAccount", subject.get("name"), space) is None:
                told = f"There is no service account {space}/{subject.get('name')}."
                yield refused(ROLE, one.where, told, "Add or correct it.")


def runtime(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`RUNTIME`."""
    from dubflow.platform.inference_services import DeploySettings
    from dubflow.platform.trainjobs import TrainJobSettings

    asked = [(one.where, "ServingRuntime", at(one.spec, "predictor", "model", "runtime"), one.namespace)
             for one in manifests.of("InferenceService")]  # fmt: skip
    asked += [
        (one.where, str(at(one.spec, "runtimeRef", "kind") or "ClusterTrainingRuntime"),
         at(one.spec, "runtimeRef", "name"), one.namespace)
        for one in manifests.of("TrainJob")
    ]  # fmt: skip
    if next(manifests.of("ServingRuntime", "ClusterServingRuntime", "InferenceService"), None):
        asked.append(("DeploySettings.runtime", "ServingRuntime", DeploySettings.model_fields["runtime"].default, ""))
    if next(manifests.of("ClusterTrainingRuntime", "TrainingRuntime", "TrainJob"), None):
        name = TrainJobSettings.model_fields["runtime"].default
        asked.append(("TrainJobSettings.runtime", "ClusterTrainingRuntime", name, ""))
    for where, kind, name, space in asked:
        if name and not any(manifests.find(one, name, "" if one.startswith("Cluster") else space) for one in
                            _RUNTIMES.get(kind, (kind,))):  # fmt: skip
            yield refused(RUNTIME, where, f"There is no {kind} {name}.", "Add it or name another one.")


def queue(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`QUEUE`."""
    for one in manifests.resources:
        labels = [one.labels, mapping(at(one.body, "spec", "template", "metadata", "labels"))]
        for name in {str(found[_QUEUE_LABEL]) for found in labels if found.get(_QUEUE_LABEL)}:
            if manifests.find("LocalQueue", name, one.namespace) is None:
                told = f"There is no LocalQueue {one.namespace}/{name}."
                yield refused(QUEUE, one.where, told, "Add it or name another one.")
        yield from _covered(manifests, one)
    for one in manifests.of("LocalQueue"):
        if manifests.find("ClusterQueue", one.spec.get("clusterQueue")) is None:
            yield refused(QUEUE, one.where, f"There is no ClusterQueue {one.spec.get('clusterQueue')}.", "Add it.")
    for one in manifests.of("ClusterQueue"):
        for group in bodies(one.spec.get("resourceGroups")):
            for flavour in bodies(group.get("flavors")):
                if manifests.find("ResourceFlavor", flavour.get("name")) is None:
                    yield refused(QUEUE, one.where, f"There is no ResourceFlavor {flavour.get('name')}.", "Add it.")
                quotas = {str(each.get("name")) for each in bodies(flavour.get("resources"))}
                if quotas != set(words(group.get("coveredResources"))):
                    told = f"The flavour {flavour.get('name')} has quotas of other resources than the group covers."
                    yield refused(QUEUE, one.where, told, "Give a quota for each covered resource.")


def _covered(manifests: Manifests, job: Resource) -> Iterator[Finding]:
    """Kueue never admits a job that asks for a resource which its queue does not know."""
    local = manifests.find("LocalQueue", job.labels.get(_QUEUE_LABEL), job.namespace)
    found = manifests.find("ClusterQueue", local.spec.get("clusterQueue")) if local else None
    if found is None:
        return
    known = {
        name for group in bodies(found.spec.get("resourceGroups")) for name in words(group.get("coveredResources"))
    }
    pods = [pod for pod in manifests.pods if pod.owner == job]
    asked = {str(name) for pod in pods for container in pod.containers for kind in ("requests", "limits")
             for name, value in mapping(at(container, "resources", kind)).items() if str(value) != "0"}  # fmt: skip
    if lacking := sorted(asked - known):
        told = f"It asks for {', '.join(lacking)}, of which ClusterQueue {found.name} knows nothing."
        yield refused(QUEUE, job.where, told, "Cover the resource, or do not ask for it.")


def scale_target(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`SCALE_TARGET`."""
    for one in manifests.of("ScaledObject", "HorizontalPodAutoscaler"):
        reference = mapping(one.spec.get("scaleTargetRef"))
        kind, name = str(reference.get("kind") or "Deployment"), reference.get("name")
        target = manifests.find(kind, name, one.namespace)
        keda = one.kind == "ScaledObject"
        least, most = (one.spec.get(f"{end}ReplicaCount" if keda else f"{end}Replicas") for end in ("min", "max"))
        if target is None:
            yield refused(SCALE_TARGET, one.where, f"There is no {kind} {one.namespace}/{name}.", "Name a workload.")
        elif "replicas" in target.spec:
            told = f"{target.where} sets replicas itself; every apply would undo the scaling."
            yield refused(SCALE_TARGET, one.where, told, "Remove replicas from the workload.")
        if isinstance(least, int) and isinstance(most, int) and least > most:
            yield refused(
                SCALE_TARGET, one.where, f"At least {least} and at most {most} cannot be.", "Order the bounds."
            )


CHECKS = (
    Check(TWICE, twice),
    Check(NAMESPACE, namespace),
    Check(ROLE, role),
    Check(RUNTIME, runtime),
    Check(QUEUE, queue),
    Check(SCALE_TARGET, scale_target),
)
