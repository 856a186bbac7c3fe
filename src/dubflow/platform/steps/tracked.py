"""Which tracked run made what passes between steps, so that cards, verdicts and versions find their run.

The workspace remembers, for the digest of a model, a package or a card, the folder of the training it came from.
"""

from __future__ import annotations

import json
from pathlib import Path

from dubflow.atomic import write_json
from dubflow.errors import BadInput
from dubflow.judging.card.media_list import read_media
from dubflow.platform.pipelines.listening import to_standard_error
from dubflow.platform.steps.verbs import MARK
from dubflow.registry.run_files import RunFiles, attach, files_below, run_of
from dubflow.registry.run_link import RUN_FILE

RUNS = "tracked"
SAMPLES = 3
_LARGEST_SAMPLE = 16 * 2**20


def remember_run(root: Path, digest: str, folder: Path) -> None:
    """What has this digest was made by the run that worked in ``folder``, below the workspace ``root`` or elsewhere."""
    folder, root = Path(folder).resolve(), Path(root).resolve()
    if not (folder / RUN_FILE).is_file():
        return
    named = folder.relative_to(root) if folder.is_relative_to(root) else folder
    write_json(root / RUNS / f"{digest}.json", {"folder": named.as_posix()})


def run_folder(root: Path, digest: str) -> Path | None:
    """The folder of the tracked run that made what has this digest; None where nobody knows."""
    try:
        named = json.loads((Path(root) / RUNS / f"{digest}.json").read_text(encoding="utf-8"))["folder"]
        folder = Path(root) / str(named)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return folder if run_of(folder) is not None else None


def pass_on(root: Path, of: str, to: str, beside: Path | None = None) -> Path | None:
    """The run of the digest ``of`` is that of ``to`` as well; returns its folder.

    ``beside`` is a folder that is looked into where the workspace knows nothing: a stored model lies in its run's.
    """
    folder = run_folder(root, of)
    if folder is None and beside is not None and run_of(beside) is not None:
        folder = Path(beside)
    if folder is not None:
        remember_run(root, to, folder)
    return folder


def keep_card(folder: Path, card: Path, numbers: dict[str, float], benchmark: str) -> bool:
    """The score card, its figures, and some of the clips it judged, with the run that worked in ``folder``."""
    files = [(card / name, "card") for name in ("card.json", "rows.parquet")]
    files += [(clip, "samples") for clip in _samples(card)]
    named = {f"card/{name}": value for name, value in numbers.items()}
    return attach(folder, RunFiles(tuple(files), named, {"card.benchmark": benchmark}), _say)


def keep_verdict(folder: Path, decided: Path, decision: str, digest: str) -> bool:
    """The verdict, and the evidence page with the clips that it plays, with the run that worked in ``folder``."""
    files = ((decided / "verdict.json", "verdict"), *files_below(decided / "page", "evidence"))
    tags = {"gate.decision": decision, "gate.verdict": digest}
    return attach(folder, RunFiles(files, tags=tags), _say)


def _samples(card: Path) -> list[Path]:
    """The first dubs of a card that are small enough to be looked at in passing."""
    try:
        clips = [media.clip for _, media in sorted(read_media(card).items()) if media.clip is not None]
    except BadInput:
        return []
    return [clip for clip in clips if clip.is_file() and clip.stat().st_size <= _LARGEST_SAMPLE][:SAMPLES]


def _say(line: str) -> None:
    to_standard_error(f"{MARK} {line}")
