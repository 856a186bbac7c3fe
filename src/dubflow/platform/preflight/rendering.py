"""An overlay as the cluster would get it: by ``kubectl kustomize`` where there is one, else by our own renderer."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dubflow.errors import BadInput, OurFault
from dubflow.platform.preflight.image_names import reimaged
from dubflow.platform.preflight.kustomize import render
from dubflow.platform.preflight.resources import Manifests, Resource
from dubflow.platform.preflight.yaml_files import parsed, read

Renderer = Literal["auto", "kubectl", "built-in"]
_WITHIN_S = 60.0


@dataclass(frozen=True)
class Rendered:
    """What came of an overlay; ``by``: which renderer made it."""

    manifests: Manifests
    by: str


def overlays(kubernetes: Path) -> list[str]:
    """Names of the overlays below ``infra/kubernetes``."""
    return sorted(path.parent.name for path in (kubernetes / "overlays").glob("*/kustomization.yaml"))


def render_overlay(kubernetes: Path, overlay: str, by: Renderer = "auto", images: Path | None = None) -> Rendered:
    """Render ``overlays/<overlay>``.

    Args:
        kubernetes: the folder ``infra/kubernetes``.
        images: a release's images, as the section ``images`` of a kustomization; put over the overlay's own.

    Raises:
        BadInput: what :func:`dubflow.platform.preflight.kustomize.render` raises; ``platform.not_rendered`` with what
            kubectl said; ``platform.bad_images``.
        OurFault: ``platform.kubectl_silent``.
    """
    folder = kubernetes / "overlays" / overlay
    kubectl = shutil.which("kubectl") if by != "built-in" else None
    bodies = by_kubectl(folder, kubectl) if kubectl else render(folder)
    for entry in _release(images):
        for body in bodies:
            _take(body, entry)
    return Rendered(
        manifests_of(overlay, bodies, images is not None), "kubectl kustomize" if kubectl else "the built-in renderer"
    )


def manifests_of(overlay: str, bodies: Sequence[Mapping[str, Any]], released: bool = False) -> Manifests:
    """Bodies as checks look at them."""
    return Manifests(overlay, tuple(Resource(one) for one in bodies), released)


def by_kubectl(folder: Path, kubectl: str) -> list[dict[str, Any]]:
    """What ``kubectl kustomize`` makes of a folder.

    Raises:
        BadInput: ``platform.not_rendered``. OurFault: ``platform.kubectl_silent``.
    """
    try:
        found = subprocess.run(
            [kubectl, "kustomize", str(folder)], capture_output=True, text=True, timeout=_WITHIN_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise OurFault(
            "platform.kubectl_silent", f"kubectl did not render {folder.name} within {_WITHIN_S:g} s.", "Run it again."
        ) from error
    if found.returncode:
        reason = " ".join(found.stderr.split()).replace(str(folder.parent), "")[:400]
        raise BadInput(
            "platform.not_rendered", f"kubectl cannot render {folder.name}: {reason}", "Correct the kustomization."
        )
    return [one for one in parsed(found.stdout, folder.name) if isinstance(one, dict)]


def _release(images: Path | None) -> list[Mapping[str, Any]]:
    if images is None:
        return []
    content = next(iter(read(images)), None)
    entries = content.get("images") if isinstance(content, dict) else content
    if not isinstance(entries, list) or not all(isinstance(one, dict) and one.get("name") for one in entries):
        raise BadInput(
            "platform.bad_images",
            f"{images.name} is no list of images.",
            "Write entries with name, newName and digest, as `images` of a kustomization.",
        )
    return entries


def _take(value: Any, entry: Mapping[str, Any]) -> None:
    if isinstance(value, dict):
        for key, below in value.items():
            if (key == "image" or str(key).endswith("_IMAGE")) and isinstance(below, str):
                value[key] = reimaged(below, entry)
            else:
                _take(below, entry)
    elif isinstance(value, list):
        for one in value:
            _take(one, entry)
