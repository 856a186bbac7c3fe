"""Whether parts fit together, from their facts alone, before a byte of weights is loaded.

An adapter that is loaded on another base, or a vocoder on another mel, gives noise instead of an error; so every pair
is compared beforehand and every disagreement is named. Adapters and cached text states are not portable between
versions of a base.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dubflow.errors import BadInput
from dubflow.registry.package.facts import AdapterFacts, BaseFacts, DiflowFacts, TextEncoderFacts, VocoderFacts


@dataclass(frozen=True)
class CodecFacts:
    """What a codec folder says of itself; ``speaker``: length of its speaker vector, None where it is not said."""

    id: str
    codes: int
    books: Mapping[str, int]
    speaker: int | None


@dataclass(frozen=True)
class Mismatch:
    """Two parts that disagree on something."""

    parts: str
    about: str
    wanted: object
    found: object

    def __str__(self) -> str:
        return f"{self.parts}: {self.about} is {self.found}, wanted {self.wanted}"


def check_incontext(
    base: BaseFacts, adapter: AdapterFacts, text_encoder: TextEncoderFacts, vocoder: VocoderFacts
) -> None:
    """Whether base, adapter, text encoder and vocoder belong together.

    Raises:
        BadInput: ``registry.incompatible`` with every mismatch.
    """
    _refuse(incontext_mismatches(base, adapter, text_encoder, vocoder))


def incontext_mismatches(
    base: BaseFacts, adapter: AdapterFacts, text_encoder: TextEncoderFacts, vocoder: VocoderFacts
) -> tuple[Mismatch, ...]:
    """Every disagreement between the four."""
    return (
        *_adapter_on_base(adapter, base),
        *_differing("adapter with text encoder", {"id": (adapter.text_encoder, text_encoder.id)}),
        *_differing(
            "text encoder into base",
            {
                "width of hidden states": (base.text_width, text_encoder.width),
                "number of hidden states": (base.text_layers, text_encoder.layers),
            },
        ),
        *_differing(
            "base into vocoder",
            {
                "mel bins": (base.mel_bins, vocoder.mel_bins),
                "sample rate of the mel (Hz)": (base.mel_rate, vocoder.mel_rate),
                "hop of the mel (samples)": (base.mel_hop, vocoder.mel_hop),
            },
        ),
    )


def check_diflow(model: DiflowFacts, codec: CodecFacts, teacher: DiflowFacts | None = None) -> None:
    """Whether a DiFlowDubber model and a codec belong together, and a teacher with them, where one is named.

    Raises:
        BadInput: ``registry.incompatible`` with every mismatch.
    """
    _refuse(diflow_mismatches(model, codec, teacher))


def diflow_mismatches(
    model: DiflowFacts, codec: CodecFacts, teacher: DiflowFacts | None = None
) -> tuple[Mismatch, ...]:
    """Every disagreement between the three."""
    return (
        *_differing(
            "model on codec",
            {
                "id": (model.codec, codec.id),
                "entries of a book": (model.codes, codec.codes),
                "books": (dict(model.books), dict(codec.books)),
                "speaker vector": (model.speaker, model.speaker if codec.speaker is None else codec.speaker),
            },
        ),
        *(() if teacher is None else _student_of(model, teacher)),
    )


def _adapter_on_base(adapter: AdapterFacts, base: BaseFacts) -> Iterator[Mismatch]:
    parts = "adapter on base"
    yield from _differing(
        parts,
        {
            "id": (adapter.base, base.id),
            "version": (adapter.base_version, base.version),
            "width of the video side": (adapter.video_width, base.video_width),
            "width of the audio side": (adapter.audio_width, base.audio_width),
            "kind of positions": (adapter.rope, base.rope),
        },
    )
    if adapter.world == "real" and base.world != "real":  # pairs drawn here may teach a real base, for a trial
        yield Mismatch(parts, "world", adapter.world, base.world)
    if adapter.layers > base.layers:
        yield Mismatch(parts, "number of blocks", f"at least {adapter.layers}", base.layers)
    if adapter.base_config is not None and base.config is not None and adapter.base_config != base.config:
        yield Mismatch(parts, "digest of the configuration", adapter.base_config[:16], base.config[:16])


def _student_of(model: DiflowFacts, teacher: DiflowFacts) -> Iterator[Mismatch]:
    parts = "model from teacher"
    yield from _differing(
        parts,
        {
            "stage": ("tts", teacher.stage),
            "codec": (model.codec, teacher.codec),
            "width": (model.width, teacher.width),
            "number of phonemes": (model.symbols, teacher.symbols),
            "phonemes": (model.extractors.get("phonemes"), teacher.extractors.get("phonemes")),
        },
    )
    if model.stage != "dubber":
        yield Mismatch(parts, "stage of the model", "dubber", model.stage)


def _differing(parts: str, pairs: Mapping[str, tuple[object, object]]) -> Iterator[Mismatch]:
    for about, (wanted, found) in pairs.items():
        if wanted != found:
            yield Mismatch(parts, about, wanted, found)


def _refuse(found: tuple[Mismatch, ...]) -> None:
    if found:
        raise BadInput(
            "registry.incompatible",
            f"These parts do not belong together: {'; '.join(map(str, found))}.",
            "Use the parts that the model was made with; its package names them.",
            mismatches=[
                {"parts": one.parts, "about": one.about, "wanted": one.wanted, "found": one.found} for one in found
            ],
        )
