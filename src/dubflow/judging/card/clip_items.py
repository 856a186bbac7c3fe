"""Items of clips: one to be dubbed with its own words, one to be dubbed into another language.

Two tasks, told apart by ``facts["task"]``. *Own text* (DiFlowDubber, section 4.1): the clip is dubbed with its own
words and is its own reference; in Setting 2.0 the voice comes from another clip of the speaker, in Setting 1.0 (an
oracle) from the clip itself. *Translation* (JUST-DUB-IT, A.2): the words are those of a translation, the voice is the
clip's own, and there is no reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from dubflow.corpora.manifest import ClipRow
from dubflow.corpora.splits import speakers_of
from dubflow.judging.card.items import BenchmarkItem, ItemFile
from dubflow.judging.card.rows import Tags

Task = Literal["own_text", "translation"]
DIFFICULTIES: Final = ("profile", "occluded", "low_light", "two_speakers", "non_human", "no_face")
"""Tags of a clip by which it counts as difficult, the first that it has; a clip without any is ``standard``."""
SHORT_S: Final = 3.0
LONG_S: Final = 4.0


def own_text_item(
    row: ClipRow, voice: ClipRow, transcript: str, *, prefix: str = "", facts: Mapping[str, Any] | None = None
) -> BenchmarkItem:
    """The clip is to be dubbed with its own words; ``voice`` is the clip that lends the voice (itself: Setting 1.0).

    Args:
        prefix: of the media's paths, for a benchmark that lies above the corpus. facts: more facts of the item.
    """
    oracle = voice.id == row.id
    setting: dict[str, Any] = {"setting": "1.0", "oracle": True} if oracle else {"setting": "2.0"}
    return BenchmarkItem(
        id=row.id,
        source=_file(row, prefix),
        reference=_file(row, prefix),
        voice=_file(voice, prefix),
        transcript=transcript,
        language=row.language,
        source_language=row.language,
        tags=_tags(row, row.language),
        facts={"task": "own_text", **setting, "voice_clip": voice.id, **(facts or {})},
    )


def translation_item(
    row: ClipRow, language: str, text: str, *, prefix: str = "", facts: Mapping[str, Any] | None = None
) -> BenchmarkItem:
    """The clip is to be dubbed into ``language``; the voice is the clip's own and nothing is known to compare with."""
    return BenchmarkItem(
        id=f"{row.id}_{row.language or 'und'}-{language}",
        source=_file(row, prefix),
        voice=_file(row, prefix),
        transcript=text,
        language=language,
        source_language=row.language,
        tags=_tags(row, language),
        facts={"task": "translation", "source_transcript": row.transcript, **(facts or {})},
    )


def length_class(seconds: float) -> str:
    """``short`` below 3 s, ``long`` from 4 s, else ``medium``."""
    return "short" if seconds < SHORT_S else "long" if seconds >= LONG_S else "medium"


def difficulty_of(tags: Iterable[str]) -> str:
    """What makes a clip difficult, by its tags; see :data:`DIFFICULTIES`."""
    has = set(tags)
    return next((one for one in DIFFICULTIES if one in has), "standard")


def lender_of(row: ClipRow, clips: Sequence[ClipRow]) -> ClipRow | None:
    """Who of ``clips`` lends the voice for ``row`` in Setting 2.0: the next one after it that only its speaker speaks
    in and that is another recording, of its own language where there is one; None where there is none."""
    place = next((number for number, one in enumerate(clips) if one.id == row.id), 0)
    others = [
        one
        for one in (*clips[place + 1 :], *clips[:place])
        if one.id != row.id and one.sha256 != row.sha256 and speakers_of(one) == [row.speaker]
    ]
    return next((one for one in others if one.language == row.language), others[0] if others else None)


def _tags(row: ClipRow, language: str | None) -> Tags:
    return Tags(
        language_pair=f"{row.language}-{language}" if row.language and language else "",
        speaker=row.speaker or "",
        length=length_class(row.duration),
        difficulty=difficulty_of(row.tags),
    )


def _file(row: ClipRow, prefix: str) -> ItemFile:
    return ItemFile(path=prefix + row.path, sha256=row.sha256)
