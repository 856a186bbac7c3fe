"""The main job in the embedded world, from nothing to a dubbed clip.

Render a corpus of talking heads, check it, prepare features and tokens with the starter model's codec, train a few
steps of stage 2 from the starter's stage 1, dub clips with the starter, and leave pictures to look at. Every step finds
what an earlier run finished and does only what is missing.
"""

from __future__ import annotations

import shutil
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
from dubflow.diflow.nets.groups import LearningRates
from dubflow.diflow.stored import CODEC, STARTER, STARTER_TTS, find_model, read_facts
from dubflow.diflow.training.run import TrainReport, train
from dubflow.diflow.training.settings import DubberTraining
from dubflow.diflow.training.task import Task
from dubflow.dubbing.jobs import DubReport
from dubflow.errors import WrongUse
from dubflow.platform.demo_dubs import choose_dubs, draw_dubs, dub_chosen
from dubflow.progress import reporting
from dubflow.speech.codecs.stored import load_codec
from dubflow.talkers.contact_sheet import contact_sheet
from dubflow.talkers.render import RenderReport, render_corpus
from dubflow.talkers.settings import TalkerSettings

STEPS = 6


def _a_few_steps() -> DubberTraining:
    return DubberTraining(
        steps=12,
        batch_items=8,
        rates=LearningRates(default=1e-3),
        longest_s=8,
        validate_every=12,
        validate_clips=4,
        validate_aloud=1,
        checkpoint_every=6,
        log_every=3,
    )


class DemoSettings(Strict):
    """The section ``demo`` of a preset."""

    identities: int = Field(8, ge=1, description="Drawn persons.")
    clips: int = Field(6, ge=1, description="Clips of each.")
    languages: tuple[str, ...] = Field(("en", "es", "ru", "fr", "de", "it", "el"), description="Spoken in the corpus.")
    seed: int = Field(1, ge=0, description="Same seed, same bytes.")
    model: str = Field(STARTER, description="The dubber: `starter` or a folder.")
    teacher: str = Field(STARTER_TTS, description="Its stage 1, from which the training starts.")
    dubs: int = Field(3, ge=1, description="Clips that are dubbed, each of another language.")
    train: DubberTraining = Field(default_factory=_a_few_steps, description="As the section train_dubber, and short.")


@dataclass(frozen=True)
class DemoReport:
    """What the demo made, and where."""

    home: Path
    rendered: RenderReport
    checked: CheckReport
    preparation: PrepareReport
    training: TrainReport
    dubs: DubReport
    pictures: tuple[Path, ...]

    @property
    def corpus(self) -> Path:
        """Folder of the talking heads."""
        return self.home / "corpus"

    @property
    def prepared(self) -> Path:
        """Folder of features and tokens."""
        return self.home / "prepared"

    @property
    def run(self) -> Path:
        """Folder of the training."""
        return self.home / "run"

    @property
    def dubbed(self) -> Path:
        """Folder of the dubbed clips, their figures and spectrograms."""
        return self.home / "dubbed"

    @property
    def fine(self) -> bool:
        """Whether nothing was wrong with any clip."""
        return self.checked.ok and not self.preparation.failed and not self.dubs.failures

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "world": "embedded",
            "corpus": {"folder": str(self.corpus), **self.rendered.as_dict()},
            "check": {"errors": self.checked.count("error"), "warnings": self.checked.count("warning")},
            "prepared": {"folder": str(self.prepared), **self.preparation.as_dict()},
            "run": {"folder": str(self.run), **self.training.as_dict()},
            "dubbed": {
                "folder": str(self.dubbed),
                "found": self.dubs.found,
                "results": [result.model_dump(mode="json") for result in self.dubs.results],
                "failures": [failure.model_dump(mode="json") for failure in self.dubs.failures],
            },
            "pictures": [str(path) for path in self.pictures],
        }


def run_demo(home: Path, preset: str, say: Callable[[str], None], workers: int | None = None) -> DemoReport:
    """Run every step below ``home``; ``say`` is told which one begins.

    Raises:
        BadInput: ``diflow.no_starter`` where the installation has none and the preset names no other model, and what
            the steps raise.
    """
    settings = load_preset(preset, "demo", DemoSettings)
    model, teacher = find_model(settings.model), find_model(settings.teacher)
    corpus, prepared = home / "corpus", home / "prepared"
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
    say(f"[3/{STEPS}] prepare features, and tokens of the model's codec")
    prepare_settings = load_preset(preset, "prepare", PrepareSettings)
    codec = load_codec(model / CODEC)
    preparation = prepare_corpus(corpus, prepared, prepare_settings, codec=codec, workers=workers)
    say(f"[4/{STEPS}] train stage 2 for {settings.train.steps} steps from {settings.teacher}")
    nets = read_facts(teacher).settings
    task = Task(prepared, model / CODEC, nets, settings.train, Path(preset).stem, teacher)
    training = _train(task, home / "run", f"dubflow demo --preset {preset}")
    say(f"[5/{STEPS}] dub {settings.dubs} clips with {settings.model}")
    chosen = choose_dubs(manifest, settings.languages, settings.dubs)
    dubs = dub_chosen(chosen, manifest, home / "dubbed", model)
    say(f"[6/{STEPS}] draw pictures of the corpus and of what was dubbed")
    sheet = home / "talkers.png"
    if rendered.rendered or not sheet.is_file():
        contact_sheet(manifest, sheet)
    spectrograms = draw_dubs(chosen, dubs, manifest, home / "dubbed")
    return DemoReport(home, rendered, checked, preparation, training, dubs, (sheet, *spectrograms))


def _train(task: Task, out: Path, command: str) -> TrainReport:
    """Train in ``out``, which is the demo's own: a run of other data or of an older starter makes room."""
    with reporting("Training dubber", task.settings.steps, "steps") as progress:
        try:
            return train(task, out, command=command, progress=progress)
        except WrongUse as error:
            if error.code != "diflow.other_run":
                raise
            progress.note("The run of an earlier demo had other data, settings or weights; it is trained again")
        shutil.rmtree(out)
        return train(task, out, command=command, progress=progress)
