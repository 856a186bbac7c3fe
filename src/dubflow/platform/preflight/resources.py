"""Rendered resources, and the pods that they make.

Whatever makes pods is told as :class:`PodSpec`: a Deployment's template, a CronJob's, the replicated jobs of a training
runtime, a serving runtime, and an InferenceService laid over the runtime that it names, as KServe would.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from dubflow.platform.preflight.merging import merged

Body = Mapping[str, Any]
Lives = Literal["always", "until_done"]

CLUSTER_SCOPED = frozenset(
    {
        "APIService", "CertificateSigningRequest", "ClusterIssuer", "ClusterQueue", "ClusterRole", "ClusterRoleBinding",
        "ClusterSecretStore", "ClusterServingRuntime", "ClusterTrainingRuntime", "Cohort", "CSIDriver", "CSINode",
        "CustomResourceDefinition", "GatewayClass", "IngressClass", "MutatingWebhookConfiguration", "Namespace", "Node",
        "PersistentVolume", "PriorityClass", "ResourceFlavor", "RuntimeClass", "StorageClass",
        "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration",
        "VolumeAttachment", "WorkloadPriorityClass",
    }
)  # fmt: skip
"""Kinds without a namespace, of Kubernetes and of what is installed beside it."""

_TEMPLATES: dict[str, tuple[tuple[str, ...], Lives]] = {
    "Deployment": (("spec", "template"), "always"),
    "StatefulSet": (("spec", "template"), "always"),
    "DaemonSet": (("spec", "template"), "always"),
    "ReplicaSet": (("spec", "template"), "always"),
    "Job": (("spec", "template"), "until_done"),
    "CronJob": (("spec", "jobTemplate", "spec", "template"), "until_done"),
}
SERVED = "kserve-container"
"""The container of a serving runtime that an InferenceService's ``model`` is laid over."""


@dataclass(frozen=True)
class Resource:
    """One object of Kubernetes.

    Attributes:
        body: as it was rendered. origin: who makes it at run time; empty for what is checked in.
    """

    body: Body
    origin: str = ""

    @property
    def kind(self) -> str:
        """Its kind."""
        return str(self.body.get("kind", ""))

    @property
    def api_version(self) -> str:
        """Group and version."""
        return str(self.body.get("apiVersion", ""))

    @property
    def api_group(self) -> str:
        """Group; empty for the core."""
        return self.api_version.rpartition("/")[0]

    @property
    def name(self) -> str:
        """Its name."""
        return str(at(self.body, "metadata", "name") or "")

    @property
    def namespace(self) -> str:
        """Its namespace; empty where it has none."""
        return str(at(self.body, "metadata", "namespace") or "")

    @property
    def labels(self) -> Body:
        """Its own labels."""
        return mapping(at(self.body, "metadata", "labels"))

    @property
    def spec(self) -> Body:
        """Its spec."""
        return mapping(self.body.get("spec"))

    @property
    def where(self) -> str:
        """As findings name it."""
        named = f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"
        return f"{named} (made by {self.origin})" if self.origin else named


@dataclass(frozen=True)
class PodSpec:
    """Pods that a resource makes.

    Attributes:
        owner: what makes them. spec: of a pod. labels: of a pod, with those that controllers add.
        lives: whether they run until somebody ends them or until their work is done.
        replicas: the least number that runs at once, as far as the owner says.
        part: which of the owner's pods, where it makes several kinds.
    """

    owner: Resource
    spec: Body
    labels: Body
    lives: Lives
    replicas: int = 1
    part: str = ""

    @property
    def namespace(self) -> str:
        """Where they run; empty for what is made in any namespace."""
        return self.owner.namespace

    @property
    def where(self) -> str:
        """As findings name them."""
        return f"{self.owner.where}, {self.part}" if self.part else self.owner.where

    @property
    def containers(self) -> list[Body]:
        """Those that do the work."""
        return bodies(self.spec.get("containers"))

    @property
    def every_container(self) -> list[Body]:
        """With those that run before them."""
        return [*bodies(self.spec.get("initContainers")), *self.containers]


@dataclass(frozen=True)
class Manifests:
    """What an overlay renders to.

    Attributes:
        overlay: its name. resources: in the order of the rendering.
        released: whether a release's images have been put into it.
    """

    overlay: str
    resources: tuple[Resource, ...]
    released: bool = False
    pods: tuple[PodSpec, ...] = field(init=False)

    def __post_init__(self) -> None:
        found = tuple(pod for one in self.resources for pod in _pods_of(one, self))
        object.__setattr__(self, "pods", found)

    def of(self, *kinds: str) -> Iterator[Resource]:
        """Those of some kinds."""
        return (one for one in self.resources if one.kind in kinds)

    def find(self, kind: str, name: object, namespace: str = "") -> Resource | None:
        """The one of that name; a namespace counts only where it is given."""
        for one in self.of(kind):
            if one.name == name and (not namespace or one.namespace == namespace):
                return one
        return None

    def pods_in(self, namespace: str) -> list[PodSpec]:
        """Those of a namespace."""
        return [pod for pod in self.pods if pod.namespace == namespace]

    @property
    def namespaces(self) -> list[str]:
        """In which anything lies, sorted."""
        return sorted({one.namespace for one in self.resources if one.namespace})


def at(body: object, *path: str | int) -> Any:
    """What lies at a path; None where the way ends before."""
    for step in path:
        if isinstance(body, Mapping):
            body = body.get(step)
        elif isinstance(body, list) and isinstance(step, int) and step < len(body):
            body = body[step]
        else:
            return None
    return body


def mapping(value: object) -> Body:
    """A mapping, or an empty one: schemas are checked elsewhere."""
    return value if isinstance(value, Mapping) else {}


def bodies(value: object) -> list[Body]:
    """The mappings of a list."""
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def words(value: object) -> list[str]:
    """A list's entries as text."""
    return [str(one) for one in value] if isinstance(value, list) else []


def _pods_of(resource: Resource, all_of_them: Manifests) -> Iterable[PodSpec]:
    body, kind = resource.body, resource.kind
    if kind == "Pod":
        yield PodSpec(resource, resource.spec, resource.labels, "always")
    elif kind in _TEMPLATES:
        path, lives = _TEMPLATES[kind]
        template = at(body, *path)
        replicas = resource.spec.get("replicas", 1) if lives == "always" else 1
        replicas = replicas if isinstance(replicas, int) else 1
        yield PodSpec(resource, mapping(at(template, "spec")), _labels(template), lives, replicas)
    elif kind in ("ServingRuntime", "ClusterServingRuntime"):
        users = (at(one.spec, "predictor", "model", "runtime") for one in all_of_them.of("InferenceService"))
        if resource.name not in users:  # else its pods are those of the services
            yield PodSpec(resource, resource.spec, _labels({"metadata": resource.spec}), "always")
    elif kind == "InferenceService":
        yield from _served(resource, all_of_them)
    elif kind in ("TrainingRuntime", "ClusterTrainingRuntime"):
        yield from _replicated(resource, resource)
    elif kind == "TrainJob":
        yield from _trained(resource, all_of_them)


def _replicated(owner: Resource, runtime: Resource) -> Iterator[PodSpec]:
    for job in bodies(at(runtime.body, "spec", "template", "spec", "replicatedJobs")):
        template = at(job, "template", "spec", "template")
        labels = {**_labels(template), "jobset.sigs.k8s.io/replicatedjob-name": str(job.get("name"))}
        yield PodSpec(owner, mapping(at(template, "spec")), labels, "until_done", part=str(job.get("name")))


def _trained(job: Resource, all_of_them: Manifests) -> Iterator[PodSpec]:
    """The runtime's pods with the job's image, command, variables and patches over them, as Trainer would."""
    reference = mapping(job.spec.get("runtimeRef"))
    kind = str(reference.get("kind") or "ClusterTrainingRuntime")
    runtime = all_of_them.find(kind, reference.get("name"), "" if kind.startswith("Cluster") else job.namespace)
    trainer = mapping(job.spec.get("trainer"))
    own = {key: trainer[key] for key in ("image", "command", "args", "env") if trainer.get(key)}
    if trainer.get("resourcesPerNode"):
        own["resources"] = trainer["resourcesPerNode"]
    patches = {
        str(each.get("name")): mapping(at(each, "template", "spec", "template", "spec"))
        for one in bodies(job.spec.get("runtimePatches"))
        for each in bodies(at(one, "trainingRuntimeSpec", "template", "spec", "replicatedJobs"))
    }
    for pod in _replicated(job, runtime) if runtime else ():
        spec = merged(pod.spec, patches.get(pod.part, {}))
        if pod.part == "node" and own:
            spec = merged(spec, {"containers": [{"name": "node", **own}]})
        yield replace(pod, spec=spec)


def _labels(template: object) -> Body:
    return mapping(at(template, "metadata", "labels"))


def _served(service: Resource, all_of_them: Manifests) -> Iterable[PodSpec]:
    """Pods of the predictor and of its canaries."""
    yield _predictor(service, mapping(service.spec.get("predictor")), "predictor", all_of_them)
    for one in bodies(service.spec.get("canary")):
        predictor = mapping(one.get("predictor"))
        yield _predictor(service, predictor, f"canary {predictor.get('name')}", all_of_them)


def _predictor(service: Resource, predictor: Body, part: str, all_of_them: Manifests) -> PodSpec:
    """The runtime's pod with the predictor's own fields over it, and the labels that KServe gives."""
    model = mapping(predictor.get("model"))
    runtime = all_of_them.find("ServingRuntime", model.get("runtime"), service.namespace)
    runtime = runtime or all_of_them.find("ClusterServingRuntime", model.get("runtime"))
    base = dict(runtime.spec) if runtime else {}
    own = {key: value for key, value in predictor.items() if key not in _OF_THE_SERVICE}
    if model:
        served = {key: value for key, value in model.items() if key not in _OF_THE_MODEL}
        own["containers"] = [{**served, "name": SERVED}, *bodies(own.get("containers"))]
    labels = {
        **_labels({"metadata": base}),
        **service.labels,
        **_labels({"metadata": predictor}),
        "serving.kserve.io/inferenceservice": service.name,
        "component": "predictor",
        "app": f"isvc.{service.name}-predictor",
    }
    least = predictor.get("minReplicas", 1)
    replicas = least if isinstance(least, int) else 1
    return PodSpec(service, merged(base, own), labels, "always", replicas, part)


_OF_THE_SERVICE = frozenset(
    {"model", "name", "minReplicas", "maxReplicas", "scaleTarget", "scaleMetric", "labels", "annotations", "canary",
     "canaryTrafficPercent", "deploymentStrategy", "containerConcurrency", "timeout", "logger", "batcher", "workerSpec",
     "autoScaling", "scaleMetricType"}
)  # fmt: skip
_OF_THE_MODEL = frozenset({"modelFormat", "runtime", "protocolVersion", "storageUri", "storage", "runtimeVersion"})
