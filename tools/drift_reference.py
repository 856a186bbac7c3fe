"""Make the reference that live clips are compared with, from the corpus that a model was trained on.

usage: python tools/drift_reference.py CORPUS PREPARED OUT [--clips N]

CORPUS has the pictures, PREPARED its prepared set (sound and phones). Clips are taken evenly over the training split.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dubflow.atomic import write_json
from dubflow.corpora.manifest import read_manifest
from dubflow.corpora.prepared import PreparedSet
from dubflow.gateway.drift_measuring import Sample, face_of, reference_of
from dubflow.speech.inventory import SILENCE_ID


def samples(corpus: Path, prepared: PreparedSet, most: int) -> Iterator[Sample]:
    rows = {row.id: row for row in read_manifest(corpus)}
    names = [name for name in sorted(prepared) if prepared.info(name).split == "train" and prepared.info(name).phones]
    manifest = read_manifest(corpus)
    for place in np.unique(np.linspace(0, len(names) - 1, most).astype(int)):
        name, info = names[place], prepared.info(names[place])
        arrays = prepared[name]
        yield Sample(
            speaker=info.speaker or name,
            language=info.language or "",
            waveform=arrays["waveform"].astype(np.float32) / 32768,
            phones=int((arrays["phones"] != SILENCE_ID).sum()),
            face_size=face_of(manifest.media_path(rows[name])),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--clips", type=int, default=400)
    asked = parser.parse_args()
    prepared = PreparedSet(asked.prepared)
    found = reference_of(samples(asked.corpus, prepared, asked.clips), prepared.index.corpus, prepared.index.world)
    write_json(asked.out, found.model_dump(mode="json"))
    print(f"{asked.out}: {found.clips} clips, {len(found.voices)} speakers")


if __name__ == "__main__":
    main()
