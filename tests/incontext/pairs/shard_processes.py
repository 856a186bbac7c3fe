"""Runs of the data engine in processes of their own, some of which die."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from dubflow.corpora.parts import Part

FORKS = get_context("forkserver")
# What a base imports when it is built: once for all of these processes.
FORKS.set_forkserver_preload(
    ["dubflow.incontext.pairs.shards", "diffusers.pipelines.ltx2", "transformers.models.gemma3.modeling_gemma3"]
)


def run(out: Path, part: Part, death: tuple[str, int] | None) -> None:
    """A run in this process. ``death``: ("clip", n), after half of the n-th file; ("item", n), when the n-th item is
    about to appear; ("inpaint", n), before the n-th denoising. Items that appear are noted in ``written.txt``."""
    from dubflow.incontext.pairs import engine_items, shards
    from incontext.pairs.engine_room import Louder, engine, prompts

    out.mkdir(parents=True, exist_ok=True)
    if death is not None:
        _will_die(*death)
    write = engine_items.write_item

    def noted(*args: Any) -> Any:
        item = write(*args)
        with open(out / "written.txt", "a") as stream:
            stream.write(f"{item.key}\n")
        return item

    shards.write_item = noted
    shards.synthesize(engine(quality=Louder(), augment=False, steps=1), prompts(3), out, 5, part=part)


def _will_die(where: str, number: int) -> None:
    from dubflow.incontext.pairs import engine, engine_items

    places: dict[str, tuple[Any, str]] = {
        "clip": (engine_items, "write_clip"),
        "item": (engine_items, "write_json"),
        "inpaint": (engine, "inpaint_latents"),
    }
    place, name = places[where]
    original, count = getattr(place, name), itertools.count(1)

    def dying(*args: Any, **kwargs: Any) -> Any:
        last = next(count) == number
        if last and where == "inpaint":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = original(*args, **kwargs)
        if last:
            if where == "clip":
                os.truncate(args[0], Path(args[0]).stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    setattr(place, name, dying)


def finished(out: Path, parts: Sequence[Part], death: tuple[str, int] | None = None) -> list[int]:
    """Runs of ``parts`` at once, the first of which dies; their exit codes."""
    running = []
    for place, part in enumerate(parts):
        process = FORKS.Process(target=run, args=(out, part, None if place else death))
        process.start()
        running.append(process)
    for process in running:
        process.join(300)
    return [process.exitcode if process.exitcode is not None else -1 for process in running]
