"""The prepared set: features and tokens of a corpus, as training reads them.

On disk: ``index.json`` (which clip lies in which shard, how long it is, what failed and why) beside ``shards/``. The
index is written last and whole, so a folder with an index is complete. Arrays of a clip with F frames at 25 a second
and ``L = ceil(16 F / 5)`` tokens (each may be absent; ``reasons`` says why):

==================  ==============  ====================================================================
``lip``             [F, 512]        lip features of the main face
``face``            [F, 256]        its face features
``mouth_opening``   [F] float32     inner-lip gap / distance of the outer eye corners; NaN where no face
``mouth_width``     [F] float32     likewise
``face_found``      [F] bool        frames in which the face was really found
``phones``          [n] int64       ids of the phoneme inventory, silence included where times are known
``stress``          [n] int64       0 none, 1 primary, 2 secondary
``frame_durations`` [n] int64       frames of each phone; their sum is F
``token_durations`` [n] int64       tokens of each phone; their sum is L
``pitch``           [L] float32     Hz at the middle of each token, 0 where unvoiced
``energy``          [L] float32     energy there
``waveform``        [640 F] int16   16 kHz mono
``lip_crops``       [F, 96, 96]     uint8 grey
``face_crops``      [F, S, S, 3]    uint8
``prosody``         [1, L] int16    codec tokens; with them ``content`` [2, L], ``acoustic`` [3, L],
                                    ``speaker`` [D] float32
==================  ==============  ====================================================================
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray
from pydantic import Field, ValidationError

from dubflow.atomic import write_json
from dubflow.config import Strict
from dubflow.corpora.cache import Shard
from dubflow.corpora.findings import Finding
from dubflow.corpora.manifest import Split
from dubflow.errors import BadInput
from dubflow.media.digest import sha256_file

FORMAT = "dubflow.prepared/1"
INDEX = "index.json"


class PreparedClip(Strict):
    """One clip of the index."""

    key: str = Field(pattern=r"^[0-9a-f]{64}$", description="Digest of all that its arrays depend on.")
    shard: str = Field(description="Name of the file in shards/ that holds it.")
    clip_sha256: str
    frames: int = Field(gt=0, description="F, at 25 frames a second.")
    tokens: int = Field(gt=0, description="L, at 80 tokens a second.")
    phones: int = Field(ge=0, description="Number of phones; 0 when unknown.")
    alignment: Literal["given", "built_in", "none"] = Field(description="Where the phone times come from.")
    reasons: tuple[str, ...] = Field(default=(), description="Why something is absent: no_face, no_transcript, …")
    transcript: str | None
    language: str | None
    speaker: str | None
    split: Split | None
    tags: tuple[str, ...] = ()


class FailedClip(Strict):
    """A clip that could not be prepared."""

    key: str
    code: str
    reason: str
    retry: bool = Field(description="Whether another run tries again; not where the material is at fault.")


class ShardFacts(Strict):
    """One file of shards/."""

    sha256: str
    bytes: int


class PreparedIndex(Strict):
    """What stands in ``index.json``."""

    format: Literal["dubflow.prepared/1"] = "dubflow.prepared/1"
    corpus: str
    world: Literal["embedded", "real"]
    transform_version: int
    preset: dict[str, Any] = Field(description="The settings that the arrays depend on.")
    extractors: dict[str, str] = Field(description="Ids of landmarker, lip and face features, and of the phonemes.")
    codec: str = Field(description="Id of the codec, or none.")
    clips: dict[str, PreparedClip]
    failed: dict[str, FailedClip]
    shards: dict[str, ShardFacts]


def read_index(root: Path) -> PreparedIndex:
    """Read ``index.json`` of a prepared folder.

    Raises:
        BadInput: ``corpora.not_prepared``, ``corpora.unknown_format``, ``corpora.bad_index``.
    """
    path = Path(root) / INDEX
    if not path.is_file():
        raise BadInput("corpora.not_prepared", f"{root} has no {INDEX}.", "Run `dubflow prepare` to its end first.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and content.get("format") != FORMAT:
            raise BadInput(
                "corpora.unknown_format",
                f"{path} is of format {content.get('format')!r}; this dubflow reads {FORMAT}.",
                "Prepare the corpus again with this version.",
            )
        return PreparedIndex.model_validate(content)
    except (ValueError, ValidationError) as error:
        raise BadInput("corpora.bad_index", f"{path} is not an index: {error}.", "Prepare the corpus again.") from error


def write_index(root: Path, index: PreparedIndex) -> bool:
    """Write the index unless the same one is there already; returns whether it was written."""
    content = index.model_dump(mode="json")
    path = Path(root) / INDEX
    with contextlib.suppress(OSError, ValueError):  # none there, or one that does not read: it is written
        if json.loads(path.read_text(encoding="utf-8")) == content:
            return False
    write_json(path, content)
    return True


class PreparedSet:
    """Reads a prepared folder; arrays are read-only views of memory-mapped files."""

    def __init__(self, root: Path) -> None:
        """Read the index; shards are opened when they are first needed.

        Raises:
            BadInput: as :func:`read_index`.
        """
        self.root = Path(root)
        self.index = read_index(self.root)
        self._shards: dict[str, Shard] = {}

    def __len__(self) -> int:
        return len(self.index.clips)

    def __iter__(self) -> Iterator[str]:
        return iter(self.index.clips)

    def __contains__(self, clip_id: object) -> bool:
        return clip_id in self.index.clips

    def info(self, clip_id: str) -> PreparedClip:
        """Lengths and facts of a clip, without touching its arrays.

        Raises:
            BadInput: ``corpora.unknown_clip``.
        """
        try:
            return self.index.clips[clip_id]
        except KeyError:
            failed = self.index.failed.get(clip_id)
            why = f"it failed with {failed.code}" if failed else "the corpus had no such clip"
            raise BadInput(
                "corpora.unknown_clip", f"{clip_id!r} is not in {self.root}: {why}.", "Look at its index."
            ) from None

    def __getitem__(self, clip_id: str) -> dict[str, NDArray[Any]]:
        """Arrays of a clip by name; see the module's table.

        Raises:
            BadInput: ``corpora.unknown_clip``, ``corpora.bad_tensor_file`` when a shard is missing or cut short.
        """
        info = self.info(clip_id)
        shard = self._shards.get(info.shard)
        if shard is None:
            shard = self._shards[info.shard] = Shard(self._shard_path(info.shard))
        return shard.arrays(info.key)

    def _shard_path(self, name: str) -> Path:
        return self.root / "shards" / f"{name}.safetensors"

    def verify(self) -> tuple[Finding, ...]:
        """Whether every shard is what the index says and every array as long as it must be; no findings when so."""
        findings = [finding for name in self.index.shards for finding in self._verify_shard(name)]
        bad = {finding.clip for finding in findings}
        for clip_id, info in self.index.clips.items():
            if f"shard {info.shard}" not in bad:
                findings.extend(shape_findings(clip_id, info, self[clip_id]))
        return tuple(findings)

    def _verify_shard(self, name: str) -> Iterator[Finding]:
        path, facts = self._shard_path(name), self.index.shards[name]
        if not path.is_file():
            yield Finding("corpora.shard_missing", "error", f"shard {name}", f"{path} is not there.")
        elif sha256_file(path) != facts.sha256:
            yield Finding("corpora.shard_changed", "error", f"shard {name}", f"{path} is not as it was written.")


_PER_FRAME = ("lip", "face", "mouth_opening", "mouth_width", "face_found", "lip_crops", "face_crops")
_PER_TOKEN = ("pitch", "energy")
_BOOKS = ("prosody", "content", "acoustic")
_SAMPLES_PER_FRAME = 640


def shape_findings(clip_id: str, info: PreparedClip, arrays: dict[str, NDArray[Any]]) -> Iterator[Finding]:
    """Where the arrays of a clip disagree with its F and L, or with each other."""

    def disagrees(name: str, have: int, want: int, code: str) -> Iterator[Finding]:
        if have != want:
            yield Finding(code, "error", clip_id, f"{name} has {have} entries instead of {want}.")

    if info.tokens != -(-16 * info.frames // 5):
        message = f"{info.frames} frames have {-(-16 * info.frames // 5)} tokens, not {info.tokens}."
        yield Finding("corpora.tokens_disagree", "error", clip_id, message)
    for name, array in arrays.items():
        if name in _PER_FRAME:
            yield from disagrees(name, len(array), info.frames, "corpora.frames_disagree")
        elif name in _PER_TOKEN:
            yield from disagrees(name, len(array), info.tokens, "corpora.tokens_disagree")
        elif name in _BOOKS:
            yield from disagrees(name, array.shape[1], info.tokens, "corpora.tokens_disagree")
        elif name == "waveform":
            yield from disagrees(name, len(array), _SAMPLES_PER_FRAME * info.frames, "corpora.samples_disagree")
        elif name in ("phones", "stress", "frame_durations", "token_durations"):
            yield from disagrees(name, len(array), info.phones, "corpora.phones_disagree")
    for name, total in (("frame_durations", info.frames), ("token_durations", info.tokens)):
        if name in arrays:
            yield from disagrees(f"the sum of {name}", int(arrays[name].sum()), total, "corpora.durations_disagree")
