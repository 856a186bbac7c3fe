"""What steps of pipelines find on the cluster: claims, secrets, settings; as the definitions that lie there ask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dubflow.platform.preflight.findings import Finding, Rule, refused, warned
from dubflow.platform.preflight.references.pods import known_keys
from dubflow.platform.preflight.resources import Body, Manifests, Resource, at, bodies, mapping
from dubflow.platform.preflight.settings_names import known_variables

PIPELINE = Rule(
    "reference.pipeline",
    "Claims, secrets and settings that steps of pipelines ask for are there, and their names are ones that code reads.",
    "A step waits for ever, or misses a key that it says it can do without.",
)


def pipeline(manifests: Manifests, root: Path) -> Iterator[Finding]:
    """See :data:`PIPELINE`. What is optional may be missing, but is not to be misspelt where its holder is there."""
    for one in manifests.of("PipelineVersion"):
        platform = at(one.spec, "platformSpec", "platforms", "kubernetes", "deploymentSpec", "executors")
        for name, executor in mapping(platform).items():
            for told, hint in _wrong(manifests, one, mapping(executor), root):
                yield refused(PIPELINE, one.where, f"{str(name).removeprefix('exec-')}: {told}", hint)
        for kind, holder in sorted(set(_holders(platform))):
            if known_keys(manifests, kind, holder, one.namespace) is None:
                told = f"There is no {kind} {one.namespace}/{holder}, which its steps can do without."
                yield warned(PIPELINE, one.where, told, "Add it, or know that steps which need it end with an error.")


_SOURCES = (
    ("secretAsEnv", "Secret", "secretName", "secretKey"),
    ("secretAsVolume", "Secret", "secretName", ""),
    ("configMapAsEnv", "ConfigMap", "configMapName", "configMapKey"),
)


def _holders(platform: object) -> Iterator[tuple[str, str]]:
    """What is optional, by kind and name."""
    for executor in mapping(platform).values():
        for field, kind, name_field, _ in _SOURCES:
            for source in bodies(mapping(executor).get(field)):
                if source.get("optional"):
                    yield kind, str(source.get(name_field))


def _wrong(manifests: Manifests, one: Resource, executor: Body, root: Path) -> Iterator[tuple[str, str]]:
    for mount in bodies(executor.get("pvcMount")):
        claim = mount.get("constant") or at(mount, "pvcNameParameter", "runtimeValue", "constant")
        if claim and manifests.find("PersistentVolumeClaim", claim, one.namespace) is None:
            yield f"There is no claim {one.namespace}/{claim}.", "Add it."
    for field, kind, name_field, key_field in _SOURCES:
        for source in bodies(executor.get(field)):
            holder = str(source.get(name_field) or at(source, f"{name_field}Parameter", "runtimeValue", "constant"))
            keys = known_keys(manifests, kind, holder, one.namespace)
            if keys is None and not source.get("optional"):
                yield f"There is no {kind} {one.namespace}/{holder}.", "Add it."
            for pair in bodies(source.get("keyToEnv")):
                variable, key = str(pair.get("envVar")), str(pair.get(key_field))
                if variable.startswith("DUBFLOW_") and variable not in known_variables(root):
                    yield f"Nothing reads {variable}.", "Correct the name."
                if keys is not None and key not in keys | {"*"} and not source.get("optional"):
                    yield f"{kind} {holder} has no key {key}.", "Add the key."
