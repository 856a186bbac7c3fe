"""Content-Consistent Temporal Adaptation (CCTA): prosody and synchronised text become content.

DiFlowDubber, 3.4.3. The global prosody prior and h_sync are laid beside one another in channels and fused by a line;
the rest is stage 1's content model with stage 1's weights, of which Projection and Content Head stay frozen:

    z_s = FFT(Linear([z~_p; h_sync])),   h_p2c = Content Predictor(z_s),   h~_p2c = Proj(h_p2c),   Eq. 6: MLP(h_p2c).

Where settings leave the prior out (rows 8 and 9 of Table 3) the line reads h_sync alone.

Letters: B batch, L tokens, m prosody books, A width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dubflow.diflow.nets.content import Content, ContentModel
from dubflow.diflow.nets.settings import NetSettings
from dubflow.errors import WrongUse


class ContentAdaptation(nn.Module):
    """``[B, m, L, A]`` and ``[B, L, A]`` to :class:`Content`; ``features`` is z_s, ``hidden`` is h~_p2c.

    Projection and Content Head come frozen, for :meth:`adopt` brings them trained; :meth:`start_alone` thaws them.
    """

    def __init__(self, settings: NetSettings) -> None:
        super().__init__()
        self.fuses = settings.prior_in_content
        sources = settings.books.prosody + 1 if self.fuses else 1
        self.fusion = nn.Linear(sources * settings.width, settings.width)
        self.content = ContentModel(settings)
        self._train_branches(False)

    def forward(self, prior: Tensor | None, synchronized: Tensor, inside: Tensor) -> Content:
        """``prior`` z~_p ``[B, m, L, A]``, ``synchronized`` h_sync ``[B, L, A]``, ``inside`` ``[B, L]``.

        The prior is not read, and may be None, where settings leave it out.
        """
        sources = [synchronized]
        if self.fuses:
            if prior is None:
                raise WrongUse("diflow.bad_shapes", "This network fuses the prosody prior, and none is given.")
            sources = [*prior.unbind(dim=1), synchronized]
        fused = self.fusion(torch.cat(sources, dim=-1))
        content: Content = self.content(fused * inside.unsqueeze(-1), inside)
        return content

    def adopt(self, teacher: ContentModel) -> None:
        """Start from stage 1's content model, Projection and Content Head frozen."""
        self.content.load_state_dict(teacher.state_dict())
        self._train_branches(False)

    def start_alone(self) -> None:
        """Start without stage 1: Projection and Content Head are trained like the rest."""
        self._train_branches(True)

    def _train_branches(self, trained: bool) -> None:
        for part in (self.content.projection, self.content.head):
            part.requires_grad_(trained)
