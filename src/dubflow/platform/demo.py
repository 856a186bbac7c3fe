"""The main job in the embedded world, from nothing to champions that dub.

The pipeline ``train-dubber`` runs here as it would on a cluster: render, prepare, train both stages a little from the
starter's weights, register, judge, gate, promote. Then ``train-lora`` does the same for the in-context engine, judged
on the same clips. The champions dub clips of people they never met, and the first one the clip that somebody brought.
Whatever is finished is found, and a run that was killed goes on.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from dubflow.config import Strict, load_preset
from dubflow.corpora.manifest import CorpusManifest, read_manifest
from dubflow.diflow.stored import STARTER, STARTER_TTS, find_model
from dubflow.dubbing.jobs import DubReport
from dubflow.media.probe import probe
from dubflow.platform.demo_adapter import AdapterDemo, dub_lips, run_adapter, write_scores
from dubflow.platform.demo_dubs import ChosenDub, choose_dubs, draw_dubs, dub_chosen
from dubflow.platform.demo_runs import Released, released
from dubflow.platform.demo_serving import ServedDub, WantedDub, serve_and_dub
from dubflow.platform.dvc_remote import set_up_remote
from dubflow.platform.pipelines.local import WORKSPACE
from dubflow.platform.steps.data import talkers_folder
from dubflow.platform.steps.judging import benchmark_file
from dubflow.talkers.contact_sheet import contact_sheet

PIPELINE = "train-dubber"
SCRATCH = "tiny"
"""Preset of a training from nothing."""
REAL = Path("shared", "data", "grid_lipnet")
"""Real clips, where somebody has put them beside the checkout; never part of it."""
_REAL_TEXT, _REAL_VOICE, _DRAWN_VOICE = "Place green at g nine please", "rowan", "linden"


class DemoSettings(Strict):
    """The section ``demo`` of a preset."""

    identities: int = Field(8, ge=4, description="Drawn persons; the fourth is the first that nothing is trained on.")
    clips: int = Field(6, ge=1, description="Clips of each, with pictures.")
    voice_clips: int = Field(10, ge=1, description="Clips of each, of sound alone, for stage 1.")
    languages: tuple[str, ...] = Field(("en", "es", "ru", "fr", "de", "it", "el"), description="Spoken in the corpus.")
    seed: int = Field(1, ge=0, description="Same seed, same bytes.")
    start: str = Field(STARTER, description="Model that stage 2 begins with: a folder, or the starter's name.")
    start_tts: str = Field(STARTER_TTS, description="Likewise of stage 1; its codec makes the tokens.")
    benchmark: str = Field("standard", description="That the model is judged on.")
    policy: str = Field("demo", description="By which the gate decides.")
    name: str = Field("demo-dubber", description="Of the model in the registry.")
    dubs: int = Field(3, ge=1, description="Clips that the champion dubs, each of another language.")


@dataclass(frozen=True)
class OwnClip:
    """Somebody's clip, what is to be said in it, and in which language."""

    clip: Path
    text: str
    language: str
    reference: str = "self"


@dataclass(frozen=True)
class DemoReport:
    """What the demo made, and where.

    Attributes:
        home: its folder. dubber: the pipeline's run, its champion, what the gate said. adapter: the same of the
        in-context engine, with its dub and the table of both.
        dubs: what the dubber dubbed. pictures: of corpus and dubs. served: what was dubbed over HTTP, and how.
    """

    home: Path
    dubber: Released
    adapter: AdapterDemo
    dubs: DubReport
    pictures: tuple[Path, ...]
    served: ServedDub

    @property
    def fine(self) -> bool:
        """Whether every clip was dubbed."""
        return not (self.dubs.failures or self.adapter.dubs.failures)

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "world": "embedded",
            "home": str(self.home),
            **self.dubber.as_dict(),
            "dubbed": _dubbed(self.dubs),
            "adapter": self.adapter.champion.as_dict() | {"dubbed": _dubbed(self.adapter.dubs)},
            "scores": str(self.adapter.scores or ""),
            "pictures": [str(path) for path in self.pictures],
            "served": self.served.model_dump(mode="json"),
        }


def _dubbed(dubs: DubReport) -> dict[str, Any]:
    return {
        "found": dubs.found,
        "results": [result.model_dump(mode="json") for result in dubs.results],
        "failures": [failure.model_dump(mode="json") for failure in dubs.failures],
    }


def run_demo(
    home: Path,
    preset: str,
    say: Callable[[str], None],
    *,
    from_scratch: bool = False,
    own: OwnClip | None = None,
    keep_serving: bool = False,
) -> DemoReport:
    """Run the main job below ``home``; ``say`` is told what goes on.

    Args:
        from_scratch: train from nothing by the figures of the preset ``tiny``, which takes the better part of an hour.
        own: dub this clip over HTTP at the end.
        keep_serving: leave the server running.

    Raises:
        BadInput, WrongUse, OurFault: what steps and the dubbing raise.
    """
    settings = load_preset(preset, "demo", DemoSettings)
    for begun in () if from_scratch else (settings.start, settings.start_tts):
        find_model(begun)  # before anything is made
    if own is not None:
        probe(own.clip)
    runs = (home / "runs").resolve()
    arguments = _arguments(settings, preset, from_scratch)
    dubber = released(PIPELINE, settings.name, arguments, runs, say)
    judged_on = benchmark_file(runs / WORKSPACE, settings.benchmark, arguments["preset"])
    lips = run_adapter(preset, runs, judged_on, settings.policy, say, from_scratch=from_scratch)
    chosen, manifest = _chosen(settings, arguments, runs / WORKSPACE)
    dubs, pictures = _dub_some(chosen, manifest, dubber.folder, home)
    adapter = AdapterDemo(
        lips, dub_lips(chosen[0], manifest, lips, home / "dubbed"), write_scores(home, (dubber, lips))
    )
    served = serve_and_dub(
        home,
        settings.name,
        (dubber.version, dubber.package),
        Path(os.environ["DUBFLOW_TRUSTED_KEYS"]),
        _theirs(own) if own is not None else _real(Path.cwd().parent) or _drawn(chosen[0], manifest),
        say,
        keep=keep_serving,
    )
    if (remote := set_up_remote(Path.cwd(), home)) is not None:
        say(f"dvc push keeps data and models in {remote} (.dvc/config.local)")
    return DemoReport(home, dubber, adapter, dubs, pictures, served)


def _arguments(settings: DemoSettings, preset: str, from_scratch: bool) -> dict[str, Any]:
    used = SCRATCH if from_scratch else preset
    given: dict[str, Any] = {
        "preset": used,
        "identities": settings.identities,
        "clips": settings.clips,
        "voice_clips": settings.voice_clips,
        "languages": ",".join(settings.languages),
        "seed": settings.seed,
        "benchmark": settings.benchmark,
        "policy": settings.policy,
        "name": settings.name,
    }
    starts = ("", "") if from_scratch else (settings.start, settings.start_tts)
    return given | dict(zip(("start", "start_tts"), starts, strict=True))


def _chosen(
    settings: DemoSettings, arguments: dict[str, Any], workspace: Path
) -> tuple[list[ChosenDub], CorpusManifest]:
    names = ("preset", "identities", "clips", "languages", "seed")
    manifest = read_manifest(talkers_folder(workspace, {name: arguments[name] for name in names}))
    return choose_dubs(manifest, settings.languages, settings.dubs), manifest


def _dub_some(
    chosen: list[ChosenDub], manifest: CorpusManifest, model: Path, home: Path
) -> tuple[DubReport, tuple[Path, ...]]:
    """Clips of the corpus, each of another language, say other texts in other people's voices."""
    dubs = dub_chosen(chosen, manifest, home / "dubbed", model)
    sheet = home / "talkers.png"
    if not sheet.is_file():
        contact_sheet(manifest, sheet)
    return dubs, (sheet, *draw_dubs(chosen, dubs, manifest, home / "dubbed"))


def _theirs(own: OwnClip) -> WantedDub:
    return WantedDub(own.clip, own.text, own.language, "your clip", reference=own.reference)


def _real(beside: Path) -> WantedDub | None:
    """The first real clip beside the checkout; its speaker gave us no consent, so a stock voice speaks."""
    clips = sorted((beside / REAL).glob("*.mpg"))
    return WantedDub(clips[0], _REAL_TEXT, "en", "a real clip of GRID", voice=_REAL_VOICE) if clips else None


def _drawn(one: ChosenDub, manifest: CorpusManifest) -> WantedDub:
    clip, text = manifest.media_path(one.clip), one.text.transcript or ""
    return WantedDub(clip, text, one.clip.language or "", "a drawn clip", voice=_DRAWN_VOICE)
