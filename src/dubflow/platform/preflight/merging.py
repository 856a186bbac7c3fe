"""Patches: strategic merge as Kubernetes defines it for pods, JSON merge for everything else, JSON Patch (RFC 6902).

Strategic merge knows which lists are keyed: a container is found by its name, a mount by its path. Custom resources
have no such knowledge, so that their lists are replaced as a whole, as ``kubectl kustomize`` does.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from dubflow.errors import BadInput

_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "imagePullSecrets": ("name",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "secrets": ("name",),
}
"""Lists that are merged by these fields of their elements, wherever in a core kind they lie."""

_PORTS = {"containers": ("containerPort", "protocol"), "initContainers": ("containerPort", "protocol")}
_DIRECTIVE = "$patch"


def merged(base: Mapping[str, Any], patch: Mapping[str, Any], *, core: bool = True) -> dict[str, Any]:
    """``patch`` laid over ``base``; neither is changed.

    Args:
        core: whether lists are merged by their keys (kinds of Kubernetes itself) or replaced (custom resources).

    Raises:
        BadInput: ``platform.bad_patch`` for a directive that is not ``delete``, ``replace`` or ``merge``.
    """
    return _mappings(base, patch, core, "")


def _mappings(base: Mapping[str, Any], patch: Mapping[str, Any], core: bool, inside: str) -> dict[str, Any]:
    directive = _directive(patch)
    if directive == "replace":
        return {key: copy.deepcopy(value) for key, value in patch.items() if key != _DIRECTIVE}
    made = dict(base)
    for key, value in patch.items():
        if key == _DIRECTIVE:
            continue
        if value is None or (isinstance(value, Mapping) and _directive(value) == "delete"):
            made.pop(key, None)
        elif isinstance(value, Mapping):
            before = made.get(key)
            made[key] = _mappings(before if isinstance(before, Mapping) else {}, value, core, key)
        elif isinstance(value, list) and isinstance(made.get(key), list):
            made[key] = _lists(made[key], value, _keys_of(key, inside) if core else (), core, key)
        else:
            made[key] = copy.deepcopy(value)
    return made


def _keys_of(field: str, inside: str) -> tuple[str, ...]:
    if field == "ports":
        return _PORTS.get(inside, ("port", "protocol") if inside == "spec" else ())
    return _KEYS.get(field, ())


def _lists(base: Sequence[Any], patch: Sequence[Any], keys: tuple[str, ...], core: bool, field: str) -> list[Any]:
    if any(isinstance(one, Mapping) and _directive(one) == "replace" for one in patch):
        raise _bad("an element of a list asks to be replaced; delete it and add another one")
    if not keys or not all(isinstance(one, Mapping) for one in (*base, *patch)):
        return copy.deepcopy(list(patch))
    there = {_identity(one, keys): one for one in base}
    made = []
    for one in patch:  # as kustomize: what a patch names stands before what it does not
        before = there.pop(_identity(one, keys), {})
        if _directive(one) != "delete":
            made.append(_mappings(before, one, core, field))
    return [*made, *there.values()]


def _identity(one: Mapping[str, Any], keys: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(one.get(key, "TCP" if key == "protocol" else None) for key in keys)


def _directive(patch: Mapping[str, Any]) -> str:
    found = patch.get(_DIRECTIVE, "merge")
    unknown = [key for key in patch if isinstance(key, str) and key.startswith("$") and key != _DIRECTIVE]
    if found not in ("merge", "replace", "delete") or unknown:
        raise _bad(f"the directive {(unknown or [found])[0]!r} is not known here")
    return str(found)


def json_patched(body: Mapping[str, Any], operations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A body after the operations of a JSON Patch (RFC 6902), in their order.

    Raises:
        BadInput: ``platform.bad_patch`` for a path that is not there, or a test that fails.
    """
    made: Any = copy.deepcopy(dict(body))
    for one in operations:
        kind, path = one.get("op"), _steps(one.get("path"))
        match kind:
            case "add":
                _put(made, path, copy.deepcopy(one.get("value")), new=True)
            case "replace":
                _put(made, path, copy.deepcopy(one.get("value")), new=False)
            case "remove":
                _taken(made, path)
            case "move":
                _put(made, path, _taken(made, _steps(one.get("from"))), new=True)
            case "copy":
                _put(made, path, copy.deepcopy(_read(made, _steps(one.get("from")))), new=True)
            case "test":
                if _read(made, path) != one.get("value"):
                    raise _bad(f"the test of {one.get('path')} fails")
            case _:
                raise _bad(f"the operation {kind!r} is not known")
    return dict(made)


def _steps(path: object) -> list[str]:
    if not isinstance(path, str) or not path.startswith("/"):
        raise _bad(f"{path!r} is no path")
    return [step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/")]


def _read(body: Any, path: Sequence[str]) -> Any:
    for step in path:
        try:
            body = body[int(step)] if isinstance(body, list) else body[step]
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise _bad(f"/{'/'.join(path)} is not there") from error
    return body


def _put(body: Any, path: Sequence[str], value: Any, *, new: bool) -> None:
    parent, last = _read(body, path[:-1]), path[-1]
    if isinstance(parent, list):
        if new and last == "-":
            parent.append(value)
        elif new and last.isdigit() and int(last) <= len(parent):
            parent.insert(int(last), value)
        elif not new and last.isdigit() and int(last) < len(parent):
            parent[int(last)] = value
        else:
            raise _bad(f"/{'/'.join(path)} is not there")
    elif isinstance(parent, dict) and (new or last in parent):
        parent[last] = value
    else:
        raise _bad(f"/{'/'.join(path)} is not there")


def _taken(body: Any, path: Sequence[str]) -> Any:
    value, parent = _read(body, path), _read(body, path[:-1])
    if isinstance(parent, list):
        parent.pop(int(path[-1]))
    else:
        del parent[path[-1]]
    return value


def _bad(why: str) -> BadInput:
    return BadInput("platform.bad_patch", f"A patch cannot be applied: {why}.", "Correct the patch.")
