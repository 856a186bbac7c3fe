"""The step that trains JUST-DUB-IT's adapter."""

from __future__ import annotations

from pathlib import Path

from dubflow.platform.steps.artifacts import digest_of, place, work_folder
from dubflow.platform.steps.tracked import remember_run
from dubflow.platform.steps.training import Figures, mirror_of, on_nodes
from dubflow.platform.steps.verbs import begin, run_verb
from dubflow.platform.training_command import launcher_of


def train_adapter(
    out: str,
    workspace: str,
    pairs: str,
    base: str,
    preset: str,
    start: str,
    steps: int,
    seed: int,
    nodes: int,
    devices: int,
) -> Figures:
    """``dubflow train lora`` into the artifact ``out``; goes on where a lost pod left it.

    Latents are kept in the workspace, apart from the run: another run on the same pairs finds them. ``base`` is
    ``starter`` or a place that all pods see; ``seed`` below 0 and ``steps`` 0 leave the preset's.
    """
    root = begin(workspace)
    data = digest_of(Path(pairs))
    parts = {
        "pairs": data,
        "base": base,
        "start": start,
        "preset": preset,
        "steps": steps,
        "seed": seed,
        "processes": nodes * devices,
    }
    folder = work_folder(root, "train_lora", parts)
    cache = work_folder(root, "latents", {"pairs": data, "base": base, "preset": preset})
    words = ["train", "lora", "--data", pairs, "--base", base, "--out", str(folder), "--preset", preset]
    words += ["--cache", str(cache)]
    options = {"--start": start, "--steps": str(steps or ""), "--seed": str(seed) if seed >= 0 else ""}
    options["--mirror"] = mirror_of(folder)
    words += [word for name, value in options.items() if value for word in (name, value)]
    if nodes * devices > 1:
        words += ["--nodes", str(nodes), "--devices", str(devices)]
        run_verb(*words, "--dry-run")  # what is put wrongly is said at once; torchrun would start it again and again
    if nodes > 1:
        on_nodes(words, nodes, devices)
        answer = run_verb(*words)  # finds it finished, and says what it is
    else:
        answer = run_verb(*words, launcher=launcher_of(nodes, devices))
    place(folder / "model", Path(out))
    remember_run(root, digest_of(folder / "model"), folder)
    numbers = {name: float(answer[name]) for name in ("steps", "pairs", "unmasked", "trained", "wall_s")}
    return Figures({"digest": digest_of(folder / "model"), "stage": "lora", "world": answer["world"]}, numbers)
