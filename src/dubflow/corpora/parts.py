"""A corpus prepared by several machines: each does a part, then one joins what they made."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from dubflow.atomic import atomic_file
from dubflow.corpora.manifest import CorpusManifest
from dubflow.corpora.prepared import read_index
from dubflow.errors import WrongUse
from dubflow.media.digest import sha256_file


@dataclass(frozen=True)
class Part:
    """The ``index``-th (from 0) of ``count`` parts of a corpus.

    Raises:
        WrongUse: ``corpora.bad_part``.
    """

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise WrongUse("corpora.bad_part", f"There is no part {self.index} of {self.count}.", "0/2, 1/2, …")

    @classmethod
    def parse(cls, text: str) -> Part:
        """From ``0/4``, the first of four.

        Raises:
            WrongUse: ``corpora.bad_part``.
        """
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        if found is None:
            raise WrongUse("corpora.bad_part", f"{text!r} names no part.", "0/2 is the first of two.")
        return cls(int(found[1]), int(found[2]))

    def of(self, manifest: CorpusManifest) -> CorpusManifest:
        """Its clips; every clip is in exactly one of the parts, which are of equal size but for one clip."""
        return CorpusManifest(manifest.header, manifest.rows[self.index :: self.count], manifest.root)


def adopt_shards(prepared: Path, out: Path) -> None:
    """Put the shards of the prepared set ``prepared`` into ``out``; which of their clips are wanted shows later.

    Raises:
        BadInput: what :func:`read_index` refuses.
        WrongUse: ``corpora.shard_changed``.
    """
    index = read_index(prepared)
    for name, facts in index.shards.items():
        source, target = (folder / "shards" / f"{name}.safetensors" for folder in (Path(prepared), Path(out)))
        if target.is_file():
            continue
        if sha256_file(source) != facts.sha256:
            raise WrongUse(
                "corpora.shard_changed", f"{source} is not the file of its index.", "Prepare that part again."
            )
        with atomic_file(target) as beside:
            shutil.copyfile(source, beside)
