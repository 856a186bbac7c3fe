"""Content-Consistent Temporal Adaptation (CCTA): prosody and synchronised text become content.

DiFlowDubber, 3.4.3. The global prosody prior and h_sync are laid beside one another in channels and fused by a line;
the rest is stage 1's content model with stage 1's weights, of which Projection and Content Head stay frozen:

    z_s = FFT(Linear([z~_p; h_sync])),   h_p2c = Content Predictor(z_s),   h~_p2c = Proj(h_p2c),   Eq. 6: MLP(h_p2c).

Letters: B batch, L tokens, m prosody books, A width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dubflow.diflow.nets.content import Content, ContentModel
from dubflow.diflow.nets.settings import NetSettings


class ContentAdaptation(nn.Module):
    """``[B, m, L, A]`` and ``[B, L, A]`` to :class:`Content`; ``features`` is z_s, ``hidden`` is h~_p2c."""

    def __init__(self, settings: NetSettings) -> None:
        super().__init__()
        self.fusion = nn.Linear((settings.books.prosody + 1) * settings.width, settings.width)
        self.content = ContentModel(settings)
        for part in (self.content.projection, self.content.head):
            part.requires_grad_(False)

    def forward(self, prior: Tensor, synchronized: Tensor, inside: Tensor) -> Content:
        """``prior`` z~_p ``[B, m, L, A]``, ``synchronized`` h_sync ``[B, L, A]``, ``inside`` ``[B, L]``."""
        fused = self.fusion(torch.cat([*prior.unbind(dim=1), synchronized], dim=-1))
        content: Content = self.content(fused * inside.unsqueeze(-1), inside)
        return content

    def adopt(self, teacher: ContentModel) -> None:
        """Start from stage 1's content model."""
        self.content.load_state_dict(teacher.state_dict())
