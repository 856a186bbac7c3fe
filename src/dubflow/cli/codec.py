"""``dubflow codec``: speech into tokens and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dubflow.cli.output import Json, emit, print_table

if TYPE_CHECKING:
    from rich.console import Console

    from dubflow.speech.codecs.world.storage import Card

app = typer.Typer(help="Speech into tokens and back.", no_args_is_help=True)
convert = typer.Typer(help="Published checkpoints into a codec folder.", no_args_is_help=True)
app.add_typer(convert, name="convert")

CodecFolder = Annotated[Path, typer.Option("--codec", help="Folder of a fitted or converted codec.")]


@app.callback()
def codec() -> None:
    """Speech into tokens and back."""


@convert.callback()
def converts() -> None:
    """Published checkpoints into a codec folder."""


@app.command()
def fit(
    corpus: Annotated[Path, typer.Argument(help="A corpus folder; only its sound is used.")],
    out: Annotated[Path, typer.Option(help="Folder of the codec; must not exist yet.")],
    seed: Annotated[int, typer.Option(min=0, help="Same corpus and seed, same codec.")] = 0,
    minutes: Annotated[float, typer.Option(min=1.0, help="Speech to use at most, spread over the corpus.")] = 12.0,
    as_json: Json = False,
) -> None:
    """Fit the embedded codec (WORLD) to a corpus: to its train split, where it has splits.

    About two minutes for ten minutes of speech on one core. Some clips are kept out and show what the codec loses.
    """
    from dubflow.corpora.manifest import read_manifest
    from dubflow.corpora.splits import training_rows
    from dubflow.speech.codecs.world.corpus_fit import Source, fit_sources

    manifest = read_manifest(corpus)
    sources = [
        Source(
            path=manifest.media_path(row),
            speaker=row.speaker or "",
            language=row.language or "",
            seconds=row.duration,
        )
        for row in training_rows(manifest)
    ]
    card = fit_sources(sources, out, corpus=manifest.header.name, seed=seed, minutes=minutes)
    emit({"out": str(out), **card.model_dump(mode="json")}, as_json, lambda console: _print_card(console, card, out))


@app.command()
def encode(
    audio: Annotated[Path, typer.Argument(help="Any file with sound.")],
    codec: CodecFolder,
    out: Annotated[Path, typer.Option(help="File of tokens (.npz).")],
    as_json: Json = False,
) -> None:
    """Sound into tokens.

    Arrays prosody [1, L], content [2, L], acoustic [3, L] and speaker [D]; L = ceil(samples at 16 kHz / 200).
    """
    from dubflow.media.decode import read_audio
    from dubflow.speech.codecs.stored import load_codec

    coder = load_codec(codec)
    tokens = coder.encode(read_audio(audio))
    tokens.save_npz(out)
    result = {"out": str(out), "codec": coder.id, "tokens": len(tokens), "speaker": int(tokens.speaker.size)}
    line = f"{len(tokens)} token times ({len(tokens) / 80:.2f} s) by {coder.id}: {out}"
    emit(result, as_json, lambda console: console.print(line, markup=False, highlight=False))


@app.command()
def decode(
    tokens: Annotated[Path, typer.Argument(help="File of tokens (.npz).")],
    codec: CodecFolder,
    out: Annotated[Path, typer.Option(help="Sound (.wav), 16 kHz mono.")],
    as_json: Json = False,
) -> None:
    """Tokens into sound, 200 samples at 16 kHz for each token time."""
    from dubflow.media.encode import write_audio
    from dubflow.speech.codecs import load_npz
    from dubflow.speech.codecs.stored import load_codec

    coder = load_codec(codec)
    waveform = coder.decode(load_npz(tokens))
    write_audio(out, waveform, 16_000)
    result = {"out": str(out), "codec": coder.id, "samples": int(waveform.size), "sample_rate": 16_000}
    line = f"{waveform.size} samples ({waveform.size / 16_000:.2f} s) by {coder.id}: {out}"
    emit(result, as_json, lambda console: console.print(line, markup=False, highlight=False))


@convert.command("facodec")
def convert_facodec(
    encoder: Annotated[Path, typer.Option(help="The published ns3_facodec_encoder.bin.")],
    decoder: Annotated[Path, typer.Option(help="The published ns3_facodec_decoder.bin.")],
    out: Annotated[Path, typer.Option(help="Folder of the codec; must not exist yet.")],
    as_json: Json = False,
) -> None:
    """FACodec's published checkpoints into safetensors, checked strictly."""
    from dubflow.speech.codecs.facodec import convert_checkpoints, load_facodec

    folder = convert_checkpoints(encoder, decoder, out)
    name = load_facodec(folder).id
    emit(
        {"out": str(folder), "codec": name},
        as_json,
        lambda console: console.print(f"{name}: {folder}", markup=False, highlight=False),
    )


def _print_card(console: Console, card: Card, out: Path) -> None:
    origin = card.origin
    console.print(
        f"{card.id}: {origin.recordings} recordings of {origin.speakers} speakers, {origin.seconds:.0f} s, "
        f"{', '.join(origin.languages)}",
        markup=False,
        highlight=False,
    )
    rows = [(one.stage, one.mcd_db, one.level_db, one.pitch_cents, one.voicing) for one in card.losses]
    print_table(console, "Loss on clips kept out", ("books", "MCD dB", "level dB", "cents", "voicing"), rows)
    console.print(f"Codec: {out}", markup=False, highlight=False)
