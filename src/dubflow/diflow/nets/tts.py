r"""Stage 1: zero-shot speech from text (DiFlowDubber, 3.3 and B.2.1), and its loss.

.. math:: \mathcal L_{TTS} = \lambda_1 \mathcal L_d + \lambda_2 \mathcal L_c + \lambda_3 \mathcal L_{DFM}
    \qquad (\lambda = 0.5, 1, 1) \tag{9}

Letters: B batch, N phonemes, L tokens, R reference tokens, m, n, k books, A and D widths, V codes.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field
from torch import Tensor, nn

from dubflow.config import Strict
from dubflow.diflow.flow.loss import Scope, code_cross_entropy, posterior_cross_entropy
from dubflow.diflow.nets.content import Content, ContentModel
from dubflow.diflow.nets.denoiser import Context, FlowDenoiser
from dubflow.diflow.nets.durations import DurationPredictor, duration_loss, whole_durations
from dubflow.diflow.nets.grid import inside_of, regulate
from dubflow.diflow.nets.losses import LossParts
from dubflow.diflow.nets.prompt import Reference
from dubflow.diflow.nets.settings import NetSettings
from dubflow.diflow.nets.text import PhonemeEncoder, Text


@dataclass(frozen=True)
class TtsOutput:
    """What one training pass answers.

    Attributes:
        log_durations: ``log(d + 1)`` ``[B, N]``.
        content: of ``[B, L]`` tokens.
        flow_logits: ``[B, m + k, L, V]``.
    """

    log_durations: Tensor
    content: Content
    flow_logits: Tensor


class TtsNetwork(nn.Module):
    """Phoneme encoder, duration predictor, content model and denoiser; the teacher of stage 2."""

    def __init__(self, settings: NetSettings) -> None:
        super().__init__()
        self.settings = settings
        self.encoder = PhonemeEncoder(settings)
        self.durations = DurationPredictor(settings)
        self.content = ContentModel(settings)
        self.denoiser = FlowDenoiser(settings)

    def forward(
        self, text: Text, durations: Tensor, reference: Reference, speaker: Tensor, noisy: Tensor, t: Tensor
    ) -> TtsOutput:
        """One training pass.

        Args:
            text: phonemes of the batch.
            durations: true tokens a phoneme, integers ``[B, N]``.
            reference: codec tokens of the prompt.
            speaker: ``[B, D_s]``.
            noisy: ``x_t``, integers ``[B, m + k, L]``.
            t: times ``[B]``.
        """
        encoded = self.encoder(text)
        content = self.stretch(encoded, durations, noisy.shape[-1])
        context = self.context(content, durations.sum(dim=1), reference, speaker)
        return TtsOutput(self.durations(encoded, text.inside), content, self.denoiser(noisy, t, context))

    def stretch(self, encoded: Tensor, durations: Tensor, longest: int) -> Content:
        """Content of encoded phonemes ``[B, N, A]`` lasting ``durations`` ``[B, N]``, over ``longest`` tokens."""
        inside = inside_of(durations.sum(dim=1), longest)
        content: Content = self.content(regulate(encoded, durations, longest), inside)
        return content

    def spoken(self, text: Text) -> tuple[Content, Tensor]:
        """Content at the predicted pace and its lengths ``[B]``: what the teacher of Eq. 5 says."""
        encoded = self.encoder(text)
        durations = whole_durations(self.durations(encoded, text.inside), text.inside)
        lengths = durations.sum(dim=1)
        return self.stretch(encoded, durations, int(lengths.max())), lengths

    def context(self, content: Content, lengths: Tensor, reference: Reference, speaker: Tensor) -> Context:
        """What the denoiser sees: the reference speech in front of the content to speak."""
        return self.denoiser.prepare(self.denoiser.embedders(reference), content.hidden, lengths, speaker)


class TtsWeights(Strict):
    """Weights of Eq. 9 (B.2.1)."""

    duration: float = Field(0.5, ge=0, description="lambda 1, of the durations.")
    content: float = Field(1.0, ge=0, description="lambda 2, of the content.")
    flow: float = Field(1.0, ge=0, description="lambda 3, of the flow.")


def tts_loss(
    output: TtsOutput,
    durations: Tensor,
    text: Text,
    content: Tensor,
    target: Tensor,
    noisy: Tensor,
    *,
    settings: NetSettings,
    weights: TtsWeights | None = None,
    scope: Scope = "all",
) -> LossParts:
    """Eq. 9.

    Args:
        output: of :class:`TtsNetwork`.
        durations: true tokens a phoneme, integers ``[B, N]``.
        text: phonemes of the batch.
        content: true content codes ``[B, n, L]``, pad beyond each length.
        target: true prosody and acoustic codes ``[B, m + k, L]``, pad beyond each length.
        noisy: ``x_t`` ``[B, m + k, L]``.
        scope: positions that the flow's loss counts.
    """
    book, weights = settings.books.vocabulary, weights or TtsWeights()
    return LossParts(
        values={
            "duration": duration_loss(output.log_durations, durations, text.inside),
            "content": code_cross_entropy(output.content.logits, content, vocabulary=book),
            "flow": posterior_cross_entropy(output.flow_logits, target, noisy, scope=scope, vocabulary=book),
        },
        weights=weights.model_dump(),
    )
