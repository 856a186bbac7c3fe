"""What is written beside trained weights: a card for a person, and the lineage."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from dubflow import __version__
from dubflow.corpora.prepared import PreparedSet
from dubflow.diflow.stored import ModelFacts

_STAGES = {"tts": "stage 1 (speech from text)", "dubber": "stage 2 (speech that fits a silent clip)"}


def lineage(identity: Mapping[str, Any], prepared: PreparedSet, command: str) -> dict[str, Any]:
    """From what, by which versions and by which command the weights were made."""
    index = prepared.index
    return {
        "run": dict(identity),
        "corpus": index.corpus,
        "world": index.world,
        "codec": index.codec,
        "extractors": index.extractors,
        "command": command,
        "versions": {"dubflow": __version__, "python": platform.python_version()}
        | {name: version(name) for name in ("torch", "lightning", "numpy")},
    }


def card(facts: ModelFacts, *, command: str, clips: int, speakers: int, minutes: float, parameters: int) -> str:
    """A model card in Markdown."""
    world = "the embedded world: drawn heads, synthetic voices" if facts.world == "embedded" else "real recordings"
    return "\n".join(
        [
            f"# DiFlowDubber, {_STAGES[facts.stage]}",
            "",
            "| | |",
            "|---|---|",
            f"| preset | {facts.preset}, {parameters / 1e6:.2f} million parameters |",
            f"| trained on | {clips} clips, {speakers} speakers, {minutes:.0f} minutes: {world} |",
            f"| languages | {', '.join(facts.languages) or 'unknown'} |",
            f"| steps | {facts.steps} |",
            f"| codec | {facts.codec} |",
            "| licence | that of dubflow (Apache-2.0); the training material may bring terms of its own |",
            "",
            "Made by:",
            "",
            f"    {command}",
            "",
            "What it was trained on bounds what it can do: other languages, and faces and voices far from these, are",
            "outside of it. Do not use it to make somebody say what they did not agree to say.",
        ]
    )
