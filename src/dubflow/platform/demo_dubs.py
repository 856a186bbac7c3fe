"""Which clips the demo dubs with what, and what it leaves of them to look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dubflow.corpora.manifest import ClipRow, CorpusManifest
from dubflow.diflow.pictures import MelPanel, draw_mels
from dubflow.dubbing.diflow_engine import DiflowEngine
from dubflow.dubbing.jobs import DubReport, DubTask, dub_all
from dubflow.dubbing.request import DubRequest, SegmentText
from dubflow.errors import BadInput
from dubflow.media.decode import read_audio
from dubflow.progress import reporting
from dubflow.speech.durations import SAMPLE_RATE
from dubflow.speech.mel import log_mel


@dataclass(frozen=True)
class ChosenDub:
    """A clip, the text of another of its language, and the voice of somebody else, who does not say that text."""

    clip: ClipRow
    text: ClipRow
    voice: ClipRow

    @property
    def name(self) -> str:
        """Of the output, without suffix."""
        return self.clip.id.replace("/", "-")


def choose_dubs(manifest: CorpusManifest, languages: Sequence[str], count: int) -> list[ChosenDub]:
    """At most ``count`` dubs, each of another of the ``languages``; the same corpus gives the same choice.

    Of a language's plain clips the one is dubbed whose pace another text comes closest to.

    Raises:
        BadInput: ``platform.nothing_to_dub`` when no language has two plain clips.
    """
    plain = [row for row in manifest if "plain" in row.tags and row.frames is not None]
    chosen: list[ChosenDub] = []
    for language in languages:
        pairs = list(_pairs([row for row in plain if row.language == language], plain))
        if pairs and len(chosen) < count:
            chosen.append(min(pairs, key=_change_of_pace))
    if not chosen:
        raise BadInput(
            "platform.nothing_to_dub",
            f"{manifest.root} has no two plain clips of one language and a third in another voice.",
            "Give the demo's preset more clips.",
        )
    return chosen


def _pairs(own: Sequence[ClipRow], plain: Sequence[ClipRow]) -> Iterator[ChosenDub]:
    for clip in own:
        for text in own:
            if text.transcript == clip.transcript:
                continue
            # Somebody of that language where there is one, so that the voice has its sounds.
            voices = [
                row for row in (*own, *plain) if row.speaker != clip.speaker and row.transcript != text.transcript
            ]
            if voices:
                yield ChosenDub(clip, text, voices[0])


def _change_of_pace(pair: ChosenDub) -> tuple[float, str, str]:
    own, new = (max(1, len(row.phones)) for row in (pair.clip, pair.text))
    return max(own / new, new / own), pair.clip.id, pair.text.id


def dub_chosen(chosen: Sequence[ChosenDub], manifest: CorpusManifest, out: Path, model: Path) -> DubReport:
    """Dub into ``out``, figures beside each; what is finished is found."""
    tasks = [
        DubTask(
            DubRequest(
                clip=manifest.media_path(one.clip),
                segments=(SegmentText(text=one.text.transcript or ""),),
                language=one.clip.language or "",
                reference=str(manifest.media_path(one.voice)),
            ),
            out / f"{one.name}.mp4",
        )
        for one in chosen
    ]
    with reporting("dub", len(tasks), "clips") as progress:
        return dub_all(tasks, DiflowEngine.open(model), progress)


def draw_dubs(chosen: Sequence[ChosenDub], report: DubReport, manifest: CorpusManifest, out: Path) -> tuple[Path, ...]:
    """Spectrograms of each dubbed clip under those of its own sound and of the voice; drawn where out of date."""
    pictures = []
    outputs = {result.out.stem: result for result in report.results}
    for one in chosen:
        result = outputs.get(one.name)
        if result is None:
            continue
        path = out / f"{one.name}.png"
        if not path.is_file() or path.stat().st_mtime < result.out.stat().st_mtime:
            sounds = {
                f"before ({one.clip.speaker})": manifest.media_path(one.clip),
                "dubbed": result.out,
                f"voice ({one.voice.speaker})": manifest.media_path(one.voice),
            }
            panels = [MelPanel(name, log_mel(read_audio(sound, SAMPLE_RATE))) for name, sound in sounds.items()]
            draw_mels(path, panels, title=f"{one.clip.id}: {one.text.transcript}", world=result.world)
        pictures.append(path)
    return tuple(pictures)
