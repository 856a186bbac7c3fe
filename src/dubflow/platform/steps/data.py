"""Steps that make data: corpora, the codec, prepared sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dubflow.platform.steps.artifacts import digest_of, place, work_folder
from dubflow.platform.steps.verbs import begin, run_verb


def render(
    out: str,
    workspace: str,
    preset: str,
    identities: int,
    clips: int,
    languages: str,
    seed: int,
    *,
    voices_only: bool,
) -> dict[str, Any]:
    """``dubflow talkers render`` into the artifact ``out``; returns its facts."""
    root = begin(workspace)
    options: dict[str, str | int] = {
        "preset": preset,
        "identities": identities,
        "clips": clips,
        "languages": languages,
        "seed": seed,
    }
    folder = work_folder(root, "voices", options) if voices_only else talkers_folder(root, options)
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    if voices_only:
        words.append("--voices-only")
    answer = run_verb("talkers", "render", "--out", str(folder), *words)
    place(folder, Path(out))
    return {"digest": digest_of(folder), "world": "embedded", "clips": answer["clips"]}


def talkers_folder(root: Path, options: Mapping[str, str | int]) -> Path:
    """Where the corpus of these options lies in the workspace."""
    return work_folder(root, "talkers", options)


def import_layout(out: str, workspace: str, layout: str, root: str) -> dict[str, Any]:
    """``dubflow corpus import`` into the artifact ``out``; returns its facts."""
    folder = work_folder(begin(workspace), "imported", {"layout": layout, "root": root})
    run_verb("corpus", "import", layout, root, "--out", str(folder))
    place(folder, Path(out))
    return {"digest": digest_of(folder), "world": "real", "layout": layout}


def codec_for(out: str, workspace: str, corpus: str, start: str, minutes: float, seed: int) -> dict[str, Any]:
    """The codec of the stored model ``start``, or one fitted to the corpus, as the artifact ``out``.

    Raises:
        BadInput: what ``find_model`` and fitting refuse.
    """
    root = begin(workspace)
    if start:
        from dubflow.diflow.stored import CODEC, find_model

        folder = find_model(start) / CODEC
    else:
        parts = {"corpus": digest_of(Path(corpus)), "minutes": minutes, "seed": seed}
        folder = work_folder(root, "codec", parts)
        if not folder.is_dir():  # written whole, and never a second time
            run_verb("codec", "fit", corpus, "--out", str(folder), "--seed", str(seed), "--minutes", f"{minutes:g}")
    place(folder, Path(out))
    return {"digest": digest_of(folder), "from": start or "fitted"}


def prepare_set(
    out: str, workspace: str, corpus: str, codec: str, preset: str, part: str, earlier: Sequence[str]
) -> dict[str, Any]:
    """``dubflow prepare``, or a part of it, as the artifact ``out``; clips that cannot be prepared are counted."""
    root = begin(workspace)
    parts = {"corpus": digest_of(Path(corpus)), "codec": digest_of(Path(codec)), "preset": preset, "part": part}
    folder = work_folder(root, "prepared", parts)
    words = ["prepare", corpus, "--out", str(folder), "--preset", preset, "--codec", codec]
    words += ["--part", part] if part else []
    words += [word for one in earlier for word in ("--earlier", one)]
    answer = run_verb(*words, fine=(0, 3))
    place(folder, Path(out))
    return {"digest": digest_of(folder), "clips": answer["clips"], "failed": answer["failed"], "part": part or "all"}
