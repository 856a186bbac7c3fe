"""FACodec as a :class:`~dubflow.speech.codecs.Codec`: waveforms of any length in bounded memory.

The networks run over windows on a fixed grid. A window sees as much of its neighbours as an output can depend on (its
halo, computed from the layers), so what it keeps is what the whole file would have given, and a stream gives the same
as the file whatever blocks it arrives in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate

import numpy as np
import torch
from numpy.typing import NDArray

from dubflow.errors import BadInput
from dubflow.speech.codecs import Tokens
from dubflow.speech.codecs.facodec.checkpoint import Network
from dubflow.speech.codecs.facodec.config import HOP, SAMPLE_RATE, FacodecConfig
from dubflow.speech.codecs.facodec.weightnorm import fold_weights
from dubflow.speech.codecs.facodec.windows import Grid, Window, windows


class FacodecCodec:
    """Encodes and decodes one utterance at a time: nothing depends on what else is encoded before or beside it.

    The same build of torch with the same number of threads gives the same bytes. Memory is that of one window
    (``chunk_seconds`` and the halo; about 0.35 GB at the published size) and of the frames of the speaker vector,
    however long the audio is.
    """

    def __init__(self, network: Network, *, device: str = "cpu", chunk_seconds: float = 2.0) -> None:
        self._network = network
        self._device = torch.device(device)
        for part in (network.encoder, network.decoder):
            fold_weights(part.to(self._device).eval().requires_grad_(False))
        chunk = max(1, round(chunk_seconds * SAMPLE_RATE / HOP))
        self._encoding = Grid(HOP, chunk, *network.encoder.halo())
        self._decoding = Grid(1, chunk, *network.decoder.halo())

    @property
    def id(self) -> str:
        """``facodec-1-`` and a digest of weights and settings."""
        return self._network.id

    @property
    def config(self) -> FacodecConfig:
        """Size of the networks."""
        return self._network.config

    def encode(self, waveform: NDArray[np.float32]) -> Tokens:
        """Tokens of a 16 kHz mono waveform ``[N]`` in -1..1; ``L = ceil(N / 200)``, the last frame filled with zeros.

        Raises:
            BadInput: ``speech.bad_waveform``.
        """
        return self.encode_stream([waveform])

    def encode_stream(self, blocks: Iterable[NDArray[np.float32]]) -> Tokens:
        """Tokens of waveform blocks ``[n]`` laid end to end; the same as of the whole, whatever the blocks.

        The speaker vector is that of the first ``config.speaker_seconds``.

        Raises:
            BadInput: ``speech.bad_waveform``.
        """
        codes: list[NDArray[np.int64]] = []
        heard: list[torch.Tensor] = []
        wanted = self.config.speaker_frames
        for window in windows(map(_checked, blocks), self._encoding):
            latents = self._latents(window)
            codes.append(self._codes(latents))
            if wanted:
                heard.append(latents[:, :wanted])
                wanted -= heard[-1].shape[1]
        if not codes:
            raise BadInput("speech.bad_waveform", "A waveform without samples has no tokens.", "Give some audio.")
        with torch.inference_mode():
            speaker = self._network.decoder.speaker(torch.cat(heard, dim=1))[0]
        ends = list(accumulate(Tokens.BOOKS.values()))
        books = np.split(np.concatenate(codes, axis=1), ends[:-1])
        return Tokens(**dict(zip(Tokens.BOOKS, books, strict=True)), speaker=speaker.cpu().numpy())

    def decode(self, tokens: Tokens) -> NDArray[np.float32]:
        """A 16 kHz mono waveform ``[200 L]`` in -1..1.

        Raises:
            BadInput: ``speech.bad_tokens``.
        """
        return np.concatenate([np.zeros(0, np.float32), *self.decode_stream(tokens)])

    def decode_stream(self, tokens: Tokens) -> Iterator[NDArray[np.float32]]:
        """The waveform of :meth:`decode` in consecutive blocks ``[n]``, each computed when it is asked for.

        Raises:
            BadInput: ``speech.bad_tokens``.
        """
        if tokens.speaker.shape != (self.config.latent_dim,):
            raise BadInput(
                "speech.bad_tokens",
                f"The speaker vector has {tokens.speaker.size} values; {self.id} speaks with {self.config.latent_dim}.",
                "Decode with the codec that encoded.",
            )
        return self._decoded(tokens)

    def _decoded(self, tokens: Tokens) -> Iterator[NDArray[np.float32]]:
        decoder = self._network.decoder
        speaker = torch.from_numpy(tokens.speaker).to(self._device)[None]
        codes = np.concatenate([getattr(tokens, name) for name in Tokens.BOOKS])
        for window in windows([codes], self._decoding):
            with torch.inference_mode():
                own = torch.from_numpy(window.values).to(self._device)[:, None]
                waveform = decoder(decoder.embed(own), speaker)[0]
            first = window.skip * HOP
            yield waveform[first : first + window.keep * HOP].cpu().numpy()

    def _latents(self, window: Window) -> torch.Tensor:
        """The window's own frames ``[1, keep, C]``."""
        with torch.inference_mode():
            latents: torch.Tensor = self._network.encoder(torch.from_numpy(window.values).to(self._device)[None])
        return latents[:, window.skip : window.skip + window.keep]

    def _codes(self, latents: torch.Tensor) -> NDArray[np.int64]:
        """Codes ``[6, L]``."""
        with torch.inference_mode():
            codes: NDArray[np.int64] = self._network.decoder.quantize(latents)[:, 0].cpu().numpy()
        return codes


def _checked(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    audio = np.asarray(waveform)
    if audio.ndim != 1 or not np.issubdtype(audio.dtype, np.floating) or not np.isfinite(audio).all():
        raise BadInput(
            "speech.bad_waveform",
            f"A waveform is finite floats of shape [N], not {audio.dtype} {list(audio.shape)}.",
            "Read the audio with dubflow.media.",
        )
    return audio.astype(np.float32, copy=False)
