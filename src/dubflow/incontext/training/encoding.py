"""Pairs of clips to stored latents: decoded in a child process, fitted, encoded by the frozen parts of the base, once.

An object's key is the digest of all it hangs on: the files, size and length, the fingerprints of the base's parts, the
landmarker and the version of what is done here. So a second run does nothing, a changed pair is done alone, and a
killed run goes on where it was. What cannot be encoded is left out with its reason, and the others go on.

Where a pair keeps the latents of its sound and this base's audio autoencoder made them, they are taken as they are:
decoded, written and encoded again they would lose words.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dubflow.corpora.cache import Store, content_key
from dubflow.corpora.stamps import Stamps
from dubflow.errors import BadInput
from dubflow.faces.landmarks import Landmarker
from dubflow.incontext.backbone.audio import encode_audio
from dubflow.incontext.backbone.fingerprint import fingerprint
from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.backbone.text import encode_text
from dubflow.incontext.backbone.video import encode_video
from dubflow.incontext.inference.canvas import Canvas
from dubflow.incontext.pairs.manifest import PairManifest, PairRow
from dubflow.incontext.pairs.own_sound import read_own_sound
from dubflow.incontext.prompts import NEGATIVE
from dubflow.incontext.training.face_masks import face_mask, latent_mask
from dubflow.incontext.training.latents import CachedPair, LatentIndex, packed, write_index
from dubflow.incontext.training.pair_clips import Side, files_of, first_frames, on_canvas, read_side, sides_of
from dubflow.incontext.training.settings import FPS, DataSettings
from dubflow.progress import Progress, Silent

TRANSFORM_VERSION = 1
"""Raised whenever the same pair would become other latents."""
_NO_MASK = "masks are not wanted"


@dataclass(frozen=True)
class EncodeReport:
    """What a run did: pairs in all, encoded now, found encoded, with the base's own latents of their sound, left out by
    reason, without a face mask by reason."""

    pairs: int
    done: int
    found: int
    own_sound: int
    left_out: dict[str, int]
    unmasked: dict[str, int]
    bytes: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {"seconds": round(self.seconds, 3)}


def encode_pairs(
    pairs: PairManifest,
    backbone: Backbone,
    out: Path,
    settings: DataSettings,
    *,
    landmarker: Landmarker | None = None,
    progress: Progress | None = None,
) -> EncodeReport:
    """Encode the accepted pairs into the cache ``out``; several runs at once share the work.

    Args:
        backbone: with its text encoder, unless all prompts are there already.
        landmarker: finds faces where a pair has no mask; without one such pairs have none.

    Raises:
        BadInput: ``incontext.nothing_to_train_on`` when no pair can be used.
        WrongUse: ``incontext.no_text_encoder``.
    """
    started = time.monotonic()
    run = _Run(pairs, backbone, Path(out), settings, landmarker, progress or Silent())
    try:
        return run.to_the_end(started)
    finally:
        run.store.close()


@dataclass
class _Run:
    pairs: PairManifest
    backbone: Backbone
    out: Path
    settings: DataSettings
    landmarker: Landmarker | None
    progress: Progress
    store: Store = field(init=False)
    parts: dict[str, str] = field(init=False)
    done: int = 0

    def __post_init__(self) -> None:
        self.store = Store(self.out)
        names = {"vae": self.backbone.video_vae, "audio_vae": self.backbone.audio_vae}
        self.parts = {name: fingerprint(part) for name, part in names.items()}
        # The connectors are trained for one text encoder and stand for it.
        self.parts["connectors"] = fingerprint(self.backbone.connectors)

    def to_the_end(self, started: float) -> EncodeReport:
        left_out: dict[str, str] = {row.id: "; ".join(row.rejected) for row in self.pairs if row.rejected}
        stamps = Stamps(self.out)
        encoded: dict[str, tuple[PairRow, str, str]] = {}
        self.progress.expect(len(self.pairs.accepted))
        for row in self.pairs.accepted:
            before = self.done
            try:
                for file in row.files:
                    stamps.check(self.pairs.path(file), file.sha256)
                encoded[row.id] = (row, self._latents(row), self._text(row.prompt))
            except BadInput as error:
                left_out[row.id] = f"{error.code}: {error.headline}"
                self.progress.note(f"{row.id} is left out: {error.headline} [{error.code}]")
            self.progress.advance(cached=self.done == before and row.id not in left_out)
        stamps.write()
        if not encoded:
            raise BadInput(
                "incontext.nothing_to_train_on",
                f"None of {len(self.pairs)} pairs can be used: {'; '.join(sorted(set(left_out.values()))[:3])}.",
                "Give pairs of clips with picture and sound.",
            )
        index = self._packed(encoded, left_out, self._text(NEGATIVE))
        return EncodeReport(
            pairs=len(index.pairs),
            done=self.done,
            found=len(index.pairs) - self.done,
            own_sound=sum(row.own_sound(self.parts["audio_vae"]) is not None for row, *_ in encoded.values()),
            left_out=dict(Counter(reason.partition(":")[0] for reason in left_out.values())),
            unmasked=dict(Counter(index.unmasked.values())),
            bytes=index.bytes,
            seconds=time.monotonic() - started,
        )

    def _latents(self, row: PairRow) -> str:
        """Key of the pair's latents, made if need be."""
        files, own = files_of(row), row.own_sound(self.parts["audio_vae"])
        key = content_key(
            {
                "kind": "pair",
                "files": {role: file.sha256 for role, file in (files | ({"sound": own} if own else {})).items()},
                "settings": self.settings.model_dump(mode="json", exclude={"shard_mib"}),
                "fps": FPS,
                "vae": self.parts["vae"],
                "audio_vae": self.parts["audio_vae"],
                "landmarker": self.landmarker.id if self.landmarker and self._looks(row) else None,
                "transform": TRANSFORM_VERSION,
            }
        )
        with self.store.claim(key, wait=True):
            if not self.store.has(key):
                self.store.put(key, *self._encoded(row))
                self.done += 1
        return key

    def _text(self, prompt: str) -> str:
        key = content_key(
            {
                "kind": "text",
                "prompt": prompt,
                "connectors": self.parts["connectors"],
                "dtype": str(self.backbone.dtype),
            }
            | {"tokens": self.backbone.text_tokens, "transform": TRANSFORM_VERSION}
        )
        with self.store.claim(key, wait=True):
            if not self.store.has(key):
                text = encode_text(self.backbone, [prompt])
                tensors = {"video": text.video[0], "audio": text.audio[0], "mask": text.mask[0]}
                self.store.put(key, packed(tensors), {"kind": "text"})
        return key

    def _encoded(self, row: PairRow) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        rate, limit = self.backbone.geometry.sample_rate, self.settings.frames
        context, target = (read_side(self.pairs, clip, sound, rate, limit) for clip, sound in sides_of(row))
        geometry = self.backbone.geometry
        frames = geometry.snap_frames(min(len(context.frames), len(target.frames)), up=False)
        if frames < self.settings.shortest:
            raise BadInput(
                "incontext.pair_too_short",
                f"{row.id} has {min(len(context.frames), len(target.frames))} frames.",
                f"A pair has at least {self.settings.shortest}, at 25 a second.",
            )
        tokens = geometry.audio_tokens(Fraction(frames, FPS))
        own = self._own_sound(row, tokens) or {}
        samples = frames * geometry.sample_rate // FPS
        tensors = {}
        canvas = Canvas.of(*target.size, *self.settings.size)
        for name, clip in (("context", context), ("target", target)):
            tensors[f"{name}_video"] = encode_video(self.backbone, on_canvas(canvas, clip.frames[:frames]))
            sound = own.get(name)
            tensors[f"{name}_audio"] = (
                encode_audio(self.backbone, clip.waveform[:samples], tokens) if sound is None else sound
            )
        latent = tensors["target_video"].shape[1:]
        arrays = packed(tensors)
        mask, why = self._mask(row, target, canvas, frames)
        if mask is not None:
            arrays["mask"] = latent_mask(mask, int(latent[1]), int(latent[2]), geometry.temporal)
        return arrays, {"kind": "pair", "shape": [int(size) for size in latent], "tokens": tokens, "unmasked": why}

    def _own_sound(self, row: PairRow, tokens: int) -> dict[str, Tensor] | None:
        """The base's own latents of the pair's sound, where it keeps some and they are this base's."""
        file = row.own_sound(self.parts["audio_vae"])
        if file is None:
            return None
        found = read_own_sound(self.pairs.path(file), tokens, self.backbone.geometry.audio_channels)
        return {"context": found.context, "target": found.target}

    def _looks(self, row: PairRow) -> bool:
        """Whether the pair's face is looked for."""
        return row.mask is None and self.settings.masks == "given or faces"

    def _mask(self, row: PairRow, target: Side, canvas: Canvas, frames: int) -> tuple[NDArray[Any] | None, str | None]:
        """The face in the target, bool ``[F, height, width]``, or why there is none."""
        if self.settings.masks == "none":
            return None, _NO_MASK
        if row.mask is not None:
            shown = first_frames(self.pairs, row.mask, self.settings.frames)
            if len(shown) < frames:
                return None, "its mask is shorter than its clip"
            return on_canvas(canvas, shown[:frames]).max(axis=3) / 255, None
        if self.landmarker is None or not self._looks(row):
            return None, "it has no mask"
        tracks = self.landmarker.landmarks(target.frames[:frames])
        if not tracks.tracks:
            return None, "no face was found in its target"
        drawn = face_mask(tracks.main, *target.size).astype(np.uint8) * 255
        return on_canvas(canvas, np.repeat(drawn[..., None], 3, axis=3))[..., 0] / 255, None

    def _packed(
        self, encoded: dict[str, tuple[PairRow, str, str]], left_out: dict[str, str], negative: str
    ) -> LatentIndex:
        wanted = {key for _, *keys in encoded.values() for key in keys} | {negative}
        header = self.pairs.header
        with self.store.packing():
            self.store.pack(wanted, self.settings.shard_mib * 2**20)
            entries, unmasked = {}, {}
            for name, (row, key, text) in encoded.items():
                meta = self.store.meta(key)
                entries[name] = cached_pair(row, key, text, meta)
                if meta["unmasked"] is not None:
                    unmasked[name] = meta["unmasked"]
            index = LatentIndex(
                source=header.name,
                world=header.world,
                licence=header.licence,
                version=self.backbone.version,
                parts=self.parts,
                settings=self.settings.model_dump(mode="json", exclude={"shard_mib"}),
                negative=negative,
                pairs=entries,
                left_out=left_out,
                unmasked=unmasked,
                bytes=size_of(self.store, wanted),
            )
            write_index(self.out, index)
            self.store.clean(wanted)
        return index


def cached_pair(row: PairRow, key: str, text: str, meta: dict[str, Any]) -> CachedPair:
    """What the index says of a pair whose object has ``meta``."""
    return CachedPair(
        key=key,
        text=text,
        shape=tuple(meta["shape"]),
        audio_tokens=meta["tokens"],
        masked=meta["unmasked"] is None,
        prompt=row.prompt,
        language=row.target_language,
        speaker=row.speaker,
        split=row.split,
    )


def size_of(store: Store, keys: set[str]) -> int:
    """Bytes of the shards that hold ``keys``."""
    return sum(store.shard_path(name).stat().st_size for name in {store.shard_of(key) for key in keys})
