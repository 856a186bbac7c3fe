"""Import a public layout as a corpus folder: ``manifest.json``, ``clips.jsonl``, ``coverage.json``, ``media/``."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Literal

from dubflow.atomic import atomic_file, sweep, write_json
from dubflow.config import Strict
from dubflow.corpora.layouts import LAYOUTS, OPEN_WHAT_THEY_NAME, Reader
from dubflow.corpora.listing import ReadOptions, inside
from dubflow.corpora.manifest import ClipRow, CorpusHeader, CorpusManifest, read_manifest
from dubflow.corpora.result import Coverage, ImportResult
from dubflow.corpora.splits import SplitOptions, assign_splits
from dubflow.errors import BadInput, WrongUse
from dubflow.progress import Progress, Silent

COVERAGE = "coverage.json"
MEDIA = "media"

Placing = Literal["link", "copy"]


class _Lineage(Strict):
    """What an imported corpus says about how it was made."""

    layout: str
    splits: SplitOptions
    placing: Placing
    lists: dict[str, str]


def import_corpus(
    layout: str,
    root: Path,
    out: Path,
    *,
    options: ReadOptions | None = None,
    splits: SplitOptions | None = None,
    placing: Placing = "link",
    name: str | None = None,
    progress: Progress | None = None,
) -> tuple[CorpusManifest, Coverage]:
    """Read ``root`` as ``layout`` and write a corpus folder ``out``.

    Args:
        layout: a name of ``LAYOUTS``.
        root: what the layout is read from, usually a folder.
        options: split lists, media folder, and what to say where the layout does not tell.
        splits: how clips are split; by default as the layout says, else by speaker.
        placing: ``link`` makes symbolic links to the media, ``copy`` copies it.
        name: the corpus's name; by default the root's.

    Returns:
        The written manifest and the account of everything listed.

    Raises:
        WrongUse: ``corpora.unknown_layout``, ``corpora.out_is_root``.
        BadInput: ``corpora.nothing_found`` when not a single clip was found, and whatever the reader refuses.
    """
    root, out = Path(root), Path(out)
    options, splits, progress = options or ReadOptions(), splits or SplitOptions(), progress or Silent()
    reader, folder = _reader(layout), root.parent if root.is_file() else root
    # What lies below the media would be found as a second copy of everything when the same is imported again.
    found_again = layout not in OPEN_WHAT_THEY_NAME and _below(out, options.media_root(folder))
    if found_again or out.resolve() == folder.resolve():
        raise WrongUse("corpora.out_is_root", f"{out} is in what would be read.", "Give another folder as --out.")
    result = reader(root, options, progress)
    out.mkdir(parents=True, exist_ok=True)
    sweep(out)
    write_json(out / COVERAGE, result.coverage.as_dict())
    if not result.rows:
        raise BadInput(
            "corpora.nothing_found",
            f"None of the {result.coverage.listed} clips that {root} lists could be taken.",
            f"{out / COVERAGE} says why for each.",
            **{key: value for key, value in result.coverage.as_dict().items() if key != "problems"},
        )
    rows = _place(result, result.root or root, out, placing)
    lineage = _Lineage(
        layout=layout, splits=splits, placing=placing,
        lists={split: path.name for split, path in sorted(options.lists.items())},
    )  # fmt: skip
    header = CorpusHeader(
        name=name or root.stem,
        layout=layout,
        world=_world(layout, root),
        clips=len(rows),
        made_with=lineage.model_dump(mode="json"),
    )
    manifest = CorpusManifest(header, assign_splits(rows, splits), out)
    manifest.write()
    _sweep_links(out, rows)
    return manifest, result.coverage


def survey_corpus(
    layout: str, root: Path, *, options: ReadOptions | None = None, progress: Progress | None = None
) -> Coverage:
    """What :func:`import_corpus` would find and miss in ``root``; writes nothing.

    Raises:
        WrongUse: ``corpora.unknown_layout``.
        BadInput: whatever the reader refuses.
    """
    return _reader(layout)(Path(root), options or ReadOptions(), progress or Silent()).coverage


def _reader(layout: str) -> Reader:
    if layout not in LAYOUTS:
        raise WrongUse("corpora.unknown_layout", f"There is no layout {layout!r}.", f"Known: {', '.join(LAYOUTS)}.")
    return LAYOUTS[layout]


def _below(folder: Path, above: Path) -> bool:
    return folder.resolve().is_relative_to(above.resolve())


def _world(layout: str, root: Path) -> Literal["embedded", "real"]:
    return read_manifest(root).header.world if layout == "talkers" else "real"


def _place(result: ImportResult, root: Path, out: Path, placing: Placing) -> list[ClipRow]:
    """Rows whose files lie under ``out``."""
    rows = []
    for row in result.rows:
        target = _media_name(row.id, row.path)
        _put(root / row.path, out / target, placing)
        source = dict(row.source)
        if "files" in source:
            source["files"] = {
                role: {**file, "path": _place_extra(root, out, row.id, role, file["path"], placing)}
                for role, file in source["files"].items()
            }
        rows.append(row.model_copy(update={"path": target, "source": {**source, "path": row.path}}))
    return rows


def _place_extra(root: Path, out: Path, clip: str, role: str, path: str, placing: Placing) -> str:
    target = _media_name(f"{clip}.{role}", path)
    _put(root / path, out / target, placing)
    return target


def _media_name(name: str, path: str) -> str:
    return inside(Path(), f"{MEDIA}/{name}{PurePosixPath(path).suffix.lower()}")


def _put(source: Path, target: Path, placing: Placing) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if placing == "copy":
        with atomic_file(target) as part:
            shutil.copyfile(source, part)
        return
    wanted = source.resolve()
    if target.is_symlink() and target.readlink() == wanted:
        return
    # Made beside it and renamed, so that a reader of an earlier import never finds the name gone.
    beside = target.with_name(f".{target.name}.{os.getpid()}.link")
    beside.unlink(missing_ok=True)
    beside.symlink_to(wanted)
    beside.replace(target)


def _sweep_links(out: Path, rows: Iterable[ClipRow]) -> None:
    """Remove links of an earlier import that no row names any more; copies are left to their owner."""
    named = {row.path for row in rows}
    named |= {file["path"] for row in rows for file in row.source.get("files", {}).values()}
    for path in sorted((out / MEDIA).rglob("*")):
        if path.is_symlink() and path.relative_to(out).as_posix() not in named:
            path.unlink()
