"""What a package says of itself, so that parts are known to fit before anything is loaded.

``diflow`` is a whole model that brings its codec. ``incontext`` is an adapter (LoRA) that is nothing without a base, a
text encoder and a vocoder: it says which ones it was made for, and :mod:`dubflow.registry.compatibility` compares.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dubflow.config import Strict
from dubflow.judging.card.rows import Digest

World = Literal["embedded", "real"]


class DiflowFacts(Strict):
    """A model of DiFlowDubber, of either stage."""

    kind: Literal["diflow"] = "diflow"
    stage: Literal["tts", "dubber"]
    world: World
    languages: tuple[str, ...]
    preset: str
    steps: int = Field(ge=0, description="Of training.")
    parameters: int = Field(gt=0, description="Numbers in the weights.")
    precision: tuple[str, ...] = Field(description="Kinds of numbers in the weights, as safetensors names them.")
    codec: str = Field(description="Id of the codec whose tokens it speaks; it lies in the package.")
    codes: int = Field(gt=0, description="Entries of each book of the codec.")
    books: dict[str, int] = Field(description="How many books of prosody, content and acoustic detail.")
    speaker: int = Field(gt=0, description="Numbers of the codec's speaker vector.")
    width: int = Field(gt=0, description="Of the text side, which both stages share.")
    symbols: int = Field(gt=0, description="Phonemes and marks that the text side knows.")
    extractors: dict[str, str] = Field(description="Ids of landmarker, lip and face features, and of the phonemes.")
    teacher: Digest | None = Field(None, description="SHA-256 of the weights of the stage 1 it was distilled from.")


class BaseFacts(Strict):
    """An audio-video diffusion transformer (LTX-2 and its like)."""

    id: str = Field(description="Such as ltx-2.")
    version: str = Field(description="Such as 2.0; adapters are not portable between versions.")
    config: Digest | None = Field(None, description="SHA-256 of its canonical configuration, where known.")
    layers: int = Field(gt=0)
    video_width: int = Field(gt=0)
    audio_width: int = Field(gt=0)
    text_width: int = Field(gt=0, description="Of the text encoder's hidden states that it takes.")
    text_layers: int = Field(gt=0, description="How many of them it takes, stacked.")
    mel_bins: int = Field(gt=0, description="Of the sound that its audio decoder gives.")
    mel_rate: int = Field(gt=0, description="Sample rate that the mel is defined at, Hz.")
    mel_hop: int = Field(gt=0, description="Samples from one mel frame to the next.")
    rope: Literal["split", "interleaved"] = Field(description="How positions turn pairs of numbers.")
    world: World


class AdapterFacts(Strict):
    """A LoRA for such a base."""

    base: str = Field(description="Id of the base it was trained on.")
    base_version: str
    base_config: Digest | None = None
    rank: int = Field(gt=0)
    layers: int = Field(gt=0, description="One more than the highest block that it changes.")
    video_width: int = Field(gt=0)
    audio_width: int = Field(gt=0)
    modules: tuple[str, ...] = Field(min_length=1, description="What it changes in a block, such as attn1.to_q.")
    text_encoder: str = Field(description="Id of the encoder whose states it was trained with.")
    rope: Literal["split", "interleaved"]
    positions: Literal["same", "negative"] = Field(description="Where the reference's sound stands in time.")
    av_mask: Literal["none", "isolated", "a2v_only"] = Field(description="Who attends to whom across sound and sight.")
    world: World


class TextEncoderFacts(Strict):
    """What turns the prompt into numbers."""

    id: str = Field(description="Such as gemma-3-12b.")
    width: int = Field(gt=0)
    layers: int = Field(gt=0, description="Hidden states that it gives, the embedding among them.")


class VocoderFacts(Strict):
    """What turns the base's mel into sound."""

    id: str
    mel_bins: int = Field(gt=0)
    mel_rate: int = Field(gt=0, description="Hz.")
    mel_hop: int = Field(gt=0, description="Samples.")
    sample_rate: int = Field(gt=0, description="Of what it gives, Hz.")


class IncontextFacts(Strict):
    """An adapter, and the parts that it was made with."""

    kind: Literal["incontext"] = "incontext"
    languages: tuple[str, ...]
    adapter: AdapterFacts
    base: BaseFacts
    text_encoder: TextEncoderFacts
    vocoder: VocoderFacts

    @property
    def world(self) -> World:
        """Real only where both the base and the adapter are."""
        return "real" if self.adapter.world == self.base.world == "real" else "embedded"


PackageFacts = Annotated[DiflowFacts | IncontextFacts, Field(discriminator="kind")]
