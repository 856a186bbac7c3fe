"""Dubs real GRID clips (lips of real faces) with a stored model, and writes what there is to look at and listen to.

    python benchmarks/diflow_real_clips.py FOLDER [FOLDER ...] --model DUBBER/model --out DIR [--nfe 16]

FOLDERs hold clips and ``.align`` files named by GRID's codes. Each clip says its own sentence again, in the voice of
another clip of its speaker where there is one, else of another speaker's clip. DIR gets the dubbed clips, their sound
as WAV, and a picture of both spectrograms each. A model of the embedded world has never seen a real face or heard a
real voice: its figures here say how far that carries, not how good the method is.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dubflow.corpora.layouts import grid
from dubflow.corpora.result import ImportResult
from dubflow.diflow.pictures import MelPanel, draw_mels
from dubflow.dubbing.diflow_engine import DiflowEngine
from dubflow.dubbing.jobs import DubReport, DubTask, dub_all
from dubflow.dubbing.request import DubOptions, DubRequest, SegmentText
from dubflow.dubbing.result import DubResult
from dubflow.judging.bootstrap import bootstrap, ratio
from dubflow.judging.content import word_error_rate
from dubflow.judging.edges import EdgeError, Edges, edge_error, speech_edges
from dubflow.judging.grid_recogniser import hear_commands
from dubflow.judging.voice import CodecSpeaker, similarities
from dubflow.media.decode import read_audio
from dubflow.media.encode import write_audio
from dubflow.progress import reporting
from dubflow.speech.durations import FRAME_RATE, SAMPLE_RATE
from dubflow.speech.intervals import Interval
from dubflow.speech.mel import log_mel

FRAME_S = 1 / FRAME_RATE


@dataclass(frozen=True)
class RealClip:
    """A clip, what is said in it, and the clip that lends the voice."""

    name: str
    path: Path
    text: str
    speaker: str | None
    words: tuple[Interval, ...]
    reference: Path
    own_voice: bool

    @property
    def edges(self) -> Edges | None:
        """By the corpus's own alignment, where there is one."""
        return Edges(self.words[0].start, self.words[-1].end) if self.words else None


def real_clips(folders: Sequence[Path]) -> list[RealClip]:
    """All clips of the folders, each with another one as its reference."""
    found: list[tuple[Path, ImportResult]] = [(folder, grid.read(folder)) for folder in folders]
    rows = [(folder / row.path, row) for folder, result in found for row in result.rows]
    clips = []
    for number, (path, row) in enumerate(rows):
        others = [*rows[number + 1 :], *rows[:number]]
        same = [other for other, their in others if row.speaker is not None and their.speaker == row.speaker]
        reference = same[0] if same else others[0][0]
        text = str(row.transcript)
        clips.append(RealClip(path.stem, path, text, row.speaker, row.words, reference, bool(same)))
    return clips


def dubbed(clips: Sequence[RealClip], engine: DiflowEngine, out: Path, options: DubOptions) -> DubReport:
    """Every clip through the dubbing room, as ``dubflow dub`` does it; finished ones are found."""
    tasks = []
    for clip in clips:
        request = DubRequest(
            clip=clip.path,
            segments=(SegmentText(text=clip.text),),
            language="en",
            reference=str(clip.reference),
            options=options,
        )
        tasks.append(DubTask(request, out / f"{clip.name}.mp4"))
    with reporting("dub", len(tasks), "clips") as progress:
        return dub_all(tasks, engine, progress)


def picture(clip: RealClip, true: NDArray[np.float32], said: NDArray[np.float32], out: Path) -> None:
    """Both spectrograms, with the words where the corpus times them."""
    draw_mels(
        out / f"{clip.name}.png",
        [MelPanel("recording", log_mel(true), clip.words), MelPanel("dubbed", log_mel(said), clip.words)],
        title=f"{clip.name}: {clip.text} (below: spoken by a model)",
        world="real",
    )


def milliseconds(error: EdgeError | None) -> str:
    """Start and end, signed."""
    return "–" if error is None else f"{1000 * error.start:+.0f}, {1000 * error.end:+.0f}"


def row_of(
    clip: RealClip,
    result: DubResult,
    heard: str,
    found: tuple[Edges | None, Edges | None],
) -> tuple[str, EdgeError | None, EdgeError | None]:
    """The clip's line, and its edges against alignment and recording."""
    said, true = found
    to_align = edge_error(said, clip.edges) if said and clip.edges else None
    to_sound = edge_error(said, true) if said and true else None
    segment = result.segments[0]
    cells = [
        clip.name,
        clip.speaker or "?",
        clip.reference.stem + ("" if clip.own_voice else " (another speaker)"),
        heard or "(nothing)",
        milliseconds(to_align),
        milliseconds(to_sound),
        f"{1000 * result.duration_error_s:.1f}",
        f"{100 * segment.face_found:.0f} %",
    ]
    return "| " + " | ".join(cells) + " |", to_align, to_sound


def share_in_time(errors: Sequence[EdgeError | None]) -> str:
    """Share within a frame of the clips for which it can be said."""
    known = [error for error in errors if error is not None]
    return f"{sum(error.within(FRAME_S) for error in known)} of {len(known)}"


def main() -> None:
    """Dub, judge, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--model", required=True, help="stored model of stage 2, or starter")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--nfe", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--temperature", type=float, default=1.0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    clips = real_clips(options.folders)
    engine = DiflowEngine.open(options.model)
    codec = engine.model.codec()
    asked = DubOptions(steps=options.nfe, seed=options.seed, temperature=options.temperature)
    report = dubbed(clips, engine, options.out, asked)
    results = {result.out.stem: result for result in report.results}
    done = [clip for clip in clips if clip.name in results]
    print(f"{len(done)} of {len(clips)} real GRID clips dubbed by {engine.id}, a model of the {engine.world} world")
    for failure in report.failures:
        print(f"FAILED {failure.clip}: {failure.reason} [{failure.code}]")
    if not done:
        raise SystemExit(3)

    true = [read_audio(clip.path, SAMPLE_RATE) for clip in done]
    said = [read_audio(results[clip.name].out, SAMPLE_RATE) for clip in done]
    through = [codec.decode(codec.encode(wave)) for wave in true]
    for clip, before, after in zip(done, true, said, strict=True):
        write_audio(options.out / f"{clip.name}.wav", after, SAMPLE_RATE)
        picture(clip, before, after, options.out)

    heard = {name: hear_commands(waves) for name, waves in (("true", true), ("codec", through), ("dubbed", said))}
    print("\n| clip | speaker | voice of | heard | edges to .align, ms | to the recording's | length, ms | face |")
    print("|---" * 8 + "|")
    to_align, to_sound = [], []
    for clip, words, before, after in zip(done, heard["dubbed"], true, said, strict=True):
        found = (speech_edges(after), speech_edges(before))
        line, *errors = row_of(clip, results[clip.name], words, found)
        print(line)
        to_align.append(errors[0])
        to_sound.append(errors[1])
    print("\n| | WER (GRID grammar) |\n|---|---|")
    texts = [clip.text for clip in done]
    for name, title in (("true", "recording"), ("codec", "codec resynthesis"), ("dubbed", "dubbed")):
        each = [word_error_rate([text], [words]) for text, words in zip(texts, heard[name], strict=True)]
        wer = bootstrap(np.array([[one.errors, one.reference] for one in each], dtype=float), ratio)
        print(f"| {title} | {100 * wer.value:.1f} % [{100 * wer.low:.1f}, {100 * wer.high:.1f}] |")
    print(
        f"\nBoth edges within a frame: of .align {share_in_time(to_align)}, of the recording {share_in_time(to_sound)}"
    )
    aligned = [
        edge_error(edges, clip.edges) if (edges := speech_edges(wave)) and clip.edges else None
        for clip, wave in zip(done, true, strict=True)
    ]
    own = np.median([(error.start, error.end) for error in aligned if error is not None] or [(np.nan, np.nan)], axis=0)
    print(f"The recordings' own edges are {1000 * own[0]:+.0f} and {1000 * own[1]:+.0f} ms from .align (medians)")
    encoder = CodecSpeaker(codec)
    voices = np.stack([encoder.embed(read_audio(clip.reference, SAMPLE_RATE)) for clip in done])
    like = np.diag(similarities(np.stack([encoder.embed(wave) for wave in said]), voices))
    print(f"Cosine to the reference by the codec's own speaker vectors: median {np.median(like):.2f}")
    if report.failures:
        raise SystemExit(3)


if __name__ == "__main__":
    main()
