"""Which denoisings of a switching clip make its contexts: what is said in each, and their text features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from dubflow.incontext.backbone.parts import Backbone
from dubflow.incontext.backbone.text import TextFeatures, encode_text
from dubflow.incontext.inference.sampling import GuidedText
from dubflow.incontext.pairs.augmentation import spelled
from dubflow.incontext.pairs.engine_parts import HALVES, Half
from dubflow.incontext.pairs.engine_settings import SynthesisSettings
from dubflow.incontext.pairs.prompts.forms import render
from dubflow.incontext.pairs.prompts.structure import Prompt
from dubflow.training.seeds import seed_of

Kind = Literal["translation", "letters"]


@dataclass(frozen=True)
class Pass:
    """One denoising of a whole clip: what ``half`` says in it, in ``language``; the other half says its own."""

    kind: Kind
    half: Half
    language: str
    text: str
    prompt: str
    seed: int

    def told(self) -> dict[str, Any]:
        """For lineage."""
        return {"prompt": self.prompt, "language": self.language, "said": self.text, "seed": self.seed}


def passes_of(prompt: Prompt, settings: SynthesisSettings, seed: int) -> list[Pass]:
    """The passes of a clip: of either half its translation and, with lip augmentation, letters.

    Args:
        prompt: that passes :func:`dubflow.incontext.pairs.engine.check_switch`. seed: of the try.

    Raises:
        BadInput: ``incontext.bad_prompt`` for what cannot be said in the time.
    """
    found = []
    for half in HALVES:
        own, language = prompt.segments[half], prompt.segments[1 - half].language
        said: dict[Kind, str] = {"translation": own.translation or ""}
        if settings.augment:
            assert own.start is not None  # two segments have times
            assert own.end is not None
            said["letters"] = spelled(
                own.end - own.start, seed_of(seed, "spelling", half), a_second=settings.letters_a_second
            )
        for kind, text in said.items():
            told = render(prompt.saying(half, text, language), settings.form)
            found.append(Pass(kind, half, language, text, told, seed_of(seed, kind, half)))
    return found


def guided_texts(backbone: Backbone, passes: Sequence[Pass], settings: SynthesisSettings) -> list[GuidedText]:
    """Text features of each pass, and of what guidance leads away from.

    Raises:
        BadInput: ``incontext.prompt_too_long``. WrongUse: ``incontext.no_text_encoder``.
    """
    avoided = None if settings.guidance == 1 else encode_text(backbone, [settings.negative_prompt])
    return [GuidedText(encode_text(backbone, [one.prompt]), avoided) for one in passes]


def joined(texts: Sequence[GuidedText]) -> GuidedText:
    """Texts of several items as those of one batch."""

    def together(found: Sequence[TextFeatures]) -> TextFeatures:
        return replace(
            found[0],
            video=torch.cat([one.video for one in found]),
            audio=torch.cat([one.audio for one in found]),
            mask=torch.cat([one.mask for one in found]),
        )

    avoided = [one.avoided for one in texts if one.avoided is not None]
    return GuidedText(together([one.asked for one in texts]), together(avoided) if avoided else None)
