"""The main job in the embedded world, from nothing to data that models can be trained on.

It grows with the project. Today: render a corpus of talking heads, check it, prepare it, and leave a picture to look
at. Every step finds what an earlier run finished and does only what is missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from dubflow.config import Strict, load_preset
from dubflow.corpora.check import check_corpus
from dubflow.corpora.findings import CheckReport
from dubflow.corpora.manifest import read_manifest
from dubflow.corpora.prepare import PrepareReport, prepare_corpus
from dubflow.corpora.settings import CheckSettings, PrepareSettings
from dubflow.progress import reporting
from dubflow.talkers.contact_sheet import contact_sheet
from dubflow.talkers.render import RenderReport, render_corpus
from dubflow.talkers.settings import TalkerSettings

STEPS = 4


class DemoSettings(Strict):
    """The section ``demo`` of a preset."""

    identities: int = Field(8, ge=1, description="Drawn persons.")
    clips: int = Field(6, ge=1, description="Clips of each.")
    languages: tuple[str, ...] = Field(("en", "es", "ru", "fr", "de", "it", "el"), description="Spoken in the corpus.")
    seed: int = Field(1, ge=0, description="Same seed, same bytes.")


@dataclass(frozen=True)
class DemoReport:
    """What the demo made, and where."""

    home: Path
    corpus: Path
    prepared: Path
    picture: Path
    rendered: RenderReport
    checked: CheckReport
    preparation: PrepareReport

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "world": "embedded",
            "corpus": {"folder": str(self.corpus), **self.rendered.as_dict()},
            "check": {"errors": self.checked.count("error"), "warnings": self.checked.count("warning")},
            "prepared": {"folder": str(self.prepared), **self.preparation.as_dict()},
            "picture": str(self.picture),
        }


def run_demo(home: Path, preset: str, say: Callable[[str], None], workers: int | None = None) -> DemoReport:
    """Run every step below ``home``; ``say`` is told which one begins."""
    settings = load_preset(preset, "demo", DemoSettings)
    corpus, prepared, picture = home / "corpus", home / "prepared", home / "talkers.png"
    persons = f"{settings.identities} talking heads, {settings.clips} clips each, {len(settings.languages)} languages"
    say(f"[1/{STEPS}] render {persons}")
    rendered = render_corpus(
        corpus,
        identities=settings.identities,
        clips=settings.clips,
        languages=settings.languages,
        seed=settings.seed,
        settings=load_preset(preset, "talkers", TalkerSettings),
        workers=workers,
    )
    manifest = read_manifest(corpus)
    say(f"[2/{STEPS}] check the corpus")
    with reporting("check", len(manifest), "clips") as progress:
        checked = check_corpus(
            manifest, settings=load_preset(preset, "check", CheckSettings), workers=workers, report=progress
        )
    say(f"[3/{STEPS}] prepare features")
    preparation = prepare_corpus(corpus, prepared, load_preset(preset, "prepare", PrepareSettings), workers=workers)
    say(f"[4/{STEPS}] draw a picture of the corpus")
    if rendered.rendered or not picture.is_file():
        contact_sheet(manifest, picture)
    return DemoReport(home, corpus, prepared, picture, rendered, checked, preparation)
