"""The part of kustomize that our manifests use, for machines without kubectl.

Whatever a kustomization asks for beyond it is refused by name, so that nothing is rendered half. The order is
kustomize's: resources, generators, components, patches, namespace, labels, replicas, images; at the end the hashes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dubflow.errors import BadInput
from dubflow.platform.preflight.generators import content_hash, generated, inside, wants_hash
from dubflow.platform.preflight.hashed_names import POD_TEMPLATES, follow, space_of
from dubflow.platform.preflight.image_names import put_image
from dubflow.platform.preflight.merging import json_patched, merged
from dubflow.platform.preflight.yaml_files import parsed, read

NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_KNOWN = frozenset(
    {"apiVersion", "kind", "metadata", "resources", "components", "namespace", "labels", "commonAnnotations", "patches",
     "images", "replicas", "configMapGenerator", "secretGenerator", "generatorOptions"}
)  # fmt: skip
_CORE_GROUPS = frozenset(
    {"", "apps", "batch", "policy", "autoscaling", "networking.k8s.io", "rbac.authorization.k8s.io",
     "scheduling.k8s.io", "storage.k8s.io", "coordination.k8s.io"}
)  # fmt: skip
_WITHOUT_NAMESPACE = frozenset(
    {"APIService", "ClusterRole", "ClusterRoleBinding", "CSIDriver", "CSINode", "CustomResourceDefinition",
     "IngressClass", "MutatingWebhookConfiguration", "Namespace", "Node", "PersistentVolume", "PriorityClass",
     "RuntimeClass", "StorageClass", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
     "ValidatingWebhookConfiguration", "VolumeAttachment"}
)  # fmt: skip
"""What kustomize knows to have none. It gives one to the custom resources that should not have it; so do we."""


@dataclass
class Item:
    """A resource on its way; ``hashed`` where its name is to carry a hash, ``spaces`` the namespaces it has had."""

    body: dict[str, Any]
    hashed: bool = False
    spaces: set[str] = field(default_factory=set)

    def is_the(self, api_version: object, kind: object, name: object, namespace: object) -> bool:
        """Whether a patch that names these means it."""
        metadata = self.body.get("metadata") or {}
        same = (self.body.get("apiVersion"), self.body.get("kind"), metadata.get("name")) == (api_version, kind, name)
        spaces = {space_of(metadata.get("namespace")), *self.spaces}
        return same and space_of(namespace) in spaces


def render(folder: Path) -> list[dict[str, Any]]:
    """All resources of a kustomization.

    Raises:
        BadInput: ``platform.bad_kustomization``, ``platform.bad_patch``, ``platform.bad_yaml``.
    """
    items = _accumulated(folder.resolve(), [], ())
    renamed: dict[tuple[str, str, str], str] = {}
    for item in items:
        if item.hashed:
            metadata = item.body["metadata"]
            name = metadata["name"]
            metadata["name"] = f"{name}-{content_hash(item.body)}"
            renamed[(item.body["kind"], space_of(metadata.get("namespace")), name)] = metadata["name"]
    for item in items:
        follow(item.body, renamed)
    return [item.body for item in items]


def _accumulated(folder: Path, items: list[Item], above: tuple[Path, ...]) -> list[Item]:
    if folder in above:
        raise _bad(f"{folder.name} contains itself")
    file = next((folder / name for name in NAMES if (folder / name).is_file()), None)
    if file is None:
        raise _bad(f"{folder.name} has no kustomization.yaml")
    content: Any = next(iter(read(file, f"{folder.name}/{file.name}")), {})
    if not isinstance(content, dict):
        raise _bad(f"{folder.name}/{file.name} is no mapping")
    if unknown := sorted(set(content) - _KNOWN):
        raise _bad(f"{folder.name} asks for {', '.join(unknown)}, which is not rendered without kubectl")
    for entry in content.get("resources") or ():
        items.extend(_resources(folder, str(entry), above))
    _no_twins(folder, items)
    _generate(folder, content, items)
    for entry in content.get("components") or ():
        items = _accumulated((folder / str(entry)).resolve(), items, (*above, folder))
    return _transformed(folder, content, items)


def _no_twins(folder: Path, items: Sequence[Item]) -> None:
    seen: set[tuple[str, ...]] = set()
    for one in items:
        metadata = one.body["metadata"]
        identity = (one.body["apiVersion"], one.body["kind"], space_of(metadata.get("namespace")), metadata["name"])
        if identity in seen:
            raise _bad(f"{folder.name} has {one.body['kind']} {metadata['name']} twice")
        seen.add(identity)


def _resources(folder: Path, entry: str, above: tuple[Path, ...]) -> list[Item]:
    if "://" in entry:
        raise _bad(f"{folder.name} takes {entry} from elsewhere")
    path = (folder / entry).resolve()
    if path.is_dir():
        return _accumulated(path, [], (*above, folder))
    found = read(inside(folder, entry), f"{folder.name}/{entry}")
    flat = [one for each in found for one in (each.get("items", []) if _is_list(each) else [each])]
    for one in flat:
        if not isinstance(one, dict) or not one.get("kind") or not (one.get("metadata") or {}).get("name"):
            raise _bad(f"{folder.name}/{entry} holds something without kind and name")
    return [Item(one) for one in flat]


def _is_list(one: object) -> bool:
    return isinstance(one, dict) and one.get("kind") == "List"


def _generate(folder: Path, content: Mapping[str, Any], items: list[Item]) -> None:
    defaults = content.get("generatorOptions") or {}
    for kind, section in (("ConfigMap", "configMapGenerator"), ("Secret", "secretGenerator")):
        for asked in content.get(section) or ():
            made = generated(kind, asked, defaults, folder)
            behaviour = asked.get("behavior", "create")
            space = made["metadata"].get("namespace")
            there = [one for one in items if one.is_the("v1", kind, made["metadata"]["name"], space)]
            if behaviour == "create":
                if there:
                    raise _bad(f"{kind} {asked.get('name')} is generated twice")
                items.append(Item(made, wants_hash(asked, defaults)))
            elif behaviour in ("merge", "replace") and len(there) == 1:
                old = there[0].body
                for part in ("data", "binaryData"):
                    before = old.get(part) or {} if behaviour == "merge" else {}
                    if both := {**before, **(made.get(part) or {})}:
                        old[part] = both
                there[0].hashed = there[0].hashed or wants_hash(asked, defaults)
            else:
                raise _bad(f"{kind} {asked.get('name')}: there is nothing to {behaviour}")


def _transformed(folder: Path, content: Mapping[str, Any], items: list[Item]) -> list[Item]:
    for entry in content.get("patches") or ():
        items = _patched(folder, entry, items)
    if space := content.get("namespace"):
        for item in items:
            _move(item, str(space))
    for entry in content.get("labels") or ():
        if entry.get("includeSelectors") or entry.get("fields"):
            raise _bad(f"{folder.name} labels selectors or fields, which is not rendered without kubectl")
        for item in items:
            _label(item.body, entry.get("pairs") or {}, bool(entry.get("includeTemplates")))
    if annotations := content.get("commonAnnotations"):
        raise _bad(f"{folder.name} has commonAnnotations ({', '.join(annotations)}), not rendered without kubectl")
    for entry in content.get("replicas") or ():
        for item in items:
            named = item.body["metadata"]["name"] == entry.get("name")
            if named and item.body["kind"] in ("Deployment", "StatefulSet", "ReplicaSet"):
                item.body.setdefault("spec", {})["replicas"] = entry.get("count")
    for entry in content.get("images") or ():
        for item in items:
            if item.body["kind"] != "CustomResourceDefinition":
                put_image(item.body, entry)
    return items


def _patched(folder: Path, entry: Mapping[str, Any], items: list[Item]) -> list[Item]:
    if isinstance(entry.get("path"), str):
        documents = read(inside(folder, entry["path"]), f"{folder.name}/{entry['path']}")
    else:
        documents = parsed(str(entry.get("patch", "")), f"a patch of {folder.name}")
    if entry.get("options"):
        raise _bad(f"{folder.name} gives options to a patch, which is not rendered without kubectl")
    target = entry.get("target")
    for patch in documents:
        if isinstance(patch, list):
            if not target:
                raise _bad(f"a JSON patch of {folder.name} names no target")
            for item in _targets(items, target):
                item.body = json_patched(item.body, patch)
        elif target:
            for item in _targets(items, target):
                _merge(item, patch)
        else:
            metadata = patch.get("metadata") or {}
            named = (patch.get("apiVersion"), patch.get("kind"), metadata.get("name"), metadata.get("namespace"))
            there = [one for one in items if one.is_the(*named)]
            if not there:
                raise _bad(f"a patch of {folder.name} finds no {named[1]} {named[3] or ''}/{named[2]}")
            for item in there:
                _merge(item, patch)
        items = [one for one in items if one.body]
    return items


def _merge(item: Item, patch: Mapping[str, Any]) -> None:
    if patch.get("$patch") == "delete":
        item.body = {}
        return
    core = str(item.body.get("apiVersion", "")).rpartition("/")[0] in _CORE_GROUPS
    bare = {key: value for key, value in patch.items() if key not in ("apiVersion", "kind")}
    if isinstance(bare.get("metadata"), Mapping):
        bare["metadata"] = {key: one for key, one in bare["metadata"].items() if key not in ("name", "namespace")}
    item.body = merged(item.body, bare, core=core)


def _targets(items: Sequence[Item], target: Mapping[str, Any]) -> list[Item]:
    known = {"group", "version", "kind", "name", "namespace", "labelSelector"}
    if unknown := sorted(set(target) - known):
        raise _bad(f"a patch's target has {', '.join(unknown)}, which is not rendered without kubectl")
    return [item for item in items if _is_target(item.body, target)]


def _is_target(body: Mapping[str, Any], target: Mapping[str, Any]) -> bool:
    metadata = body.get("metadata") or {}
    group, _, version = str(body.get("apiVersion", "")).rpartition("/")
    facts = {"group": group, "version": version, "kind": body.get("kind"), "name": metadata.get("name"),
             "namespace": metadata.get("namespace") or "default"}  # fmt: skip
    if any(not re.fullmatch(str(target[one]), str(facts[one])) for one in facts if target.get(one)):
        return False
    labels = metadata.get("labels") or {}
    for part in filter(None, str(target.get("labelSelector") or "").split(",")):
        key, mark, value = part.partition("=")
        if not mark or key.endswith("!"):
            raise _bad(f"the label selector {part!r} is not rendered without kubectl")
        if labels.get(key.strip()) != value.lstrip("=").strip():
            return False
    return True


def _move(item: Item, space: str) -> None:
    body = item.body
    if body["kind"] == "Namespace":
        body["metadata"]["name"] = space
    elif body["kind"] not in _WITHOUT_NAMESPACE:
        item.spaces.add(space_of(body["metadata"].get("namespace")))
        body["metadata"]["namespace"] = space
    if body["kind"] in ("RoleBinding", "ClusterRoleBinding"):
        for subject in body.get("subjects") or ():
            if subject.get("name") == "default":
                subject["namespace"] = space


def _label(body: dict[str, Any], pairs: Mapping[str, str], templates: bool) -> None:
    body["metadata"]["labels"] = {**(body["metadata"].get("labels") or {}), **pairs}
    if not templates or body["kind"] not in POD_TEMPLATES or body["kind"] == "Pod":
        return
    above: Any = body
    for step in POD_TEMPLATES[body["kind"]][:-1]:
        above = above.setdefault(step, {})
        if step in ("template", "jobTemplate"):
            metadata = above.setdefault("metadata", {})
            metadata["labels"] = {**(metadata.get("labels") or {}), **pairs}


def _bad(why: str) -> BadInput:
    return BadInput("platform.bad_kustomization", f"A kustomization cannot be rendered: {why}.", "Correct it.")
