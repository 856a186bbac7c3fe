"""Figures of the networks. The defaults are the paper's (appendix B.2); what it leaves open says so.

``PAPER`` and ``TINY`` are the two shipped presets (section ``nets``): the same networks, the second with smaller
numbers for a processor.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from dubflow.config import Strict, load_preset
from dubflow.diflow.flow.vocabulary import Vocabulary
from dubflow.speech.inventory import SYMBOLS


class BookSettings(Strict):
    """The codec's books: FACodec's layout (appendix B.1)."""

    prosody: int = Field(1, ge=1, description="m, books of prosody.")
    content: int = Field(2, ge=1, description="n, books of content.")
    acoustic: int = Field(3, ge=1, description="k, books of acoustic detail.")
    codes: int = Field(1024, ge=2, description="v, codes of a book.")

    @property
    def streams(self) -> int:
        """S = m + n + k."""
        return self.prosody + self.content + self.acoustic

    @property
    def flow(self) -> int:
        """m + k, the books that the flow generates."""
        return self.prosody + self.acoustic

    @property
    def vocabulary(self) -> Vocabulary:
        """Ids of one book."""
        return Vocabulary(self.codes)


class FftSettings(Strict):
    """A feed-forward Transformer block (B.2.1, Content Modeling)."""

    heads: int = Field(4, ge=1, description="Attention heads.")
    filter: int = Field(1024, ge=1, description="Channels between the two convolutions.")
    kernels: tuple[int, int] = Field((9, 1), description="Kernel sizes of the two convolutions; odd.")
    dropout: float = Field(0.2, ge=0, lt=1, description="Dropout.")
    max_length: int = Field(5000, ge=1, description="Longest sequence, in positions.")

    @model_validator(mode="after")
    def _odd(self) -> Self:
        if any(kernel < 1 or kernel % 2 == 0 for kernel in self.kernels):
            raise ValueError("kernels must be odd")
        return self


class TextSettings(Strict):
    """Phoneme encoder, duration predictor and content model of stage 1 (B.2.1)."""

    symbols: int = Field(len(SYMBOLS), ge=2, description="Phonemes of the inventory, pad included.")
    encoder_blocks: int = Field(4, ge=1, description="FFT blocks of the phoneme encoder; unsaid, FastSpeech 2 has 4.")
    refiner_blocks: int = Field(2, ge=1, description="FFT blocks after the length regulator.")
    duration_filter: int = Field(1024, ge=1, description="Channels of the duration predictor; unsaid.")
    duration_kernel: int = Field(3, ge=1, description="Kernel of the duration predictor (FastSpeech 2).")
    duration_dropout: float = Field(0.5, ge=0, lt=1, description="Dropout of the duration predictor (FastSpeech 2).")
    head_width: int | None = Field(None, ge=1, description="Channels inside the Content Head; None: the width.")
    bridge: bool = Field(False, description="A line before the refiner, as in the authors' first-stage code.")


class DenoiserSettings(Strict):
    """The Diffusion Transformer of the DFPA module (B.2.1, Denoiser Architecture)."""

    width: int = Field(768, ge=2, description="D, hidden size.")
    layers: int = Field(8, ge=1, description="Transformer blocks.")
    heads: int = Field(8, ge=1, description="Attention heads.")
    expansion: int = Field(4, ge=1, description="Feed-forward width over hidden size; unsaid, DiT's.")
    time_features: int = Field(256, ge=2, description="Sinusoidal features of the time step; unsaid, DiT's.")
    positions: Literal["concatenated", "aligned"] = Field(
        "concatenated",
        description="Rotary positions of the target: behind the condition as the paper concatenates them, or from 0 "
        "like the condition, so that both ends of a stage-2 position meet.",
    )
    head_width: int | None = Field(None, ge=1, description="Channels inside the two heads; None: the hidden size.")
    gelu: Literal["tanh", "exact"] = Field("tanh", description="Form of GELU: DiT's, or the authors' code's.")
    time_ends: bool = Field(
        False, description="The time step's frequencies include 1/10000, as in the authors' first-stage code."
    )
    time_flip: bool = Field(
        False, description="The network was trained with the masked share as its time; see flow.schedule.flipped_time."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.width % self.heads or (self.width // self.heads) % 2 or self.time_features % 2:
            raise ValueError("width must be heads times an even number, and time_features even")
        return self


class TemporalSettings(Strict):
    """Learnable upsampling and the ConvNeXt V2 stack that FaPro and Synchronizer each have (B.2.2)."""

    upsample_sets: int = Field(4, ge=0, description="Sets of convolution, group normalisation and Mish.")
    blocks: int = Field(8, ge=1, description="ConvNeXt V2 blocks.")
    kernel: int = Field(7, ge=1, description="Kernel of the depthwise convolution; odd.")
    filter: int = Field(1024, ge=1, description="Intermediate channels of a ConvNeXt V2 block.")

    @model_validator(mode="after")
    def _odd(self) -> Self:
        if self.kernel % 2 == 0:
            raise ValueError("kernel must be odd")
        return self


class AlignmentSettings(Strict):
    """The Synchronizer's attention and how its maps are read (B.2.2; section 3.4.2)."""

    blocks: int = Field(8, ge=1, description="Transformer blocks of each of the two alignments.")
    heads: int = Field(4, ge=1, description="Attention heads.")
    filter: int = Field(1024, ge=1, description="Feed-forward channels.")
    dropout: float = Field(0.2, ge=0, lt=1, description="Dropout; unsaid, as in the FFT blocks.")
    temperature: float = Field(0.1, gt=0, description="tau of Eq. 2 and 4; unsaid.")
    scores: Literal["weights", "logits"] = Field("weights", description="a_ij after or before the softmax; unsaid.")
    head: Literal["mean", "focused"] = Field("mean", description="Which map of the last block a_ij is; unsaid.")
    crowded: Literal["relax", "reject"] = Field(
        "relax", description="More phonemes than frames: let phonemes have no frame, or refuse the item."
    )
    stepwise: Literal["off", "expected", "hard"] = Field(
        "off",
        description="Evaluation only: the last block's attention keeps to monotonic steps, in expectation or by the "
        "best path.",
    )


class NetSettings(Strict):
    """Both stages.

    ``face_prior`` and ``fuse_prior`` off are rows 9 and 8 of the paper's Table 3; parameters that are unused then are
    not built.
    """

    width: int = Field(256, ge=2, description="A, width of text, alignment and FaPro.")
    speaker: int = Field(256, ge=1, description="D_s, length of the codec's speaker vector.")
    face_features: int = Field(256, ge=1, description="D_f, features of a face crop.")
    lip_features: int = Field(512, ge=1, description="D_l, features of a lip crop.")
    books: BookSettings = BookSettings()
    fft: FftSettings = FftSettings()
    text: TextSettings = TextSettings()
    denoiser: DenoiserSettings = DenoiserSettings()
    temporal: TemporalSettings = TemporalSettings()
    alignment: AlignmentSettings = AlignmentSettings()
    face_prior: bool = Field(
        True, description="Stage 2 reads a prosody prior from the face (FaPro); off, nothing of the face is read."
    )
    fuse_prior: bool = Field(
        True, description="The prior is fused into content as well; off, it reaches the denoiser alone."
    )
    acoustic_prompt: bool = Field(
        False,
        description="Stage 2 sees the reference's acoustic tokens in front of the prior; the paper leaves them zero.",
    )
    ctc_head: bool = Field(True, description="Stage 2 has the head of the CTC loss; only training needs it.")
    prosody_head: bool = Field(
        False,
        description="FaPro has a head for a loss of its own on prosody codes; not the paper's, only for training.",
    )

    @property
    def prior_in_content(self) -> bool:
        """Whether content is fused from prosody and text."""
        return self.face_prior and self.fuse_prior

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.prosody_head and not self.face_prior:
            raise ValueError("a prosody_head needs the face_prior that it reads")
        if self.width % 2 or self.width % self.fft.heads or self.width % self.alignment.heads:
            raise ValueError("width must be even and a multiple of the heads of fft and alignment")
        return self


PAPER = NetSettings()
TINY = load_preset("tiny", "nets", NetSettings)
PRESETS = {"paper": PAPER, "tiny": TINY}
