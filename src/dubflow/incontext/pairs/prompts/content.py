"""What two prompts have to share to be the same: their content, whatever its letters' case, stops and times."""

from __future__ import annotations

import hashlib
import json
import unicodedata

from dubflow.incontext.pairs.prompts.structure import Prompt


def normalised(text: str) -> str:
    """Words of ``text`` in one case, without stops and other marks."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(one if unicodedata.category(one)[0] in "LMN" else " " for one in folded)
    return " ".join(kept.split())


def prompt_id(prompt: Prompt) -> str:
    """SHA-256 of a prompt's normalised content: who, where, what is said in which language and what it means.

    Times and the clip's length do not count, so that a prompt is not made twice a little faster.
    """
    speaker = prompt.speaker
    content = {
        "speaker": [
            speaker.kind,
            *(normalised(one or "") for one in (speaker.voice, speaker.name, speaker.description)),
        ],
        "scene": [normalised(one) for one in (prompt.style, prompt.scene, prompt.light, prompt.pause)],
        "segments": [
            [one.language, normalised(one.text), normalised(one.action), normalised(one.translation or "")]
            for one in prompt.segments
        ],
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
