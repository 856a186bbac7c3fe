"""The demo's second engine: an adapter for the starter LTX-2, from pairs that it makes itself to a champion that dubs.

The pipeline ``train-lora`` runs as ``train-dubber`` does, and is judged on the same clips, so that one table shows both
engines. Then its champion dubs a clip, new lips with new words, in the clip's own voice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from dubflow.atomic import write_text
from dubflow.config import Strict, load_preset
from dubflow.corpora.manifest import CorpusManifest
from dubflow.dubbing.jobs import DubReport, DubTask, dub_all
from dubflow.dubbing.request import DubRequest, SegmentText
from dubflow.incontext.backbone.named import STARTER
from dubflow.judging.card.files import read_card
from dubflow.judging.table_text import markdown
from dubflow.judging.tables import Labelled, build_table
from dubflow.platform.demo_dubs import ChosenDub
from dubflow.platform.demo_runs import Released, released
from dubflow.progress import reporting
from dubflow.serving.adapter_packages import open_adapter_package

PIPELINE = "train-lora"
SCORES = "scores.md"
_TABLE = "justdubit-1"


class AdapterDemoSettings(Strict):
    """The section ``demo_adapter`` of a preset."""

    base: str = Field(STARTER, description="LTX-2 that makes the pairs and wears the adapter.")
    start: str = Field(STARTER, description="Adapter that training begins with; empty for none.")
    preset: str = Field("tiny", description="Preset of pairs and training.")
    prompts: int = Field(4, ge=1, description="Prompts for pairs; a prompt gives two.")
    seed: int = Field(5, ge=0, description="Of the prompts.")
    steps: int = Field(8, ge=1, description="Of the training.")
    name: str = Field("demo-lora", description="Of the model in the registry.")


@dataclass(frozen=True)
class AdapterDemo:
    """What came of it: the champion, its dub, and the table of both engines."""

    champion: Released
    dubs: DubReport
    scores: Path | None


def run_adapter(
    preset: str,
    runs: Path,
    benchmark: Path,
    policy: str,
    say: Callable[[str], None],
    *,
    from_scratch: bool = False,
) -> Released:
    """The pipeline, judged on ``benchmark``; ``from_scratch`` begins without an adapter and trains in full."""
    settings = load_preset(preset, "demo_adapter", AdapterDemoSettings)
    asked: dict[str, Any] = {
        "base": settings.base,
        "preset": settings.preset,
        "prompt_count": settings.prompts,
        "prompt_seed": settings.seed,
        "start": "" if from_scratch else settings.start,
        "steps": 0 if from_scratch else settings.steps,
        "benchmark": str(benchmark),
        "policy": policy,
        "name": settings.name,
    }
    if from_scratch:
        del asked["prompt_count"]  # the pipeline's own
    return released(PIPELINE, settings.name, asked, runs, say)


def dub_lips(chosen: ChosenDub, manifest: CorpusManifest, champion: Released, out: Path) -> DubReport:
    """The clip says the chosen text in its own voice, with new lips; what is finished is found."""
    task = DubTask(
        DubRequest(
            clip=manifest.media_path(chosen.clip),
            segments=(SegmentText(text=chosen.text.transcript or ""),),
            language=chosen.clip.language or "",
            reference="self",
        ),
        out / f"{chosen.name}-lips.mp4",
    )
    with reporting("dub with new lips", 1, "clips") as progress:
        return dub_all([task], open_adapter_package(champion.folder), progress)


def write_scores(out: Path, engines: Sequence[Released]) -> Path | None:
    """Both engines in one table, in the shape of JUST-DUB-IT's first; None where one was not judged."""
    cards = [one.card for one in engines]
    if not all(card is not None and card.is_dir() for card in cards):
        return None
    labelled = [Labelled(read_card(card)) for card in cards if card]
    write_text(out / SCORES, markdown(build_table(_TABLE, labelled)))
    return out / SCORES
