"""Halves and pairs of the embedded world, painted in memory: what a perfect base would give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dubflow.incontext.pairs.engine_parts import ContextHalf, GeneratedHalf, MadePair, Measured
from dubflow.incontext.pairs.manifest import PairFile, PairHeader, PairManifest, PairRow
from dubflow.incontext.pairs.quality.settings import QualitySettings
from dubflow.incontext.pairs.quality.verdicts import verdicts
from dubflow.media.digest import sha256_file
from dubflow.media.encode import write_clip
from dubflow.speech.espeak import default_synthesizer
from dubflow.talkers.performance import perform
from dubflow.talkers.picture import paint_clip
from dubflow.talkers.scenes import ClipPlan, Turn, plan_corpus
from dubflow.talkers.scripts import GridCommand
from dubflow.talkers.settings import TalkerSettings
from dubflow.talkers.soundtrack import soundtrack


@dataclass(frozen=True, eq=False)
class SpokenHalf:
    """A clip of somebody who says ``text``: frames ``[F, H, W, 3]``, sound as long."""

    frames: np.ndarray
    waveform: np.ndarray
    sample_rate: int
    text: str
    language: str


def spoken_half(identity: int, code: str, language: str, *, size: int = 96, frames: int = 57) -> SpokenHalf:
    """A talker who says the GRID command of ``code`` in ``language``, always the same for the same arguments."""
    plan = _plan(identity, size, frames)
    script = GridCommand.from_code(code).script(language)
    plan = plan.model_copy(update={"turns": (Turn(person=0, script=script),)})
    sound = soundtrack(plan, default_synthesizer())
    pictures = np.stack([*paint_clip(plan, perform(plan, sound), frames)])
    samples = frames * sound.sample_rate // 25
    waveform = np.pad(sound.waveform, (0, max(0, samples - len(sound.waveform))))[:samples]
    return SpokenHalf(pictures, waveform, sound.sample_rate, script.text, language)


def _plan(identity: int, size: int, frames: int) -> ClipPlan:
    settings = TalkerSettings(size=size, mix={"plain": 1.0}, event_share=0.0, grid_share=1.0)
    plans = plan_corpus(identities=identity + 1, clips=1, languages=("en",), seed=11, settings=settings)
    return plans[identity].model_copy(update={"least_frames": frames})


def generated(half: SpokenHalf) -> GeneratedHalf:
    """The half as the engine hands it on."""
    return GeneratedHalf(half.frames, half.waveform, half.sample_rate)


def made_pair(
    target: SpokenHalf, context: SpokenHalf, other: SpokenHalf, *, said: SpokenHalf | None = None
) -> MadePair:
    """A pair; ``said``: what the context is believed to say, where that is not what it says."""
    believed = said or context
    return MadePair(
        target=generated(target),
        context=ContextHalf(context.frames, context.waveform, context.sample_rate, "inpainted"),
        other=generated(other),
        target_said=target.text,
        target_language=target.language,
        context_said=believed.text,
        context_language=believed.language,
    )


def written_manifest(
    folder: Path, pairs: Sequence[tuple[str, MadePair, Measured]], settings: QualitySettings
) -> PairManifest:
    """A manifest of pairs as the engine writes it: files, figures, and verdicts over the whole run."""
    reasons = verdicts([measured.figures for _, _, measured in pairs], settings)
    rows = []
    for (name, pair, measured), bad in zip(pairs, reasons, strict=True):
        kept = {}
        for role, half in (("context", pair.context), ("target", pair.target)):
            path = folder / "clips" / f"{name}-{role}.mp4"
            write_clip(path, half.frames, 25, half.waveform, half.sample_rate)
            kept[role] = PairFile(path=path.relative_to(folder).as_posix(), sha256=sha256_file(path))
        rows.append(
            PairRow(
                id=name,
                context=kept["context"],
                target=kept["target"],
                prompt=pair.target_said,
                context_prompt=pair.context_said,
                context_language=pair.context_language,
                target_language=pair.target_language,
                speaker=name.partition("-")[0],
                qc=dict(measured.figures),
                rejected=(*measured.reasons, *bad),
            )
        )
    made_with = {"cost": {"seconds": 12.5, "seconds_per_kept": 3.1}, "without_pair": {"a": "incontext.no_silence"}}
    header = PairHeader(name="sample", world="embedded", made_with=made_with)
    manifest = PairManifest(header, rows, folder)
    manifest.write()
    return manifest
