"""Does the embedded world show what it means to: face coverage and mouth correlation over a rendered corpus.

    python benchmarks/talkers_quality.py [--corpus DIR | --identities 8 --clips 4 --size 128]

Plain clips carry the promise: MediaPipe finds the face in 99 % of their frames, and the measured mouth opening follows
the intended one at 0.98 (over all frames of a clip; the table gives mean and worst). The other kinds are harder on
purpose and are shown for comparison; figures are of the embedded world.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from dubflow.corpora.manifest import CorpusManifest, read_manifest
from dubflow.progress import reporting
from dubflow.talkers.quality import FaceCheck, correlation, measure_talkers
from dubflow.talkers.render import render_corpus
from dubflow.talkers.settings import KINDS, TalkerSettings

LANGUAGES = ("en", "es", "ru", "fr", "de", "it", "el")


def measured(corpus: CorpusManifest) -> list[FaceCheck]:
    """Checks of all clips, with a report on standard error."""
    checks: list[FaceCheck] = []
    with reporting("look at", len(corpus), "clips") as report:
        for row in corpus:
            checks += measure_talkers([row], corpus)
            report.advance()
    return checks


def table(checks: list[FaceCheck]) -> None:
    """One line a kind."""
    columns = ("faces", "frames", "found %", "corr. mean", "worst clip", "all frames", "slope")
    print(f"{'kind':<16}" + "".join(f"{name:>12}" for name in columns))
    for kind in KINDS:
        of_kind = [check for check in checks if check.kind == kind]
        if not of_kind:
            continue
        seen = [check for check in of_kind if np.isfinite(check.correlation)]
        found, frames = sum(check.found for check in of_kind), sum(check.frames for check in of_kind)
        line = f"{kind:<16}{len(of_kind):>12}{frames:>12}{100 * found / frames:>12.2f}"
        if seen:
            intended = np.concatenate([check.intended for check in seen])
            opening = np.concatenate([check.measured for check in seen])
            each = [check.correlation for check in seen]
            slope = np.polyfit(intended, opening, 1)[0]
            figures = (np.mean(each), min(each), correlation(intended, opening), slope)
            line += "".join(f"{figure:>12.3f}" for figure in figures)
        print(line)
    plain = sorted((check for check in checks if check.kind == "plain"), key=lambda check: check.correlation)
    print("worst plain clips: " + ", ".join(f"{check.clip} {check.correlation:.3f}" for check in plain[:5]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--identities", type=int, default=8)
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--kinds", default="plain", help="comma-separated; 'all' for the default mix")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.corpus
        if folder is None:
            folder = Path(temporary) / "corpus"
            mix = TalkerSettings().mix if options.kinds == "all" else dict.fromkeys(options.kinds.split(","), 1.0)
            settings = TalkerSettings.model_validate({"size": options.size, "mix": mix})
            render_corpus(
                folder,
                identities=options.identities,
                clips=options.clips,
                languages=LANGUAGES,
                seed=1,
                settings=settings,
            )
        table(measured(read_manifest(folder)))


if __name__ == "__main__":
    main()
