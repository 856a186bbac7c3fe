"""The step that makes training pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dubflow.platform.steps.artifacts import digest_of, place, work_folder
from dubflow.platform.steps.training import Figures
from dubflow.platform.steps.verbs import begin, run_verb


def make_pairs(
    out: str,
    workspace: str,
    base: str,
    preset: str,
    prompts: str,
    count: int,
    seed: int,
    shard: str,
    earlier: Sequence[str],
) -> Figures:
    """``dubflow synthesize pairs``, or a shard of it, as the artifact ``out``; goes on where a lost pod left it.

    Args:
        base: ``starter`` or a place that all pods see. prompts: a file that all pods see; empty to draw ``count``.
        earlier: artifacts of shards, whose prompts are not made again.

    Raises:
        BadInput: ``incontext.nothing_kept`` when no pair is left; what the verb says.
    """
    root = begin(workspace)
    given = digest_of(Path(prompts)) if prompts else ""
    parts = {"base": base, "preset": preset, "prompts": given, "count": count, "seed": seed, "shard": shard}
    folder = work_folder(root, "synthesize_pairs", parts)
    words = ["synthesize", "pairs", "--base", base, "--out", str(folder), "--preset", preset]
    words += ["--prompts", prompts] if prompts else ["--count", str(count)]
    words += ["--seed", str(seed)]
    words += ["--shard", shard] if shard else []
    words += [word for one in earlier for word in ("--earlier", one)]
    answer = run_verb(*words)
    place(folder, Path(out))
    numbers = {name: float(answer[name]) for name in ("prompts", "done", "missing", "wall_s")}
    numbers |= {name: float(answer[name]) for name in ("pairs", "kept") if answer[name] is not None}
    numbers |= {f"cost_{name}": float(value) for name, value in answer["cost"].items()}
    facts = {"digest": digest_of(folder), "world": answer["world"], "shard": shard or "all"}
    return Figures(facts, numbers)
