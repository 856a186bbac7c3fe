"""References to images: their name, tag and digest, and what a kustomization's ``images`` makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def put_image(value: Any, entry: Mapping[str, Any]) -> None:
    """Every image of that name below ``containers`` and ``initContainers``, wherever they lie."""
    if isinstance(value, list):
        for one in value:
            put_image(one, entry)
    if not isinstance(value, dict):
        return
    for key, below in value.items():
        if key in ("containers", "initContainers") and isinstance(below, list):
            for container in below:
                if isinstance(container, dict) and isinstance(container.get("image"), str):
                    container["image"] = reimaged(container["image"], entry)
        put_image(below, entry)


def split_image(image: str) -> tuple[str, str, str]:
    """Name, tag and digest of an image's reference; empty where it has none."""
    rest, _, digest = image.partition("@")
    name, mark, tag = rest.rpartition(":")
    if not mark or "/" in tag:  # the colon was a port's
        return rest, "", digest
    return name, tag, digest


def reimaged(image: str, entry: Mapping[str, Any]) -> str:
    """An image after one entry of ``images``."""
    name, tag, digest = split_image(image)
    if name != entry.get("name"):
        return image
    made = str(entry.get("newName") or name)
    new_tag, new_digest = str(entry.get("newTag") or ""), str(entry.get("digest") or "")
    if new_tag or new_digest:
        tag, digest = new_tag, new_digest
    return made + (f":{tag}" if tag else "") + (f"@{digest}" if digest else "")
