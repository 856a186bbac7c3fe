"""``.precomputed`` trees of LTX trainers, taken over into a cache of ours.

Below the root lie folders of ``.pt`` files that share relative names: ``latents`` and ``reference_latents``
(``latents`` ``[C, F', H', W']``, with ``num_frames``, ``height``, ``width`` in latents and ``fps``), ``audio_latents``
and ``reference_audio_latents`` (``latents`` ``[8, T, 16]``), ``conditions`` (text features before the connectors:
``video_prompt_embeds``, ``audio_prompt_embeds`` or once ``prompt_embeds``, and ``prompt_attention_mask``), and masks.

Masks have two meanings under nearly one name. JUST-DUB-IT's ``masks`` hold ``masks`` ``[F', H', W']``: the face, a
weight of the loss. Later trainers' hold ``mask`` ``[F, H, W]``: what is kept clean, a condition, which is no face.

Files are read as tensors and plain values only (``weights_only=True``); their latents are taken to be normalised, as
these trainers store them. Of what prompts they came from, they do not say.
"""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from dubflow.corpora.cache import Store, content_key
from dubflow.corpora.listing import clip_id
from dubflow.errors import BadInput
from dubflow.incontext.backbone.audio import audio_tokens
from dubflow.incontext.backbone.fingerprint import fingerprint
from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.backbone.text import PromptFeatures, connect_text
from dubflow.incontext.training.encoding import TRANSFORM_VERSION, size_of
from dubflow.incontext.training.face_masks import THRESHOLD
from dubflow.incontext.training.latents import CachedPair, LatentIndex, packed, write_index
from dubflow.incontext.training.settings import FPS
from dubflow.media.digest import sha256_file
from dubflow.progress import Progress, Silent

ROOT = ".precomputed"
_FOLDERS = {
    "target_video": "latents",
    "context_video": "reference_latents",
    "target_audio": "audio_latents",
    "context_audio": "reference_audio_latents",
    "text": "conditions",
}
_MASKS = ("masks", "video_masks")
MaskKind = Literal["face", "kept"]


@dataclass(frozen=True)
class ImportReport:
    """Pairs taken over, those left out by reason, and pairs without a face mask by reason."""

    pairs: int
    left_out: Mapping[str, int]
    unmasked: Mapping[str, int]
    bytes: int


def is_precomputed(root: Path) -> bool:
    """Whether a folder is such a tree, or holds one."""
    return all((_tree(root) / folder).is_dir() for folder in ("latents", "conditions"))


def import_precomputed(
    root: Path,
    backbone: Backbone,
    out: Path,
    *,
    world: Literal["embedded", "real"] = "real",
    licence: str | None = None,
    shard_mib: int = 512,
    progress: Progress | None = None,
) -> ImportReport:
    """Take over the tree ``root`` into the cache ``out``.

    Args:
        backbone: whose connectors the text features go through; of the version that the tree was made with.

    Raises:
        BadInput: ``incontext.no_latents``, ``incontext.nothing_to_train_on``.
    """
    tree, progress = _tree(Path(root)), progress or Silent()
    if not is_precomputed(root):
        raise BadInput("incontext.no_latents", f"{root} has no latents/ and conditions/.", "Name a .precomputed tree.")
    names = sorted(path.relative_to(tree / "latents") for path in (tree / "latents").rglob("*.pt"))
    progress.expect(len(names))
    store = Store(out)
    try:
        entries, left_out, unmasked = {}, {}, {}
        connectors = fingerprint(backbone.connectors)
        for relative in names:
            name = clip_id(relative.with_suffix("").as_posix())
            try:
                entries[name], why = _taken(tree, relative, backbone, connectors, store)
                if why is not None:
                    unmasked[name] = why
            except BadInput as error:
                left_out[name] = f"{error.code}: {error.headline}"
                progress.note(f"{name} is left out: {error.headline}")
            progress.advance()
        if not entries:
            reasons = "; ".join(sorted(set(left_out.values()))[:3]) or "it has no .pt file"
            raise BadInput(
                "incontext.nothing_to_train_on", f"{tree} has no whole pair: {reasons}.", "Look at the tree."
            )
        wanted = {key for pair in entries.values() for key in (pair.key, pair.text)}
        with store.packing():
            store.pack(wanted, shard_mib * 2**20)
            size = size_of(store, wanted)
            index = LatentIndex(
                source=tree.parent.name or "precomputed",
                world=world,
                licence=licence,
                version=backbone.version,
                parts={"connectors": connectors},
                settings={"precomputed": True, "transform": TRANSFORM_VERSION},
                pairs=entries,
                left_out=left_out,
                unmasked=unmasked,
                bytes=size,
            )
            write_index(out, index)
            store.clean(wanted)
    finally:
        store.close()
    reasons_left = Counter(reason.partition(":")[0] for reason in left_out.values())
    return ImportReport(len(entries), dict(reasons_left), dict(Counter(unmasked.values())), size)


def mask_kind(content: Mapping[str, Any]) -> MaskKind:
    """What a mask file means: ``masks`` is the face, ``mask`` what is kept clean.

    Raises:
        BadInput: ``incontext.bad_precomputed`` when it is neither, or both.
    """
    known: dict[str, MaskKind] = {"masks": "face", "mask": "kept"}
    found = [kind for name, kind in known.items() if isinstance(content.get(name), Tensor)]
    if len(found) != 1:
        raise BadInput("incontext.bad_precomputed", "A mask file holds neither masks nor mask.", "Make it again.")
    return found[0]


def _tree(root: Path) -> Path:
    return root / ROOT if (root / ROOT).is_dir() else root


def _taken(
    tree: Path, relative: Path, backbone: Backbone, connectors: str, store: Store
) -> tuple[CachedPair, str | None]:
    paths = {role: tree / folder / relative for role, folder in _FOLDERS.items()}
    missing = [_FOLDERS[role] for role, path in paths.items() if not path.is_file()]
    if missing:
        raise BadInput("incontext.bad_precomputed", f"{relative} is not in {', '.join(missing)}.", "Make it again.")
    masks = [tree / folder / relative for folder in _MASKS if (tree / folder / relative).is_file()]
    digests = {role: sha256_file(path) for role, path in paths.items()} | {"mask": [sha256_file(m) for m in masks]}
    facts = {"kind": "precomputed", "transform": TRANSFORM_VERSION}
    key = content_key(facts | {"files": {role: digest for role, digest in digests.items() if role != "text"}})
    text_key = content_key(facts | {"text": digests["text"], "connectors": connectors, "dtype": str(backbone.dtype)})
    if not store.has(key):
        store.put(key, *_latents(paths, masks, backbone))
    if not store.has(text_key):
        store.put(text_key, packed(_text(_loaded(paths["text"]), backbone)), {"kind": "text"})
    arrays, meta = store.read(key)
    pair = CachedPair(
        key=key,
        text=text_key,
        shape=tuple(meta["shape"]),
        audio_tokens=meta["tokens"],
        masked="mask" in arrays,
        prompt=None,
    )
    return pair, meta["unmasked"]


def _latents(paths: Mapping[str, Path], masks: list[Path], backbone: Backbone) -> tuple[dict[str, Any], dict[str, Any]]:
    geometry = backbone.geometry
    tensors = {}
    for side in ("context", "target"):
        content = _loaded(paths[f"{side}_video"])
        rate = content.get("fps")
        if rate is not None and float(rate) != FPS:
            raise BadInput("incontext.bad_precomputed", f"It has {float(rate):g} frames a second, not {FPS}.", "")
        tensors[f"{side}_video"] = _tensor(content, "latents", 4).float()
        sound = _tensor(_loaded(paths[f"{side}_audio"]), "latents", 3).float()
        tensors[f"{side}_audio"] = audio_tokens(sound)
    video, heard = tensors["target_video"], tensors["target_audio"]
    if video.shape != tensors["context_video"].shape or heard.shape != tensors["context_audio"].shape:
        raise BadInput("incontext.bad_precomputed", "Reference and target are of different sizes.", "Cut them alike.")
    if video.shape[0] != geometry.video_channels or heard.shape[1] != geometry.audio_channels:
        raise BadInput(
            "incontext.bad_precomputed",
            f"Its latents have {video.shape[0]} and {heard.shape[1]} channels; this base has "
            f"{geometry.video_channels} and {geometry.audio_channels}.",
            "Use the base that the tree was made with.",
        )
    why: str | None = "it has no mask"
    for path in masks:
        content = _loaded(path)
        if mask_kind(content) == "kept":
            why = "its mask says what is kept clean, not where the face is"
            continue
        mask = _tensor(content, "masks", 3)
        if mask.shape != video.shape[1:]:
            raise BadInput("incontext.bad_precomputed", f"Its mask is {tuple(mask.shape)}.", "Make it again.")
        tensors["mask"], why = mask.float() > THRESHOLD, None
        break
    shape = [int(size) for size in video.shape[1:]]
    return packed(tensors), {"kind": "pair", "shape": shape, "tokens": len(heard), "unmasked": why}


def _text(content: Mapping[str, Any], backbone: Backbone) -> dict[str, Tensor]:
    """Text features after the connectors."""
    both = "prompt_embeds" if "prompt_embeds" in content else None
    video = _tensor(content, both or "video_prompt_embeds", 2)
    audio = _tensor(content, both or "audio_prompt_embeds", 2)
    mask = _tensor(content, "prompt_attention_mask", 1).bool()
    device = backbone.device
    features = PromptFeatures(video[None].to(device), audio[None].to(device), mask[None].to(device))
    try:
        text = connect_text(backbone, features)
    except RuntimeError as error:
        raise BadInput(
            "incontext.version_mismatch",
            f"Its text features {tuple(video.shape)} do not go through the connectors of {backbone.version}.",
            "Text features are not portable between versions; use the base that the tree was made with.",
        ) from error
    return {"video": text.video[0], "audio": text.audio[0], "mask": text.mask[0]}


def _loaded(path: Path) -> Mapping[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
        raise BadInput(
            "incontext.bad_precomputed",
            f"{path.name} does not read as tensors: {type(error).__name__}.",
            "Make it again.",
        ) from error
    if not isinstance(content, dict):
        raise BadInput("incontext.bad_precomputed", f"{path.name} holds no names.", "Make it again.")
    return content


def _tensor(content: Mapping[str, Any], name: str, dims: int) -> Tensor:
    value = content.get(name)
    if not isinstance(value, Tensor):
        raise BadInput("incontext.bad_precomputed", f"A file lacks the tensor {name}.", "Make it again.")
    while value.ndim > dims and value.shape[0] == 1:
        value = value[0]
    if value.ndim != dims or not bool(torch.isfinite(value.float()).all()):
        raise BadInput("incontext.bad_precomputed", f"{name} is {tuple(value.shape)}, or not finite.", "Make it again.")
    return value
