"""UTMOS22, strong learner (Saeki, Xin, Nakata, Koriyama, Takamichi and Saruwatari, Interspeech 2022), as SpeechMOS
published it: ``utmos22_strong_step7459_v1.pt``, converted from the authors' checkpoint (MIT).

Without the phoneme encoder of the paper; one data domain and one listener (the mean listener) are built into the file.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dubflow.judging.full.utmos.wav2vec2 import WIDTH, Wav2Vec2

DOMAIN, LISTENER, RECURRENT, PROJECTED = 128, 128, 512, 2048
SCALE, CENTRE = 2.0, 3.0
"""The network speaks from -1 to 1, people's opinions go from 1 to 5."""


class Utmos(nn.Module):
    """Samples to the opinion that listeners would have."""

    def __init__(self) -> None:
        super().__init__()
        self.wav2vec2 = Wav2Vec2()
        self.domain_emb = nn.Parameter(torch.zeros(1, DOMAIN))
        self.judge_emb = nn.Parameter(torch.zeros(1, LISTENER))
        self.blstm = nn.LSTM(WIDTH + DOMAIN + LISTENER, RECURRENT, batch_first=True, bidirectional=True)
        self.projection = nn.Sequential(nn.Linear(2 * RECURRENT, PROJECTED), nn.ReLU(), nn.Linear(PROJECTED, 1))

    def forward(self, waveform: Tensor) -> Tensor:
        """16 kHz samples ``[B, N]`` in -1..1, at least 400, to opinions ``[B]``: the mean over frames, scaled; about 1
        to 5, not cut to it."""
        heard = self.wav2vec2(waveform)
        fixed = torch.cat((self.domain_emb, self.judge_emb), dim=1)[:, None].expand(*heard.shape[:2], -1)
        opinions = self.projection(self.blstm(torch.cat((heard, fixed), dim=2))[0])
        opinion: Tensor = opinions.mean(dim=(1, 2)) * SCALE + CENTRE
        return opinion
