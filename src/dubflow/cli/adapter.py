"""``dubflow adapter``: LoRA files of LTX-2, between their layouts and into a base."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dubflow.cli.output import DryRun, Json, emit, print_table
from dubflow.errors import WrongUse

if TYPE_CHECKING:
    from rich.console import Console

    from dubflow.incontext.adapter.files import Adapter

app = typer.Typer(help="LoRA files of LTX-2: layouts, metadata, fusing.", no_args_is_help=True)

AdapterFile = Annotated[Path, typer.Argument(help="A LoRA as safetensors, or a folder that peft wrote.")]


@app.callback()
def adapter() -> None:
    """LoRA files of LTX-2: layouts, metadata, fusing."""


@app.command()
def inspect(file: AdapterFile, as_json: Json = False) -> None:
    """What an adapter is: layout, rank, layers, what it was trained for and what nobody recorded."""
    from dubflow.incontext.adapter.files import read_adapter_in

    found, layout = read_adapter_in(file)
    answer = {"file": str(file), "layout": layout, **_described(found)}
    emit(answer, as_json, lambda console: _print(console, answer))


@app.command()
def convert(
    file: AdapterFile,
    out: Annotated[Path, typer.Option(help="The file to be written (.safetensors).")],
    layout: Annotated[str, typer.Option(help="comfyui, diffusers or peft.")] = "comfyui",
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Another layout of the same weights, bit for bit; a stored alpha is folded in."""
    from dubflow.incontext.adapter.files import read_adapter_in, write_adapter
    from dubflow.incontext.adapter.keys import LAYOUTS

    chosen = next((known for known in LAYOUTS if known == layout), None)
    if chosen is None:
        raise WrongUse("cli.unknown_layout", f"There is no layout {layout!r}.", f"Known: {', '.join(LAYOUTS)}.")
    if out.exists():
        raise WrongUse("cli.file_exists", f"{out} exists.", "Name a file that does not exist yet.")
    found, was = read_adapter_in(file)
    if not dry_run:
        write_adapter(out, found, chosen)
    answer = {"out": str(out), "from": was, "to": layout, "written": not dry_run, "tensors": found.tensors}
    line = f"{'Would write' if dry_run else 'Wrote'} {found.tensors} tensors, {was} to {layout}: {out}"
    emit(answer, as_json, lambda console: console.print(line, markup=False, highlight=False))


@app.command()
def fuse(
    base: Annotated[Path, typer.Argument(help="LTX-2: diffusers' folder, its transformer, or a checkpoint file.")],
    adapters: Annotated[list[Path], typer.Argument(help="Adapters to add, one after the other.")],
    out: Annotated[Path, typer.Option(help="Folder of the new transformer; must not exist yet.")],
    strength: Annotated[
        list[float] | None, typer.Option(help="Strength of each adapter, in their order; by default 1.")
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """A transformer with adapters added into its weights, as a folder in diffusers' layout."""
    from dubflow.incontext.adapter.files import read_adapter
    from dubflow.incontext.adapter.fusing import fuse as fuse_into
    from dubflow.incontext.adapter.fusing import plan_fuse

    strengths = strength or [1.0] * len(adapters)
    if len(strengths) != len(adapters):
        raise WrongUse(
            "cli.strengths",
            f"There are {len(adapters)} adapters and {len(strengths)} strengths.",
            "Give --strength once for each adapter, or not at all.",
        )
    weighted = [(read_adapter(path), value) for path, value in zip(adapters, strengths, strict=True)]
    done = plan_fuse(base, weighted) if dry_run else fuse_into(base, weighted, out)
    answer = {
        "out": str(out),
        "base_version": done.version,
        "tensors": done.tensors,
        "changed": done.changed,
        "bytes": done.bytes,
        "left_out": list(done.left_out),
        "files": [str(path) for path in done.files],
        "written": not dry_run,
    }
    line = (
        f"{'Would change' if dry_run else 'Changed'} {done.changed} of {done.tensors} tensors of LTX-2 {done.version}, "
        f"{done.bytes / 1e9:.2f} GB: {out}"
    )
    if done.left_out:
        line += f"\nLeft out, not of the transformer: {', '.join(done.left_out)}"
    emit(answer, as_json, lambda console: console.print(line, markup=False, highlight=False))


def _described(found: Adapter) -> dict[str, Any]:
    branches: dict[str, int] = {}
    for module in found.pairs:
        branch = module.split(".")[2] if module.startswith("transformer_blocks.") else module
        branches[branch] = branches.get(branch, 0) + 1
    return {
        "ranks": list(found.ranks),
        "dtypes": sorted({str(pair.a.dtype).removeprefix("torch.") for pair in found.pairs.values()}),
        "modules": len(found.pairs),
        "tensors": found.tensors,
        "parameters": found.parameters,
        "branches": branches,
        "metadata": found.metadata.model_dump(exclude_none=True),
        "not_recorded": list(found.metadata.missing()),
    }


def _print(console: Console, answer: dict[str, Any]) -> None:
    ranks = ", ".join(map(str, answer["ranks"]))
    console.print(
        f"{answer['layout']} layout, rank {ranks}, {answer['modules']} layers, {answer['tensors']} tensors, "
        f"{answer['parameters']:,} parameters ({', '.join(answer['dtypes'])})",
        markup=False,
        highlight=False,
    )
    print_table(console, "Layers", ("branch", "layers"), list(answer["branches"].items()))
    print_table(console, "Trained for", ("setting", "value"), list(answer["metadata"].items()))
    if answer["not_recorded"]:
        console.print(f"Not recorded: {', '.join(answer['not_recorded'])}", markup=False, highlight=False)
