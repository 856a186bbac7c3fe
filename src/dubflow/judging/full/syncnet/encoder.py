"""SyncNet behind ``judging.syncnet.SyncEncoder``: what it sees and hears, prepared as its public script does.

Frames are BGR from 0 to 255, a window is five of them; beside it stand 20 windows of cepstra from the same moment on
(0.2 s). The script stops one window before the last that it could have, and so do we. It also stores crops as lossy
video and pictures as JPEG in between, and we don't.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dubflow.errors import BadInput
from dubflow.judging.full.syncnet.mfcc import COEFFICIENTS, mfcc, sixteen_bits
from dubflow.judging.full.weights import load_into, read_state, weights_digest
from dubflow.judging.recogniser import SAMPLE_RATE
from dubflow.judging.sync_crops import SIDE
from dubflow.judging.syncnet import WINDOW
from dubflow.speech.durations import FRAME_RATE

if TYPE_CHECKING:
    from dubflow.judging.full.syncnet.network import SyncNet

VERSION = "syncnet-v2"
SAMPLES_A_FRAME = SAMPLE_RATE // FRAME_RATE
_CEPSTRA_A_FRAME = 4
_BATCH = 20

Vectors = NDArray[np.float32]


class SyncNetEncoder:
    """Implements :class:`dubflow.judging.syncnet.SyncEncoder`.

    Args:
        weights: the published state dict.
        device: of torch.

    Raises:
        BadInput: see :func:`dubflow.judging.full.weights.read_state` and :func:`load_into` there.
    """

    def __init__(self, weights: Path, device: str = "cpu") -> None:
        from dubflow.judging.full.syncnet.network import SyncNet

        self._device = device
        network = SyncNet()
        load_into(network, read_state(weights), what="SyncNet v2")
        self._network: SyncNet = network.to(device)
        self._id = f"{VERSION}-{weights_digest(weights)[:16]}"

    @property
    def id(self) -> str:
        """Release and the start of the weights' hash."""
        return self._id

    def embed(self, crops: NDArray[np.uint8], waveform: NDArray[np.float32]) -> tuple[Vectors, Vectors]:
        """Embeddings ``[V, 1024]`` of RGB crops ``[F, 224, 224, 3]`` and of 16 kHz mono ``[N]``, one a start frame.

        V is min(F, N // 640) - 5, as in the public script; 0 for what is shorter.

        Raises:
            BadInput: ``judging.bad_crops``, ``judging.bad_waveform``.
        """
        import torch

        if crops.dtype != np.uint8 or crops.shape[1:] != (SIDE, SIDE, 3):
            raise BadInput(
                "judging.bad_crops",
                f"Crops are uint8 [F, {SIDE}, {SIDE}, 3], not {crops.dtype} {list(crops.shape)}.",
                "Cut them with dubflow.judging.sync_crops.",
            )
        samples = sixteen_bits(waveform)
        windows = min(len(crops), samples.size // SAMPLES_A_FRAME) - WINDOW
        if windows < 1:
            return _none(), _none()
        cepstra = torch.from_numpy(mfcc(samples)).to(torch.float32)
        heard = cepstra.unfold(0, _CEPSTRA_A_FRAME * WINDOW, _CEPSTRA_A_FRAME)[:windows]
        assert heard.shape[1:] == (COEFFICIENTS, _CEPSTRA_A_FRAME * WINDOW)
        seen, spoken = [], []
        with torch.inference_mode():
            for start in range(0, windows, _BATCH):
                stop = min(start + _BATCH, windows)
                stretch = np.ascontiguousarray(crops[start : stop + WINDOW - 1, :, :, ::-1])
                frames = torch.from_numpy(stretch).to(self._device).permute(3, 0, 1, 2)[None].to(torch.float32)
                seen.append(self._network.see(frames).cpu())
                spoken.append(self._network.hear(heard[start:stop, None].to(self._device)).cpu())
        return torch.cat(seen).numpy(), torch.cat(spoken).numpy()


def _none() -> Vectors:
    from dubflow.judging.full.syncnet.network import DIMENSIONS

    return np.zeros((0, DIMENSIONS), np.float32)
