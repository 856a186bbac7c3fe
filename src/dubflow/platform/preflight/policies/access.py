"""Who may do what: rights in the cluster, secrets, and what can be reached from outside."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dubflow.platform.preflight.checks import Check
from dubflow.platform.preflight.container_settings import command_line, environment, named
from dubflow.platform.preflight.findings import Finding, Rule, refused, warned
from dubflow.platform.preflight.policies.pods import runs_triton
from dubflow.platform.preflight.resources import Manifests, PodSpec, bodies, mapping, words

TOKEN_MOUNT = Rule(
    "policy.token_mount",
    "Only pods whose service account has rights get its token, and none uses the default account.",
    "A token without need is a key for whoever breaks in.",
)
RBAC_WILDCARDS = Rule(
    "policy.rbac_wildcards",
    "Roles name their verbs and resources; none may widen itself, and none reads all secrets.",
    "A wildcard grants what is invented next year.",
)
SECRET_IN_PLAIN = Rule(
    "policy.secret_in_plain",
    "Passwords, keys and tokens come from Secrets, never from values, ConfigMaps or command lines.",
    "Whoever may read manifests, or list processes, has them.",
)
SECRET_COMMITTED = Rule(
    "policy.secret_committed",
    "No Secret with content is part of a production overlay; an ExternalSecret says where it comes from.",
    "It lies in the history of a repository for ever.",
)
EXPOSED = Rule(
    "policy.exposed",
    "Nothing but the gateway is reached from outside, and that through the cluster's Gateway alone.",
    "A LoadBalancer or NodePort passes by TLS, limits and logs.",
)
SERVED_INSIDE = Rule(
    "policy.served_inside",
    "InferenceServices are labelled networking.kserve.io/visibility: cluster-local.",
    "KServe makes an Ingress or HTTPRoute for every other one, and Triton stands on the internet.",
)
ADMIN_PROTECTED = Rule(
    "policy.admin_protected",
    "Triton's administration (loading models, logging, tracing) asks for a key that comes from a Secret.",
    "Whoever reaches its port could unload the model that serves.",
)
_SECRET_NAME = re.compile(r"(PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|_KEY$)", re.I)
_SECRET_VALUE = re.compile(r"://[^/\s:@]+:[^/\s@$]+@|-----BEGIN [A-Z ]*PRIVATE KEY|\bAKIA[0-9A-Z]{16}\b")
_RESTRICTED = ("--http-restricted-api", "--grpc-restricted-protocol")
_VISIBILITY = "networking.kserve.io/visibility"
_TRITON_KEY = "DUBFLOW_TRITON_KEY"


def token_mount(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`TOKEN_MOUNT`. Pods made from a runtime of several namespaces name their account elsewhere."""
    for pod in manifests.pods:
        name = str(pod.spec.get("serviceAccountName") or "default")
        account = manifests.find("ServiceAccount", name, pod.namespace)
        mounted = pod.spec.get("automountServiceAccountToken")
        if mounted is None and account is not None:
            mounted = account.body.get("automountServiceAccountToken")
        if mounted is False:
            continue
        if name == "default":
            told = "It gets the token of the default service account."
            yield refused(TOKEN_MOUNT, pod.where, told, "Set automountServiceAccountToken: false.")
        elif not _has_rights(manifests, name, pod.namespace):
            told = f"It gets a token of {name}, which has no rights."
            yield refused(TOKEN_MOUNT, pod.where, told, "Set automountServiceAccountToken: false.")


def _has_rights(manifests: Manifests, account: str, namespace: str) -> bool:
    return any(
        one.get("kind") == "ServiceAccount" and one.get("name") == account
        and namespace in ("", one.get("namespace") or binding.namespace)
        for binding in manifests.of("RoleBinding", "ClusterRoleBinding")
        for one in bodies(binding.body.get("subjects"))
    )  # fmt: skip


def rbac_wildcards(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`RBAC_WILDCARDS`."""
    for role in manifests.of("Role", "ClusterRole"):
        for one in bodies(role.body.get("rules")):
            verbs, resources = words(one.get("verbs")), words(one.get("resources"))
            named_all = [*verbs, *resources, *words(one.get("apiGroups")), *words(one.get("nonResourceURLs"))]
            if any("*" in word for word in named_all):
                yield refused(RBAC_WILDCARDS, role.where, "A rule has a wildcard.", "Name what is needed.")
            if widening := sorted({"escalate", "bind", "impersonate"} & set(verbs)):
                yield refused(RBAC_WILDCARDS, role.where, f"It may {', '.join(widening)}.", "Remove the verb.")
            if "secrets" in resources and not one.get("resourceNames") and set(verbs) & {"get", "list", "watch"}:
                told = "It reads every secret of its namespace."
                yield refused(RBAC_WILDCARDS, role.where, told, "Name the secrets in resourceNames.")
    for binding in manifests.of("RoleBinding", "ClusterRoleBinding"):
        name = mapping(binding.body.get("roleRef")).get("name")
        if name in ("cluster-admin", "admin", "edit"):
            yield refused(RBAC_WILDCARDS, binding.where, f"It grants {name}.", "Bind a role that names what is needed.")


def secret_in_plain(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`SECRET_IN_PLAIN`. A value that is the name of a Secret, or a path, gives nothing away."""
    hint = "Take it from a Secret by secretKeyRef, or as a file."
    for one in manifests.of("ConfigMap"):
        for key, value in mapping(one.body.get("data")).items():
            if _gives_away(manifests, str(key), str(value)):
                yield refused(SECRET_IN_PLAIN, one.where, f"{key} looks like a secret.", hint)
    for pod in manifests.pods:
        for container in pod.every_container:
            for variable in environment(manifests, pod, container):
                if variable.source == "value" and _gives_away(manifests, variable.name, variable.value or ""):
                    yield refused(SECRET_IN_PLAIN, named(pod, container), f"{variable.name} looks like a secret.", hint)
            if any(_SECRET_VALUE.search(word) for word in command_line(container)):
                told = "Its command line holds a password or key."
                yield refused(SECRET_IN_PLAIN, named(pod, container), told, hint)


def _gives_away(manifests: Manifests, name: str, value: str) -> bool:
    if _SECRET_VALUE.search(value):
        return True
    if not _SECRET_NAME.search(name) or not value or value.startswith(("/", "$(", "[", "{")) or "\n" in value:
        return False
    return value not in _secret_names(manifests) and value.lower() not in ("true", "false")


def _secret_names(manifests: Manifests) -> set[str]:
    given = {str(mapping(one.spec.get("target")).get("name") or one.name) for one in manifests.of("ExternalSecret")}
    return given | {one.name for one in manifests.of("Secret")}


def secret_committed(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`SECRET_COMMITTED`. What the overlay for trying out brings is told, not refused."""
    for one in manifests.of("Secret"):
        if one.body.get("data") or one.body.get("stringData"):
            told = "Its content lies in the repository."
            if manifests.overlay == "dev":
                yield warned(
                    SECRET_COMMITTED, one.where, told, "For trying out alone; nobody else may reach this cluster."
                )
            else:
                yield refused(SECRET_COMMITTED, one.where, told, "Take it from an ExternalSecret.")


def exposed(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`EXPOSED`."""
    for one in manifests.of("Service"):
        kind = one.spec.get("type", "ClusterIP")
        if kind not in ("ClusterIP",) or one.spec.get("externalIPs"):
            yield refused(
                EXPOSED, one.where, f"It is reached from outside ({kind}).", "Take ClusterIP and an HTTPRoute."
            )
    for one in manifests.of("Ingress"):
        yield refused(EXPOSED, one.where, "It passes by the cluster's Gateway.", "Write an HTTPRoute.")
    for one in manifests.of("HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute"):
        for rule in bodies(one.spec.get("rules")):
            others = {str(to.get("name")) for to in bodies(rule.get("backendRefs"))} - {"dubflow-gateway"}
            if others:
                told = f"It leads from outside to {', '.join(sorted(others))}."
                yield refused(EXPOSED, one.where, told, "Only dubflow-gateway checks keys and limits.")


def served_inside(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`SERVED_INSIDE`."""
    for one in manifests.of("InferenceService"):
        if one.labels.get(_VISIBILITY) != "cluster-local":
            yield refused(
                SERVED_INSIDE,
                one.where,
                "KServe gives it a way from outside.",
                f"Label it {_VISIBILITY}: cluster-local.",
            )


def admin_protected(manifests: Manifests) -> Iterator[Finding]:
    """See :data:`ADMIN_PROTECTED`. Our launcher restricts the administration by the key that it is given."""
    for pod in manifests.pods:
        for container in pod.containers:
            if not runs_triton(pod, container):
                continue
            told = command_line(container)
            if any(word.rpartition("/")[2] == "tritonserver" for word in told):
                missing = [flag for flag in _RESTRICTED if not any(word.startswith(flag) for word in told)]
                if missing:
                    yield refused(ADMIN_PROTECTED, named(pod, container), f"It runs without {' and '.join(missing)}.",
                                  "Restrict model-repository, log, trace and shared memory.")  # fmt: skip
            elif not _key_from_secret(manifests, pod, container):
                yield refused(ADMIN_PROTECTED, named(pod, container), f"{_TRITON_KEY} comes from no Secret.",
                              "Give the key by secretKeyRef.")  # fmt: skip


def _key_from_secret(manifests: Manifests, pod: PodSpec, container: object) -> bool:
    found = [one for one in environment(manifests, pod, mapping(container)) if one.name == _TRITON_KEY]
    return bool(found) and all(one.source.startswith("Secret ") for one in found)


CHECKS = (
    Check(TOKEN_MOUNT, token_mount),
    Check(RBAC_WILDCARDS, rbac_wildcards),
    Check(SECRET_IN_PLAIN, secret_in_plain),
    Check(SECRET_COMMITTED, secret_committed),
    Check(EXPOSED, exposed),
    Check(SERVED_INSIDE, served_inside),
    Check(ADMIN_PROTECTED, admin_protected),
)
