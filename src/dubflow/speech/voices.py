"""Who speaks: the languages, accents and voice variants that the bundled espeak-ng data has.

espeak-ng takes an unknown variant without a word and speaks with its default voice, so names are checked against the
files that came with the library.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from dubflow.config import Strict
from dubflow.errors import WrongUse, missing_extra

LANGUAGES = ("en", "es", "ru", "fr", "de", "it", "el")

# espeak-ng's "en" is British; American is what the English tools of this project (ARPAbet, the aligner) expect.
_DEFAULT_ACCENTS = {"en": "en-us"}
_ACCENT_NAMES = {"en-gb": "en"}
_NO_ACCENTS = {"en-shaw"}


class Voice(Strict):
    """A speaker: one of espeak-ng's voices with its settings.

    ``language`` is one of :data:`LANGUAGES` or an accent of one (:func:`accents`); ``variant`` one of
    :func:`variants` or empty for the plain voice.

    Raises (on use, :meth:`espeak_name`):
        WrongUse: ``speech.unknown_language``, ``speech.unknown_variant``.
    """

    language: str = Field(default="en", description="A language, or an accent such as en-gb-scotland, es-419, fr-ch.")
    variant: str = Field(default="", description="A voice variant such as f2, m3, klatt4; empty for the plain voice.")
    pitch: int = Field(default=50, ge=0, le=99, description="Pitch on espeak-ng's scale; 50 is the variant's own.")
    pitch_range: int = Field(default=50, ge=0, le=99, description="Liveliness of the melody; 0 is monotone, 50 usual.")
    rate: int = Field(
        default=175, ge=80, le=400, description="Words a minute; beyond 400 the event times are not exact."
    )

    @model_validator(mode="after")
    def _plain_names(self) -> Self:
        for name in (self.language, self.variant):
            if "/" in name or "+" in name or "\0" in name:
                raise ValueError(f"{name!r} is not a plain name")
        return self

    def espeak_name(self) -> str:
        """The name espeak-ng knows this voice by, for example ``en-us+f2``."""
        language = self.language
        if language not in LANGUAGES and language not in accents():
            raise WrongUse(
                "speech.unknown_language",
                f"There is no voice for the language {self.language!r}.",
                f"Languages: {', '.join(LANGUAGES)}; accents: {', '.join(accents())}.",
            )
        name = _DEFAULT_ACCENTS.get(language) or _ACCENT_NAMES.get(language, language)
        if not self.variant:
            return name
        if self.variant not in variants():
            raise WrongUse(
                "speech.unknown_variant",
                f"There is no voice variant {self.variant!r}.",
                f"Known: {', '.join(variants())}.",
            )
        return f"{name}+{self.variant}"


def espeak_paths() -> tuple[Path, Path]:
    """The espeak-ng library and its data folder, from the ``espeakng-loader`` package.

    Raises:
        WrongUse: ``install.missing_extra``.
    """
    try:
        import espeakng_loader
    except ImportError as error:
        raise missing_extra("espeakng_loader") from error
    return Path(espeakng_loader.get_library_path()), Path(espeakng_loader.get_data_path())


@functools.cache
def variants() -> tuple[str, ...]:
    """Names of all voice variants, sorted."""
    folder = espeak_paths()[1] / "voices" / "!v"
    return tuple(sorted(path.name for path in folder.iterdir() if path.is_file()))


@functools.cache
def accents() -> tuple[str, ...]:
    """Names of the voices of the seven languages besides their default ones, sorted."""
    files = (path.name.lower() for path in (espeak_paths()[1] / "lang").rglob("*") if path.is_file())
    names = {name for name in files if name.partition("-")[0] in LANGUAGES and "-" in name}
    return tuple(sorted((names | set(_ACCENT_NAMES)) - _NO_ACCENTS))


@functools.cache
def has_echo(variant: str) -> bool:
    """Whether the variant adds an echo, which fills the silences between its sounds."""
    if not variant:
        return False
    text = (espeak_paths()[1] / "voices" / "!v" / variant).read_text(encoding="utf-8", errors="replace")
    settings = [line.split() for line in text.splitlines()]
    amplitudes = [words[2] for words in settings if len(words) >= 3 and words[0] == "echo"]
    return bool(amplitudes) and amplitudes[-1] != "0"
