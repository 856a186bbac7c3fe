"""Tokens with roles: what is given (reference) and what is made (target), of picture and of sound.

One object holds latents, positions, noise levels and validity of every token, and every change goes through it, so they
cannot fall out of step. Tokens are told apart by *role*, never by their noise level: a target token that is held clean
(a conditioned first frame) is a target all the same.

Sizes: ``B`` items, ``N`` tokens of a modality, ``C`` channels, ``D`` dimensions of position (time, y, x of picture;
time of sound).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self

import torch
from torch import Tensor

from dubflow.errors import WrongUse

Role = Literal["reference", "target"]
Order = Literal["ref_first", "target_first"]
AudioPositions = Literal["same", "negative"]

NEGATIVE_GAP_S = 0.04
"""Between the end of a reference at negative positions and the target: one audio token."""


@dataclass(frozen=True, eq=False)
class ModalityTokens:
    """The tokens of one modality: one stretch of targets, with all references before or after it.

    Attributes:
        latents: ``[B, N, C]``.
        positions: bounds in seconds and pixels, float32 ``[B, D, N, 2]``.
        level: noise level sigma of the targets, float32 ``[B]``.
        clean: bool ``[B, N]``, tokens without noise: all references, and targets that are held.
        valid: bool ``[B, N]``, False for padding.
        reference, target: which tokens; together all of them, side by side.
    """

    latents: Tensor
    positions: Tensor
    level: Tensor
    clean: Tensor
    valid: Tensor
    reference: slice
    target: slice

    @property
    def sigmas(self) -> Tensor:
        """Noise level of every token, float32 ``[B, N]``."""
        return torch.where(self.clean, torch.zeros_like(self.level)[:, None], self.level[:, None])

    @property
    def padded(self) -> bool:
        """Whether any token is padding."""
        return not bool(self.valid.all())

    def take(self, span: slice) -> Self:
        """Only these tokens, all of one role."""
        count = len(range(*span.indices(self.latents.shape[1])))
        of_target = span == self.target
        return replace(
            self,
            latents=self.latents[:, span],
            positions=self.positions[:, :, span],
            clean=self.clean[:, span],
            valid=self.valid[:, span],
            reference=slice(0, 0) if of_target else slice(0, count),
            target=slice(0, count) if of_target else slice(count, count),
        )

    def with_targets(self, latents: Tensor) -> Self:
        """Other targets ``[B, n, C]`` in the same places."""
        if latents.shape != self.latents[:, self.target].shape:
            expected = tuple(self.latents[:, self.target].shape)
            raise WrongUse("incontext.token_shape", f"Targets are {expected}, not {tuple(latents.shape)}.")
        before, after = self.latents[:, : self.target.start], self.latents[:, self.target.stop :]
        return replace(self, latents=torch.cat([before, latents.to(self.latents.dtype), after], dim=1))

    def with_reference(self, latents: Tensor, positions: Tensor, valid: Tensor, order: Order) -> Self:
        """One more reference, clean, next to the targets' other references.

        Raises:
            WrongUse: ``incontext.token_order`` when earlier references stand on the other side.
        """
        if self.reference.stop > self.reference.start and order != self.order:
            raise WrongUse("incontext.token_order", f"References stand {self.order}; one more cannot be {order}.")
        new = (latents.to(self.latents), positions.to(self.positions), torch.ones_like(valid), valid)
        old = (self.latents, self.positions, self.clean, self.valid)
        count = latents.shape[1]
        # References stay in the order in which they were appended, on their side of the targets.
        place = self.reference.stop if order == "ref_first" else old[0].shape[1]
        parts = [
            torch.cat(
                [one.narrow(dim, 0, place), more, one.narrow(dim, place, one.shape[dim] - place)],
                dim=dim,
            )
            for one, more, dim in zip(old, new, (1, 2, 1, 1), strict=True)
        ]
        targets = self.target.stop - self.target.start
        references = self.reference.stop - self.reference.start + count
        first = order == "ref_first"
        return replace(
            self,
            latents=parts[0],
            positions=parts[1],
            clean=parts[2],
            valid=parts[3],
            reference=slice(0, references) if first else slice(targets, targets + references),
            target=slice(references, references + targets) if first else slice(0, targets),
        )

    @property
    def order(self) -> Order:
        """On which side the references stand."""
        return "target_first" if self.target.start == 0 and self.reference.stop > self.reference.start else "ref_first"

    def repeat(self, times: int) -> Self:
        """The whole batch ``times`` over: ``[times * B, ...]``."""
        return self._each(lambda one: torch.cat([one] * times, dim=0))

    def to(self, device: torch.device | str) -> Self:
        """The same on another device."""
        return self._each(lambda one: one.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        return replace(
            self,
            latents=change(self.latents),
            positions=change(self.positions),
            level=change(self.level),
            clean=change(self.clean),
            valid=change(self.valid),
        )


@dataclass(frozen=True, eq=False)
class ContextTokens:
    """Picture and sound of a batch, with their roles."""

    video: ModalityTokens
    audio: ModalityTokens

    @classmethod
    def of_targets(
        cls,
        video: Tensor,
        video_positions: Tensor,
        audio: Tensor,
        audio_positions: Tensor,
        *,
        sigma: Tensor | float = 1.0,
        audio_sigma: Tensor | float | None = None,
        held: Tensor | None = None,
        audio_held: Tensor | None = None,
    ) -> Self:
        """Targets alone.

        Args:
            video, audio: ``[B, N, C]``. video_positions, audio_positions: ``[B or 1, D, N, 2]``.
            sigma: noise level in 0..1, ``[B]`` or one for all; ``audio_sigma``: the sound's own, by default the same.
            held, audio_held: bool ``[B, N]``, targets that are clean and stay so (a conditioned first frame).

        Raises:
            WrongUse: ``incontext.token_shape``.
        """
        own = sigma if audio_sigma is None else audio_sigma
        return cls(_targets(video, video_positions, sigma, held), _targets(audio, audio_positions, own, audio_held))

    def append_reference(
        self,
        video: Tensor | None = None,
        audio: Tensor | None = None,
        *,
        order: Order = "ref_first",
        audio_positions: AudioPositions = "same",
    ) -> Self:
        """The same with clean references.

        Args:
            video, audio: ``[B, n, C]``; None leaves the modality without. At shared positions ``n`` is the targets'
                count (Sec. 3.3 of the paper: context tokens have the positions of their targets).
            audio_positions: ``same``, or ``negative``: the reference is moved before the target by its own duration
                and :data:`NEGATIVE_GAP_S`, as the official successor of the paper's pipeline has it.

        Raises:
            WrongUse: ``incontext.token_shape``, ``incontext.token_order``.
        """
        changed = self
        if video is not None:
            changed = replace(changed, video=_referenced(self.video, video, order, "same"))
        if audio is not None:
            changed = replace(changed, audio=_referenced(self.audio, audio, order, audio_positions))
        return changed

    def at(self, sigma: Tensor | float, audio_sigma: Tensor | float | None = None) -> Self:
        """The same tokens called ``sigma`` noisy; latents are not touched."""
        own = sigma if audio_sigma is None else audio_sigma
        return replace(
            self,
            video=replace(self.video, level=_level(sigma, self.video.latents)),
            audio=replace(self.audio, level=_level(own, self.audio.latents)),
        )

    def with_targets(self, video: Tensor, audio: Tensor) -> Self:
        """Other targets in the same places."""
        return replace(self, video=self.video.with_targets(video), audio=self.audio.with_targets(audio))

    def targets(self) -> Self:
        """Without references."""
        return replace(self, video=self.video.take(self.video.target), audio=self.audio.take(self.audio.target))

    def references(self) -> Self:
        """Without targets."""
        return replace(self, video=self.video.take(self.video.reference), audio=self.audio.take(self.audio.reference))

    def repeat(self, times: int) -> Self:
        """The batch ``times`` over."""
        return replace(self, video=self.video.repeat(times), audio=self.audio.repeat(times))

    def to(self, device: torch.device | str) -> Self:
        """The same on another device."""
        return replace(self, video=self.video.to(device), audio=self.audio.to(device))

    @property
    def batch(self) -> int:
        """How many items."""
        return self.video.latents.shape[0]

    @property
    def order(self) -> Order:
        """On which side the references stand; every helper that slices must know it."""
        return self.video.order


def batched(items: Sequence[ContextTokens]) -> ContextTokens:
    """Items of any lengths as one batch: each role of each modality padded to its longest.

    Raises:
        WrongUse: ``incontext.token_order`` when references stand on different sides; ``incontext.empty_batch``.
    """
    if not items:
        raise WrongUse("incontext.empty_batch", "There is no item to put into a batch.")
    return ContextTokens(_padded([one.video for one in items]), _padded([one.audio for one in items]))


def _level(sigma: Tensor | float, latents: Tensor) -> Tensor:
    level = torch.as_tensor(sigma, dtype=torch.float32, device=latents.device)
    return level.expand(latents.shape[0]) if level.ndim == 0 else level


def _targets(latents: Tensor, positions: Tensor, sigma: Tensor | float, held: Tensor | None) -> ModalityTokens:
    if latents.ndim != 3 or positions.ndim != 4 or positions.shape[2:] != (latents.shape[1], 2):
        raise WrongUse(
            "incontext.token_shape",
            f"Latents {tuple(latents.shape)} and positions {tuple(positions.shape)} do not belong together.",
            "Give [B, N, C] and [B, D, N, 2].",
        )
    batch, count, _ = latents.shape
    level = _level(sigma, latents)
    if level.shape != (batch,):
        raise WrongUse("incontext.token_shape", f"{batch} items have {batch} noise levels, not {tuple(level.shape)}.")
    return ModalityTokens(
        latents=latents,
        # Positions are float32 whatever the model computes in: bfloat16 would be off by half a frame after seconds.
        positions=positions.to(latents.device, torch.float32).expand(batch, -1, -1, -1),
        level=level,
        clean=torch.zeros(batch, count, dtype=torch.bool, device=latents.device) if held is None else held,
        valid=torch.ones(batch, count, dtype=torch.bool, device=latents.device),
        reference=slice(0, 0),
        target=slice(0, count),
    )


def _referenced(tokens: ModalityTokens, latents: Tensor, order: Order, where: AudioPositions) -> ModalityTokens:
    targets = tokens.take(tokens.target)
    if latents.shape != targets.latents.shape:
        raise WrongUse(
            "incontext.token_shape",
            f"A reference at its target's positions is {tuple(targets.latents.shape)}, not {tuple(latents.shape)}.",
            "Encode both from clips of one size and length.",
        )
    positions = targets.positions
    if where == "negative":
        ends = torch.where(targets.valid[:, None], positions[..., 1], 0.0).amax(dim=-1)
        positions = positions - ends[..., None, None] - NEGATIVE_GAP_S
    return tokens.with_reference(latents, positions, targets.valid, order)


def _padded(items: Sequence[ModalityTokens]) -> ModalityTokens:
    sides = {one.order for one in items if one.reference.stop > one.reference.start}
    if len(sides) > 1:
        raise WrongUse("incontext.token_order", "References of one batch stand on one side of their targets.")
    first: Order = sides.pop() if sides else "ref_first"
    references = max(one.reference.stop - one.reference.start for one in items)
    targets = max(one.target.stop - one.target.start for one in items)
    spans = (
        (slice(0, references), slice(references, references + targets))
        if first == "ref_first"
        else (slice(targets, targets + references), slice(0, targets))
    )

    def merged(name: str, dim: int, fill: bool) -> Tensor:
        rows = []
        for one in items:
            values: Tensor = getattr(one, name)
            shape = list(values.shape)
            shape[dim] = references + targets
            row = values.new_full(shape, fill)
            for span, own in zip(spans, (one.reference, one.target), strict=True):
                count = own.stop - own.start
                row.narrow(dim, span.start, count).copy_(values.narrow(dim, own.start, count))
            rows.append(row)
        return torch.cat(rows, dim=0)

    return ModalityTokens(
        latents=merged("latents", 1, False),
        positions=merged("positions", 2, False),
        level=torch.cat([one.level for one in items]),
        clean=merged("clean", 1, True),
        valid=merged("valid", 1, False),
        reference=spans[0],
        target=spans[1],
    )
