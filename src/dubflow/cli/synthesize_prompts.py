"""``dubflow synthesize prompts``: prompts of clips that change language, into a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dubflow.cli.output import DryRun, Json, emit, print_table

if TYPE_CHECKING:
    from rich.console import Console


def prompts(
    out: Annotated[Path, typer.Option(help="File to write, .jsonl; `synthesize pairs --prompts` reads it.")],
    preset: Annotated[str, typer.Option(help="A shipped preset or a YAML file.")] = "tiny",
    count: Annotated[int, typer.Option(min=1, help="How many prompts.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of the grammar; of a model, the languages it is asked for.")] = 0,
    chat: Annotated[
        str | None,
        typer.Option(
            help="A YAML file or preset whose section `incontext.chat` names a language model that writes them; its "
            "key is read from DUBFLOW_CHAT_KEY. By default the built-in grammar writes."
        ),
    ] = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Prompts for the data engine: two segments in two languages with a silent pause, each with its translation.

    Every prompt is checked and stands once, whoever wrote it. A model may give fewer than asked for: the report says
    why. With --dry-run prompts of the grammar are drawn and not written, and no model is asked.
    """
    from dubflow.config import load_preset
    from dubflow.incontext.pairs.prompts.files import write_prompts
    from dubflow.incontext.pairs.prompts.grammar import draw_prompts
    from dubflow.incontext.pairs.prompts.sets import gathered
    from dubflow.incontext.pairs.prompts.settings import SECTION, GrammarSettings

    grammar = load_preset(preset, SECTION, GrammarSettings)
    answer: dict[str, Any] = {"out": str(out), "written": not dry_run}
    if chat is None:
        found = draw_prompts(grammar, seed, count)
    elif dry_run:
        found = ()
    else:
        from dubflow.incontext.pairs.chat import ChatSettings, HttpChat
        from dubflow.incontext.pairs.prompts.language_model import WriterSettings, written_prompts

        writer = WriterSettings(languages=grammar.languages)
        with HttpChat(load_preset(chat, ChatSettings.section, ChatSettings)) as model:
            found, asked = written_prompts(model, count, seed, writer)
            answer["model"] = {"id": model.id, "calls": model.calls, **asked.model_dump()}
    usable, report = gathered(found)
    answer["prompts"] = report.model_dump()
    if not dry_run:
        write_prompts(out, usable)
    emit(answer, as_json, lambda console: _print(console, answer))


def _print(console: Console, answer: dict[str, Any]) -> None:
    told, model = answer["prompts"], answer.get("model")
    if model is not None and model["refused"]:
        print_table(console, "Refused answers and prompts", ("reason", "how many"), sorted(model["refused"].items()))
    if model is not None and model["ended"] != "complete":
        console.print(f"The asking ended early ({model['ended']}) after {model['calls']} calls.", highlight=False)
    where = answer["out"] if answer["written"] else "nothing was written (--dry-run)"
    console.print(f"{told['kept']} prompts, {told['seconds']:.0f} s of clips: {where}", markup=False, highlight=False)
