"""The data engine put together from a preset: base, prompts, cutting, judges, exports."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dubflow.atomic import write_text
from dubflow.config import load_preset
from dubflow.corpora.cache import content_key
from dubflow.corpora.layouts.justdubit import LICENCE as LTX_LICENCE
from dubflow.errors import WrongUse
from dubflow.incontext.pairs.prompts.files import read_prompts
from dubflow.incontext.pairs.prompts.grammar import draw_prompts
from dubflow.incontext.pairs.prompts.sets import PromptReport, gathered
from dubflow.incontext.pairs.prompts.settings import SECTION as PROMPTS
from dubflow.incontext.pairs.prompts.settings import GrammarSettings
from dubflow.incontext.pairs.prompts.structure import Prompt
from dubflow.progress import Progress

if TYPE_CHECKING:
    from dubflow.incontext.backbone.parts import Backbone
    from dubflow.incontext.pairs.engine import PairEngine
    from dubflow.incontext.pairs.engine_settings import SynthesisSettings
    from dubflow.incontext.pairs.quality.settings import QualitySettings
    from dubflow.incontext.pairs.splitting import SplitSettings
    from dubflow.incontext.training.settings import DataSettings

Export = Literal["dataset", "precomputed"]
_MADE_FROM = "made-from.txt"
EXPORTS: tuple[Export, ...] = ("dataset", "precomputed")


@dataclass(frozen=True)
class SynthesisPreset:
    """Settings by what they are for."""

    synthesis: SynthesisSettings
    splitting: SplitSettings
    quality: QualitySettings
    prompts: GrammarSettings
    data: DataSettings


def synthesis_preset(name: str) -> SynthesisPreset:
    """The preset ``name``, shipped or a file.

    Raises:
        WrongUse: ``config.unknown_preset``. BadInput: ``config.bad_preset``.
    """
    from dubflow.incontext.pairs.engine_settings import SynthesisSettings
    from dubflow.incontext.pairs.quality.settings import QualitySettings
    from dubflow.incontext.pairs.splitting import SplitSettings
    from dubflow.incontext.training.settings import DataSettings

    return SynthesisPreset(
        synthesis=load_preset(name, SynthesisSettings.section, SynthesisSettings),
        splitting=load_preset(name, SplitSettings.section, SplitSettings),
        quality=load_preset(name, QualitySettings.section, QualitySettings),
        prompts=load_preset(name, PROMPTS, GrammarSettings),
        data=load_preset(name, DataSettings.section, DataSettings),
    )


def prompts_for(
    file: Path | None, count: int, seed: int, settings: GrammarSettings
) -> tuple[tuple[Prompt, ...], PromptReport]:
    """Usable prompts of a file, or ``count`` drawn by the grammar; and what became of the others.

    Raises:
        BadInput, WrongUse: what :func:`read_prompts` and :func:`draw_prompts` say.
    """
    return gathered(draw_prompts(settings, seed, count) if file is None else read_prompts(file))


def open_engine(
    base: str, preset: SynthesisPreset, *, judged: bool = True, judges: str | None = None, device: str | None = None
) -> PairEngine:
    """The data engine on ``base``: diffusers' folder, a published file, or ``starter``.

    Args:
        judged: with quality control; without it no figures are taken and no pair is rejected.
        judges: file or preset that names large judges, see :func:`dubflow.platform.pair_judges.quality_by`.
        device: by default a GPU where there is one.

    Raises:
        BadInput, WrongUse: what :func:`dubflow.incontext.backbone.named.open_backbone` and the judges say.
    """
    from dubflow.faces.landmarks import MediaPipeLandmarker
    from dubflow.incontext.backbone.named import open_backbone
    from dubflow.incontext.pairs.engine import PairEngine
    from dubflow.incontext.pairs.splitting import SilenceSplitter
    from dubflow.incontext.pairs.switching import BaseClips
    from dubflow.platform.pair_judges import quality_by

    backbone = open_backbone(base, device)
    return PairEngine(
        backbone,
        preset.synthesis,
        maker=BaseClips(backbone, preset.synthesis),
        splitter=SilenceSplitter(preset.splitting),
        landmarker=MediaPipeLandmarker(),
        quality=quality_by(preset.quality, judges) if judged else None,
    )


def licence_of(backbone: Backbone) -> str:
    """Terms of what a base makes: outputs of LTX-2 stay under its licence, the embedded world under its own."""
    from dubflow.talkers.render import LICENCE

    return LICENCE if backbone.world == "embedded" else LTX_LICENCE


def exports_of(words: str | None) -> tuple[Export, ...]:
    """From ``dataset,precomputed``.

    Raises:
        WrongUse: ``platform.unknown_export``.
    """
    asked = [word.strip() for word in (words or "").split(",") if word.strip()]
    unknown = [word for word in asked if word not in EXPORTS]
    if unknown:
        raise WrongUse(
            "platform.unknown_export", f"There is no export {unknown[0]!r}.", f"Known: {', '.join(EXPORTS)}."
        )
    return tuple(export for export in EXPORTS if export in asked)


def export_pairs(
    out: Path, exports: Sequence[Export], backbone: Backbone, data: DataSettings, progress: Progress
) -> dict[str, str]:
    """Write the finished pairs of ``out`` in other layouts, in ``out/export/``; what is there of these very pairs
    stays, and what is there of others is made again.

    Raises:
        BadInput, WrongUse: what the exports say.
    """
    from dubflow.faces.landmarks import MediaPipeLandmarker
    from dubflow.incontext.pairs.export_dataset import export_dataset
    from dubflow.incontext.pairs.export_precomputed import export_precomputed
    from dubflow.incontext.pairs.manifest import read_pairs

    pairs = read_pairs(out)
    told = [row.model_dump(mode="json") for row in pairs.accepted]
    rows = content_key({"pairs": told, "data": data.model_dump(mode="json")})
    found: dict[str, str] = {}
    for export in exports:
        folder = out / "export" / export
        found[export] = str(folder)
        if _made_from(folder) == rows:
            continue
        shutil.rmtree(folder, ignore_errors=True)
        if export == "dataset":
            export_dataset(pairs, folder)
        else:
            cache, landmarker = out / "latents", MediaPipeLandmarker()
            export_precomputed(pairs, backbone, data, cache, folder, landmarker=landmarker, progress=progress)
        write_text(folder / _MADE_FROM, f"{rows}\n")
    return found


def _made_from(folder: Path) -> str | None:
    """Digest of the pairs that an export was made from; None where it is missing or was not finished."""
    try:
        return (folder / _MADE_FROM).read_text(encoding="utf-8").strip()
    except OSError:
        return None


def page_of(out: Path, quality: QualitySettings, progress: Progress) -> Path:
    """The page of the finished pairs of ``out``, in ``out/page/``: figures, reasons, and pairs to look at.

    Raises:
        BadInput: what :func:`dubflow.incontext.pairs.manifest.read_pairs` says.
    """
    from dubflow.faces.landmarks import MediaPipeLandmarker
    from dubflow.incontext.pairs.manifest import read_pairs
    from dubflow.platform.pair_page.write import write_pairs_page

    return write_pairs_page(out / "page", read_pairs(out), quality, landmarker=MediaPipeLandmarker(), progress=progress)
