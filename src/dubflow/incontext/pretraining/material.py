"""What a base is trained on: clips of the embedded world, drawn and spoken for it.

Three corpora in one folder, each a corpus like any other (:mod:`dubflow.corpora.manifest`):

============ ======================================================================
``voices``   sound alone: one sentence, or two with a switch of language
``heads``    a drawn head that says one sentence
``switches`` a drawn head that says one sentence in each of two languages
============ ======================================================================

All sentences are GRID commands, which exist in every language.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from dubflow.corpora.manifest import ClipRow, CorpusHeader, CorpusManifest, read_manifest
from dubflow.incontext.pairs.prompts.forms import compact_look, compact_segment
from dubflow.incontext.pretraining.guide import SaidWord
from dubflow.incontext.pretraining.settings import MaterialSettings, Part
from dubflow.progress import Progress
from dubflow.talkers.render import render_plans
from dubflow.talkers.scenes import ClipPlan, person_of, plan_corpus
from dubflow.talkers.settings import TalkerSettings
from dubflow.training.seeds import seed_of

PARTS: tuple[Part, ...] = get_args(Part)
_SWITCHING_VOICES = 0.2
_CRF = 10


@dataclass(frozen=True)
class MaterialClip:
    """A clip to train on.

    Attributes:
        id: unique within the material. part: where it belongs. path: of its file. prompt: what a model is told of it.
        held: whether its person is kept for validation. words: where each word lies in time and in the prompt.
    """

    id: str
    part: Part
    path: Path
    prompt: str
    held: bool
    words: tuple[SaidWord, ...]


def plans_of(part: Part, settings: MaterialSettings) -> list[ClipPlan]:
    """What is drawn or spoken for ``part``; nobody has a voice that is to be held out."""
    seed = 3 * settings.seed + PARTS.index(part)  # each corpus has people of its own
    talkers = TalkerSettings(
        size=settings.size,
        crf=_CRF,
        grid_share=1.0,
        switch_gap_s=settings.switch_gap_s,
        event_share=0.0 if part == "voices" else settings.event_share,
        voices_only=part == "voices",
        mix={
            "voices": {"plain": 1 - _SWITCHING_VOICES, "language_switch": _SWITCHING_VOICES},
            "heads": settings.mix,
            "switches": {"language_switch": 1.0},
        }[part],
    )
    people, clips = {
        "voices": (settings.voices_people, settings.voices_clips),
        "heads": (settings.heads_people, settings.heads_clips),
        "switches": (settings.switch_people, 1),
    }[part]
    plans = plan_corpus(identities=people, clips=clips, languages=settings.languages, seed=seed, settings=talkers)
    return [plan for plan in plans if plan.people[0].voice.variant not in settings.held_out_voices]


def make_material(folder: Path, settings: MaterialSettings, progress: Progress | None = None) -> None:
    """Draw and speak what is missing in ``folder``.

    Raises:
        WrongUse: ``talkers.other_corpus`` where ``folder`` holds material of other settings.
    """
    for part in PARTS:
        header = CorpusHeader(
            name=f"base-{part}",
            layout="talkers",
            world="embedded",
            clips=0,
            made_with={"part": part, "settings": settings.model_dump(mode="json")},
        )
        render_plans(folder / part, plans_of(part, settings), header, progress=progress)


def read_material(folder: Path) -> list[MaterialClip]:
    """All clips of a material folder, corpus by corpus, in the order of their ids.

    Raises:
        BadInput: as :func:`dubflow.corpora.manifest.read_manifest`.
    """
    return [clip for part in PARTS for clip in _clips(part, read_manifest(folder / part))]


def _clips(part: Part, corpus: CorpusManifest) -> list[MaterialClip]:
    made_with = MaterialSettings.model_validate(corpus.header.made_with["settings"])
    seed = 3 * made_with.seed + PARTS.index(part)
    clips = []
    for row in corpus.rows:
        prompt = prompt_of(row, seed)
        clips.append(
            MaterialClip(
                id=f"{part}/{row.id}",
                part=part,
                path=corpus.root / row.path,
                prompt=prompt,
                held=row.split in ("val", "test"),
                words=said_words(row, prompt),
            )
        )
    return clips


def said_words(row: ClipRow, prompt: str) -> tuple[SaidWord, ...]:
    """Where each word of a clip lies in time and in its prompt; one that the prompt spells otherwise is left out."""
    found = []
    place = prompt.find('"')
    for word in row.words:
        first = prompt.find(word.label, place)
        if first >= 0:
            place = first + len(word.label)
            found.append(SaidWord(word.start, word.end, first, place))
    return tuple(found)


def prompt_of(row: ClipRow, seed: int) -> str:
    """What a model is told of a clip, in the compact form: who speaks, and what, with times where languages switch."""
    assert row.speaker is not None
    presentation = person_of(int(row.speaker[1:]) - 1, seed).presentation
    # Who dubs does not say who speaks: a third of the clips is told so.
    untold = seed_of("untold", row.id) % 3 == 0
    return clip_prompt("person" if untold else "woman" if presentation == "feminine" else "man", _said(row))


def clip_prompt(kind: str, segments: Sequence[str]) -> str:
    """A prompt of the compact form from its segments."""
    return f"{compact_look(kind)}. {' | '.join(segments)}"


def _said(row: ClipRow) -> list[str]:
    if len(row.segments) < 2:
        assert row.transcript is not None
        assert row.language is not None
        return [compact_segment(row.language, row.transcript)]
    return [compact_segment(one.language or "", one.text or "", one.start, one.end) for one in row.segments]
