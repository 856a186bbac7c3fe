"""Which version, weights and settings the offline judges are: what a score card's protocol pins them by."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from dubflow.errors import BadInput, WrongUse, missing_extra
from dubflow.judging import dnsmos, edges, ge2e, intensity, mouth_sync, pesq, picture
from dubflow.judging.card.rows import JudgePin
from dubflow.judging.catalogue import JUDGES
from dubflow.judging.identity import EmbeddedFace
from dubflow.judging.mcd import COEFFICIENTS
from dubflow.judging.phone_judge.facts import phone_pin
from dubflow.judging.prosody import GROSS
from dubflow.judging.sync_judge.facts import sync_pin

_Settings = dict[str, str | int | float | bool | None]

# Kind of judge to the package that does the work, and what of ours decides its figures.
_PACKAGES: dict[str, tuple[str, _Settings]] = {
    "code": (
        "dubflow",
        {"rms_window": intensity.WINDOW, "rms_hop": intensity.HOP, "edge_db": edges.ABOVE_QUIET_DB},
    ),
    "pesq": ("pesq", {"band": "wide", "longest_s": pesq.LONGEST_S}),
    "pystoi": ("pystoi", {"extended": False}),
    "world": ("pyworld", {"coefficients": COEFFICIENTS, "gross": GROSS}),
    "mediapipe": (
        "mediapipe",
        {"low_hz": mouth_sync.VOWELS_HZ[0], "high_hz": mouth_sync.VOWELS_HZ[1], "dilation": picture.DILATION},
    ),
    "pocketsphinx": ("pocketsphinx", {}),
    "pocketsphinx-open": ("pocketsphinx", {}),
    "ge2e": ("resemblyzer", {}),
    "dnsmos": ("speechmos", {"level_db": dnsmos.LEVEL_DB}),
}


def offline_pin(kind: str) -> JudgePin:
    """The pin of an offline judge, a key of :data:`dubflow.judging.catalogue.JUDGES`.

    Raises:
        BadInput: ``judging.weights_missing`` where the package lacks the weights of a judge of ours.
        WrongUse: ``install.missing_extra``; ``judging.judge_without_pin`` for a kind whose weights somebody brings:
            only what loads them can pin it.
    """
    if kind == "embedded-face":
        return JudgePin(version=EmbeddedFace().id)
    if kind == "phones":
        return phone_pin()
    if kind == "small-sync":
        return sync_pin()
    if kind not in _PACKAGES:
        known = "brings its weights from outside" if kind in JUDGES else "is not known"
        raise WrongUse(
            "judging.judge_without_pin",
            f"The judge {kind!r} {known}, so it has no pin of its own.",
            "Pin it by the version and the hash of what was loaded.",
        )
    package, settings = _PACKAGES[kind]
    try:
        found = version(package)
    except PackageNotFoundError as error:
        raise missing_extra(package) from error
    digests = {"ge2e": ge2e.weights_digest, "dnsmos": dnsmos.weights_digest}
    return JudgePin(version=found, sha256=digests[kind]() if kind in digests else None, settings=settings)


def why_missing(kind: str) -> str | None:
    """Why the offline judge ``kind`` is not to be had here, or None."""
    try:
        offline_pin(kind)
    except (WrongUse, BadInput) as error:
        return str(error)
    return None
