"""What came of one prompt, on disk: a folder that appears whole, named by all that it hangs on.

``items/ab/<key>/`` holds ``item.json``, the clip as the base made it, and of either half the target, the context, the
base's own latents of their sound, and the mask of the face. A prompt of which no try succeeded has an item too, with
the reasons, so it is not tried again.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from dubflow.atomic import atomic_dir, write_json
from dubflow.config import Strict
from dubflow.corpora.cache import content_key
from dubflow.corpora.manifest import Split
from dubflow.errors import BadInput
from dubflow.incontext.pairs.engine import MadeHalf, MadeItem, PairEngine
from dubflow.incontext.pairs.engine_parts import MadePair
from dubflow.incontext.pairs.engine_settings import FPS, SynthesisSettings
from dubflow.incontext.pairs.lip_mask import mask_video
from dubflow.incontext.pairs.manifest import PairFile, PairRow
from dubflow.incontext.pairs.own_sound import OwnSound, write_own_sound
from dubflow.incontext.pairs.prompts.content import prompt_id
from dubflow.incontext.pairs.prompts.structure import Prompt
from dubflow.incontext.prompts import dub_prompt
from dubflow.media.digest import sha256_file
from dubflow.media.encode import write_clip
from dubflow.training.seeds import seed_of

FORMAT = "dubflow.pair-item/1"
ITEM, CLIP = "item.json", "clip.mp4"


class RefusedTry(Strict):
    """A try that came to nothing."""

    seed: int
    code: str
    reason: str


class Item(Strict):
    """What stands in ``item.json``. Paths in its rows are relative to the item's folder."""

    format: Literal["dubflow.pair-item/1"] = "dubflow.pair-item/1"
    key: str = Field(pattern=r"^[0-9a-f]{64}$")
    prompt_id: str
    prompt: dict[str, Any]
    rows: tuple[PairRow, ...] = Field(description="Both pairs, or none where every try was refused.")
    clip: PairFile | None = Field(None, description="The switching clip.")
    refused: tuple[RefusedTry, ...] = ()
    seconds: dict[str, float] = Field(default_factory=dict, description="By kind of work; another run takes others.")

    @property
    def tries(self) -> int:
        """How many seeds were tried."""
        return len(self.refused) + bool(self.rows)


def item_key(engine: PairEngine, prompt: Prompt, seed: int) -> str:
    """Digest of everything that a prompt's pairs hang on; ``seed`` is the run's."""
    return content_key({"prompt": prompt.model_dump(mode="json"), "seed": seed, **engine.identity})


def item_folder(out: Path, key: str) -> Path:
    """Where the item of ``key`` lies."""
    return Path(out) / "items" / key[:2] / key


def write_item(out: Path, key: str, made: MadeItem, settings: SynthesisSettings) -> Item:
    """Write what came of a prompt; it appears whole."""
    folder = item_folder(out, key)
    with atomic_dir(folder) as part:
        clip = None
        if made.clip is not None:
            clip = _clip(part / CLIP, made.clip.frames, settings.crf, made.clip.waveform, made.clip.sample_rate)
        item = Item(
            key=key,
            prompt_id=prompt_id(made.prompt),
            prompt=made.prompt.model_dump(mode="json", exclude_none=True),
            rows=tuple(_row(part, key, made, half, settings) for half in made.halves),
            clip=clip,
            refused=tuple(RefusedTry(seed=one.seed, code=one.code, reason=one.reason) for one in made.refused),
            seconds={kind: round(value, 4) for kind, value in made.seconds.items()},
        )
        write_json(part / ITEM, item.model_dump(mode="json"))
    return item


def read_item(out: Path, key: str) -> Item | None:
    """The item of ``key``; None where it is not there.

    Raises:
        BadInput: ``incontext.bad_item``.
    """
    path = item_folder(out, key) / ITEM
    try:
        return Item.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, ValidationError) as error:
        raise BadInput(
            "incontext.bad_item", f"{path}: {error}.", f"Remove its folder; this dubflow reads {FORMAT}."
        ) from error


def adopt_items(earlier: Path, out: Path, keys: Iterable[str]) -> int:
    """Take the items of ``keys`` that another folder has over into ``out``, linked where one file system allows it.

    Raises:
        BadInput: ``incontext.no_items`` for a folder without any.
    """
    if not (Path(earlier) / "items").is_dir():
        raise BadInput("incontext.no_items", f"{earlier} holds no items.", "Name the folder of an earlier run.")
    taken = 0
    for key in keys:
        source, target = item_folder(earlier, key), item_folder(out, key)
        if target.is_dir() or not (source / ITEM).is_file():
            continue
        try:
            with atomic_dir(target) as part:
                shutil.copytree(source, part, copy_function=_link, dirs_exist_ok=True)
        except OSError:
            if not target.is_dir():
                raise
            continue  # another process brought it, or made it, just now
        taken += 1
    return taken


def rows_of(item: Item, reasons: Mapping[str, tuple[str, ...]]) -> list[PairRow]:
    """The item's rows with paths relative to the run's folder, and the ``reasons`` against each by its id."""
    prefix = f"items/{item.key[:2]}/{item.key}"
    moved = []
    for row in item.rows:
        files = {
            name: file.model_copy(update={"path": f"{prefix}/{file.path}"})
            for name in ("context", "target", "context_audio", "target_audio", "sound", "mask")
            if (file := getattr(row, name)) is not None
        }
        rejected = tuple(dict.fromkeys((*row.rejected, *reasons.get(row.id, ()))))
        moved.append(row.model_copy(update={**files, "rejected": rejected}))
    return moved


def _row(folder: Path, key: str, made: MadeItem, half: MadeHalf, settings: SynthesisSettings) -> PairRow:
    pair, place = half.pair, half.half
    speaker = made.prompt.speaker.name or prompt_id(made.prompt)[:16]
    clips = {
        name: _clip(folder / f"{place}-{name}.mp4", one.frames, settings.crf, one.waveform, one.sample_rate)
        for name, one in (("context", pair.context), ("target", pair.target))
    }
    return PairRow(
        id=f"{key[:16]}/{place}",
        context=clips["context"],
        target=clips["target"],
        sound=_sound(folder / f"{place}-sound.safetensors", pair),
        mask=_clip(folder / f"{place}-mask.mp4", mask_video(half.face), settings.crf),
        prompt=dub_prompt(pair.target_said, pair.target_language, template=settings.prompt_template),
        context_prompt=dub_prompt(pair.context_said, pair.context_language, template=settings.prompt_template),
        context_language=pair.context_language,
        target_language=pair.target_language,
        speaker=speaker,
        split=_split(speaker, settings.held_share),
        lineage=dict(half.lineage),
        qc=dict(half.measured.figures),
        rejected=half.measured.reasons,
    )


def _clip(
    path: Path,
    frames: NDArray[np.uint8],
    crf: int,
    waveform: NDArray[np.float32] | None = None,
    sample_rate: int = 16000,
) -> PairFile:
    write_clip(path, frames, FPS, waveform, sample_rate, crf=crf)
    return PairFile(path=path.name, sha256=sha256_file(path))


def _sound(path: Path, pair: MadePair) -> PairFile | None:
    """The base's own latents of the pair's sound; None for clips that it did not make."""
    if pair.context.tokens is None or pair.target.tokens is None:
        return None
    write_own_sound(path, OwnSound(pair.context.tokens, pair.target.tokens))
    return PairFile(path=path.name, sha256=sha256_file(path))


def _split(speaker: str, held_share: float) -> Split:
    """By the speaker alone, so that nobody stands on both sides."""
    return "val" if seed_of("split", speaker) / 2**63 < held_share else "train"


def _link(source: str, target: str) -> None:
    # Items are never changed in place, so two names of one file are safe.
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
