r"""The Synchronizer: text laid onto the lips, frame by frame, then token by token (DiFlowDubber, 3.4.2, Fig. 4, B.2.2).

1. Video-text alignment: lip frames attend to phonemes, giving :math:`h_{vt}` and the map A_VT (Eq. 2 trains it).
2. Duration-based regulation: MAS on A_VT gives each phoneme its frames; the stretched phonemes :math:`\hat p` join in,

   .. math:: h_s = \mathrm{Upsample}(h_{vt} + \mathrm{Proj}(\hat p)) \in \mathbb R^{L \times A} \tag{3}

3. Speech-text alignment: tokens attend to phonemes, giving :math:`h_{st}` and A_ST (Eq. 4 trains it).
4. Refinement: ConvNeXt V2 blocks give :math:`h_{sync}`.

Letters: B batch, F frames, L tokens, N phonemes, A width, D_l lip features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from dubflow.diflow.nets.alignment_loss import one_map
from dubflow.diflow.nets.attention import AttentionMap, CrossAttention, SelfAttention
from dubflow.diflow.nets.grid import check_lengths, inside_of, regulate
from dubflow.diflow.nets.monotonic import MonotonicAlignment, log_weights, monotonic_search
from dubflow.diflow.nets.positions import with_positions
from dubflow.diflow.nets.settings import AlignmentSettings, NetSettings
from dubflow.diflow.nets.stepwise import expected_alignment, hard_alignment
from dubflow.diflow.nets.temporal import ConvNextStack, Upsample, over_time, tokens_of


@dataclass(frozen=True)
class Synchronized:
    """What the Synchronizer answers.

    Attributes:
        hidden: ``h_sync`` ``[B, L, A]``, zero beyond each item.
        lengths: tokens of each item, ``ceil(16 F / 5)``, integers ``[B]``.
        video_map: A_VT, weights and logits ``[B, F, N]``.
        speech_map: A_ST, weights and logits ``[B, L, N]``.
        alignment: frames of each phoneme, as used for the regulation.
    """

    hidden: Tensor
    lengths: Tensor
    video_map: AttentionMap
    speech_map: AttentionMap
    alignment: MonotonicAlignment

    @property
    def inside(self) -> Tensor:
        """``[B, L]``."""
        return inside_of(self.lengths, self.hidden.shape[1])


class CrossBlock(nn.Module):
    """Self-attention, cross-attention to the text, MLP; each normalised before and added after. ``[B, T, A]``."""

    def __init__(self, width: int, settings: AlignmentSettings) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.self_attention = SelfAttention(width, settings.heads, settings.dropout)
        self.cross_attention = CrossAttention(width, settings.heads, settings.dropout)
        self.widen = nn.Linear(width, settings.filter)
        self.narrow = nn.Linear(settings.filter, width)
        self.dropout = nn.Dropout(settings.dropout)

    def forward(
        self,
        x: Tensor,
        inside: Tensor,
        text: Tensor,
        text_inside: Tensor,
        reweigh: Callable[[AttentionMap], Tensor] | None = None,
    ) -> tuple[Tensor, AttentionMap]:
        """``x`` ``[B, T, A]`` attends to ``text`` ``[B, N, A]``; the map is ``[B, H, T, N]``."""
        x = x + self.dropout(self.self_attention(self.norms[0](x), inside))
        found, attention = self.cross_attention(self.norms[1](x), text, text_inside, reweigh)
        x = x + self.dropout(found)
        x = x + self.dropout(self.narrow(functional.gelu(self.widen(self.norms[2](x)))))
        return x, attention


class TextAlignment(nn.Module):
    """Cross-attention blocks and a normalisation: ``[B, T, A]`` to ``[B, T, A]`` and the last block's map.

    The last block's map is the one that Eq. 2 and 4 train; at evaluation the setting ``stepwise`` makes it monotonic.
    """

    def __init__(self, settings: NetSettings) -> None:
        super().__init__()
        self.settings, self.max_length = settings.alignment, settings.fft.max_length
        self.blocks = nn.ModuleList(
            CrossBlock(settings.width, settings.alignment) for _ in range(settings.alignment.blocks)
        )
        self.norm = nn.LayerNorm(settings.width)

    def forward(self, x: Tensor, inside: Tensor, text: Tensor, text_inside: Tensor) -> tuple[Tensor, AttentionMap]:
        """``inside`` ``[B, T]``; answers ``[B, T, A]``, zero outside, and the map that stands for all heads."""
        x = with_positions(x, self.max_length)
        for place, block in enumerate(self.blocks, start=1):
            monotonic = self.settings.stepwise != "off" and not self.training and place == len(self.blocks)
            reweigh = partial(self._stepwise, inside=inside, text_inside=text_inside) if monotonic else None
            x, attention = block(x, inside, text, text_inside, reweigh)
        return self.norm(x) * inside.unsqueeze(-1), one_map(attention, inside, self.settings)

    def _stepwise(self, attention: AttentionMap, *, inside: Tensor, text_inside: Tensor) -> Tensor:
        weights, phonemes = one_map(attention, inside, self.settings).weights, text_inside.sum(dim=1)
        if self.settings.stepwise == "expected":
            return expected_alignment(weights, phonemes)
        return hard_alignment(weights, inside.sum(dim=1), phonemes)


class Synchronizer(nn.Module):
    """Lips ``[B, F, D_l]`` and encoded phonemes ``[B, N, A]`` to ``h_sync`` ``[B, L, A]``."""

    def __init__(self, settings: NetSettings) -> None:
        super().__init__()
        width = settings.width
        self.crowded = settings.alignment.crowded
        self.lips = nn.Conv1d(settings.lip_features, width, 3, padding=1)
        self.video_text = TextAlignment(settings)
        self.fusion = nn.Linear(width, width)
        self.upsample = Upsample(width, settings.temporal)
        self.speech_text = TextAlignment(settings)
        self.refinement = ConvNextStack(width, settings.temporal)

    def forward(
        self, lips: Tensor, frames: Tensor, text: Tensor, text_lengths: Tensor, durations: Tensor | None = None
    ) -> Synchronized:
        """Lay the text onto the lips.

        Args:
            lips: ``[B, F, D_l]``.
            frames: lengths of the clips, integers ``[B]``.
            text: encoded phonemes ``[B, N, A]``.
            text_lengths: integers ``[B]``.
            durations: frames of each phoneme ``[B, N]`` to use in place of the search.

        Raises:
            WrongUse: ``diflow.bad_lengths``.
            BadInput: ``diflow.more_phones_than_units`` where settings say so; ``diflow.too_long``.
        """
        check_lengths(frames, lips)
        check_lengths(text_lengths, text)
        inside, text_inside = inside_of(frames, lips.shape[1]), inside_of(text_lengths, text.shape[1])
        seen = over_time(self.lips, lips * inside.unsqueeze(-1))
        seen, video_map = self.video_text(seen, inside, text, text_inside)

        alignment = (
            monotonic_search(log_weights(video_map.weights), frames, text_lengths, crowded=self.crowded)
            if durations is None
            else MonotonicAlignment(durations, text_lengths > frames)
        )
        stretched = regulate(text, alignment.durations, lips.shape[1])
        spoken = self.upsample(seen + self.fusion(stretched), frames)  # Eq. 3

        lengths = tokens_of(frames)
        token_inside = inside_of(lengths, spoken.shape[1])
        spoken, speech_map = self.speech_text(spoken, token_inside, text, text_inside)
        return Synchronized(self.refinement(spoken, token_inside), lengths, video_map, speech_map, alignment)
