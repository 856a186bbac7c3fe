"""ConfigMaps and Secrets that a kustomization makes of files and literals, and the hash in their names.

The hash is kustomize's: SHA-256 of the content as JSON, ten digits of it, with those that could form words replaced.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dubflow.errors import BadInput

_LETTERS = str.maketrans({"0": "g", "1": "h", "3": "k", "a": "m", "e": "t"})


def generated(kind: str, asked: Mapping[str, Any], defaults: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The resource of one entry of ``configMapGenerator`` or ``secretGenerator``, without the hash.

    Args:
        asked: the entry. defaults: the kustomization's ``generatorOptions``. folder: that files are below.

    Raises:
        BadInput: ``platform.bad_kustomization`` for a source that does not read, or stands twice.
    """
    plain: dict[str, bytes] = {}
    for key, content in _sources(asked, folder):
        if key in plain:
            raise _bad(f"{asked.get('name')}: the key {key!r} stands twice")
        plain[key] = content
    options = {**defaults, **(asked.get("options") or {})}
    metadata: dict[str, Any] = {"name": asked.get("name")}
    if asked.get("namespace"):
        metadata["namespace"] = asked["namespace"]
    for field in ("labels", "annotations"):
        both = {**(defaults.get(field) or {}), **((asked.get("options") or {}).get(field) or {})}
        if both:
            metadata[field] = both
    made: dict[str, Any] = {"apiVersion": "v1", "kind": kind, "metadata": metadata}
    if kind == "Secret":
        made["type"] = asked.get("type", "Opaque")
        made["data"] = {key: base64.b64encode(content).decode() for key, content in plain.items()}
    else:
        made |= _config_map_data(plain)
    if options.get("immutable"):
        made["immutable"] = True
    return made


def wants_hash(asked: Mapping[str, Any], defaults: Mapping[str, Any]) -> bool:
    """Whether the name is to carry one."""
    return not {**defaults, **(asked.get("options") or {})}.get("disableNameSuffixHash", False)


def content_hash(body: Mapping[str, Any]) -> str:
    """What is appended to the name of a generated ConfigMap or Secret."""
    # kustomize means to put the name in, looks for it under a key that is never there, and so always finds none.
    content: dict[str, Any] = {"kind": body["kind"], "name": "", "data": body.get("data") or ""}
    if body["kind"] == "Secret":
        content["type"] = body.get("type", "")
        if body.get("stringData"):
            content["stringData"] = body["stringData"]
    elif body.get("binaryData"):
        content["binaryData"] = body["binaryData"]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for sign, escaped in (("&", "\\u0026"), ("<", "\\u003c"), (">", "\\u003e")):  # as Go writes JSON
        text = text.replace(sign, escaped)
    text = text.replace(chr(0x2028), "\\u2028").replace(chr(0x2029), "\\u2029")
    return hashlib.sha256(text.encode()).hexdigest()[:10].translate(_LETTERS)


def _config_map_data(plain: Mapping[str, bytes]) -> dict[str, Any]:
    text, binary = {}, {}
    for key, content in plain.items():
        try:
            text[key] = content.decode("utf-8")
        except UnicodeDecodeError:
            binary[key] = base64.b64encode(content).decode()
    return ({"data": text} if text else {}) | ({"binaryData": binary} if binary else {})


def _sources(asked: Mapping[str, Any], folder: Path) -> list[tuple[str, bytes]]:
    found = []
    for entry in asked.get("literals") or ():
        key, mark, value = str(entry).partition("=")
        if not mark or not key:
            raise _bad(f"{asked.get('name')}: the literal {entry!r} is no key=value")
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        found.append((key, value.encode()))
    for entry in asked.get("files") or ():
        key, mark, path = str(entry).partition("=")
        file = inside(folder, path if mark else key)
        found.append((key if mark else file.name, _content(file, entry)))
    for entry in asked.get("envs") or ():
        for line in _content(inside(folder, str(entry)), entry).decode("utf-8").splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                key, _, value = line.lstrip().partition("=")
                found.append((key, value.encode()))
    return found


def inside(folder: Path, path: str) -> Path:
    """A file below a kustomization's folder; kustomize reads no others.

    Raises:
        BadInput: ``platform.bad_kustomization``.
    """
    found = (folder / path).resolve()
    if not found.is_relative_to(folder.resolve()):
        raise _bad(f"{path} leads out of {folder.name}, and kustomize reads no file from there")
    return found


def _content(path: Path, entry: object) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _bad(f"{entry} cannot be read: {error.strerror}") from error


def _bad(why: str) -> BadInput:
    return BadInput("platform.bad_kustomization", f"A kustomization cannot be rendered: {why}.", "Correct it.")
