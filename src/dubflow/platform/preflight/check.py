"""All that can be checked without a cluster, in one pass: what ``dubflow preflight`` runs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubflow.errors import BadInput, DubflowError, WrongUse
from dubflow.platform.preflight.checks import Check
from dubflow.platform.preflight.core_kinds import CORE, check_core
from dubflow.platform.preflight.custom_resources import CUSTOM, check_custom, schemas_folder
from dubflow.platform.preflight.findings import Finding, Rule, Severity, counts, in_order, refused
from dubflow.platform.preflight.made_by_code import with_made
from dubflow.platform.preflight.metrics_known import KnownMetrics, known_metrics
from dubflow.platform.preflight.policies import access, admission, capacity, containers, namespaces, pods, workloads
from dubflow.platform.preflight.promtool import RULES as PROMTOOL_RULES
from dubflow.platform.preflight.promtool import TESTS as PROMTOOL_TESTS
from dubflow.platform.preflight.promtool import check_promtool
from dubflow.platform.preflight.references import cluster, code, flows, metrics, pipelines, traffic
from dubflow.platform.preflight.references import pods as pod_references
from dubflow.platform.preflight.rendering import Renderer, overlays, render_overlay
from dubflow.platform.preflight.resources import Manifests
from dubflow.platform.preflight.versions import (
    API,
    COMBINATION,
    FILE,
    KUBERNETES,
    MATRIX,
    PINS,
    POD_SECURITY_VERSION,
    Matrix,
    check_matrix,
    check_overlay,
    check_pins,
    read_matrix,
)

RENDER = Rule(
    "render.kustomization",
    "Every overlay renders.",
    "kubectl apply -k stops, and nothing is changed.",
)
POLICIES: tuple[Check, ...] = (
    *admission.CHECKS, *containers.CHECKS, *pods.CHECKS, *workloads.CHECKS, *namespaces.CHECKS, *capacity.CHECKS,
    *access.CHECKS,
)  # fmt: skip
REFERENCES: tuple[Check, ...] = (*pod_references.CHECKS, *traffic.CHECKS, *flows.CHECKS, *cluster.CHECKS)


@dataclass(frozen=True)
class Told:
    """A finding, and the overlays that have it; none where it is the project's."""

    finding: Finding
    overlays: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {**self.finding.as_dict(), "overlays": list(self.overlays)}


@dataclass(frozen=True)
class Report:
    """What a pass found.

    Attributes:
        told: in order. resources: how many each overlay renders to. rendered_by: the renderer.
        seconds: of wall time.
    """

    told: tuple[Told, ...]
    resources: dict[str, int]
    rendered_by: str
    seconds: float

    @property
    def fine(self) -> bool:
        """Whether nothing is refused; warnings and unchecked places do not count."""
        return not self.count["refused"]

    @property
    def count(self) -> dict[Severity, int]:
        """Findings of each severity."""
        return counts(one.finding for one in self.told)

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "fine": self.fine,
            "overlays": self.resources,
            "rendered_by": self.rendered_by,
            "rules": len(all_rules()),
            "counts": self.count,
            "seconds": round(self.seconds, 1),
            "findings": [one.as_dict() for one in self.told],
        }


def project_root() -> Path:
    """The checkout that this code runs from, or the folder that one stands in.

    Raises:
        WrongUse: ``platform.no_manifests``.
    """
    for root in (Path(__file__).parents[4], Path.cwd()):
        if (root / "infra" / "kubernetes").is_dir():
            return root
    raise WrongUse(
        "platform.no_manifests", "There is no infra/kubernetes here.", "Run it in a checkout, or give --root."
    )


def all_rules() -> tuple[Rule, ...]:
    """Every rule that is checked."""
    from dubflow.platform.images.checking import RULES as IMAGE_RULES

    return (
        RENDER, CORE, CUSTOM,
        *(one.rule for one in POLICIES), *(one.rule for one in REFERENCES),
        code.SETTING, code.SETTINGS_VALID, code.COMMAND, code.PROBE_PATH, code.IMAGE,
        pipelines.PIPELINE, metrics.METRIC,
        MATRIX, COMBINATION, KUBERNETES, API, PINS, POD_SECURITY_VERSION,
        PROMTOOL_RULES, PROMTOOL_TESTS, *IMAGE_RULES,
    )  # fmt: skip


def check_manifests(manifests: Manifests, root: Path, program: Any) -> list[Finding]:
    """Policies and references of an overlay, and of what our code makes in it at run time.

    Schemas, versions and metrics are :func:`preflight`'s.

    Args:
        root: of the checkout. program: ``dubflow`` as a command of click, which command lines are held to.
    """
    whole = with_made(manifests)
    found = [finding for check in (*POLICIES, *REFERENCES) for finding in check.run(whole)]
    found += [
        *code.setting(whole, root),
        *code.command(whole, program),
        *code.image(whole, root),
        *code.probe_path(whole, root),
    ]
    return [*found, *code.settings_valid(whole), *pipelines.pipeline(manifests, root)]


def preflight(
    root: Path,
    names: Sequence[str] = (),
    *,
    program: Any,
    by: Renderer = "auto",
    images: Path | None = None,
    scrapes: Sequence[str] = (),
) -> Report:
    """Check overlays and what belongs to all of them.

    Args:
        root: of the checkout. names: of overlays; all without. by: the renderer.
        program: ``dubflow`` as a command of click; command lines in manifests are held to it.
        images: a release's images, put into every overlay. scrapes: fresh ones, looked at first.

    Raises:
        WrongUse: ``platform.unknown_overlay``, ``install.missing_extra``. BadInput: ``platform.no_scrape``.
    """
    begun = time.monotonic()
    infra = root / "infra"
    known = overlays(infra / "kubernetes")
    if unknown := sorted(set(names) - set(known)):
        raise WrongUse(
            "platform.unknown_overlay", f"There is no overlay {', '.join(unknown)}.", f"Known: {', '.join(known)}."
        )
    found: dict[Finding, list[str]] = {}
    resources: dict[str, int] = {}
    rendered_by = ""
    look = _Look(root, _matrix(root, found), schemas_folder(root), known_metrics(root, scrapes), program)
    with ThreadPoolExecutor(1) as aside:  # promtool takes longer than everything else together
        rules = aside.submit(lambda: list(check_promtool(infra / "monitoring")))
        for name in names or known:
            try:
                rendered = render_overlay(infra / "kubernetes", name, by, images)
            except BadInput as error:
                _add(found, [refused(RENDER, f"overlay {name}", error.headline, error.hint)], name)
                continue
            resources[name], rendered_by = len(rendered.manifests.resources), rendered.by
            _add(found, _of_overlay(rendered.manifests, look), name)
        _add(found, _of_project(look), "")
        _add(found, rules.result(), "")
    told = tuple(Told(one, tuple(name for name in found[one] if name)) for one in in_order(found))
    return Report(told, resources, rendered_by, time.monotonic() - begun)


@dataclass(frozen=True)
class _Look:
    """What every overlay is held to."""

    root: Path
    matrix: Matrix | None
    schemas: Path | None
    counted: KnownMetrics
    program: Any


def _matrix(root: Path, found: dict[Finding, list[str]]) -> Matrix | None:
    try:
        return read_matrix(root / FILE)
    except BadInput as error:
        _add(found, [refused(MATRIX, FILE, error.headline, error.hint)], "")
        return None


def _add(found: dict[Finding, list[str]], more: Iterable[Finding], overlay: str) -> None:
    for one in more:
        names = found.setdefault(one, [])
        if overlay not in names:
            names.append(overlay)


def _of_overlay(manifests: Manifests, look: _Look) -> Iterator[Finding]:
    yield from check_core(manifests.resources, look.matrix.checked if look.matrix else ())
    yield from check_custom(with_made(manifests).resources, look.schemas)
    yield from check_manifests(manifests, look.root, look.program)
    yield from metrics.metric(metrics.used_in(manifests), metrics.recorded_in(manifests), look.counted)
    if look.matrix is not None:
        yield from check_overlay(look.matrix, manifests)


def _of_project(look: _Look) -> Iterator[Finding]:
    from dubflow.platform.images.checking import check_images

    if look.matrix is not None:
        yield from check_matrix(look.matrix)
        yield from check_pins(look.matrix, look.root / "pyproject.toml")
    monitoring = look.root / "infra" / "monitoring"
    try:
        uses, recorded = metrics.used_in_files(monitoring)
        yield from metrics.metric(uses, recorded, look.counted)
    except DubflowError as error:
        yield refused(metrics.METRIC, "infra/monitoring", error.headline, error.hint)
    yield from check_images(look.root / "infra" / "images")
