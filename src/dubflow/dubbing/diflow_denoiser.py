"""Second of DiFlowDubber's three steps: features into codec tokens. Only this one wants the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from dubflow.diflow.flow.samplers import SamplerSettings
from dubflow.diflow.inference.clips import dub_followed
from dubflow.diflow.inference.following import Follow
from dubflow.diflow.inference.items import SilentClip
from dubflow.diflow.inference.settings import InferenceSettings
from dubflow.diflow.nets.dubber import DubberNetwork
from dubflow.dubbing.drawn import DrawnSegment
from dubflow.dubbing.request import DubOptions


class DiflowDenoiser:
    """A network where it computes."""

    def __init__(self, network: DubberNetwork, *, batch_items: int = 16, device: str | None = None) -> None:
        """
        Args:
            device: of torch; by default the graphics card if there is one.
        """
        self._network = network.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._batch_items = batch_items

    def draw(
        self, clips: Sequence[SilentClip], options: Sequence[DubOptions], follow: Follow
    ) -> list[DrawnSegment | None]:
        """Tokens of segments, each with its options; those asked with equal options share batches.

        Returns:
            One a segment, in order; None where it was dropped.

        Raises:
            BadInput, WrongUse, OurFault: as :func:`dubflow.diflow.inference.clips.dub_clips`.
        """
        drawn: dict[int, DrawnSegment] = {}
        alike: dict[InferenceSettings, list[int]] = {}
        for number, own in enumerate(options):
            alike.setdefault(self._settings(own), []).append(number)
        for settings, numbers in alike.items():
            dubbed = dub_followed(self._network, [clips[n] for n in numbers], settings, _Numbered(follow, numbers))
            drawn.update((n, DrawnSegment.of(one)) for n, one in zip(numbers, dubbed, strict=True) if one is not None)
        return [drawn.get(number) for number in range(len(clips))]

    def _settings(self, options: DubOptions) -> InferenceSettings:
        sampler = SamplerSettings(method=options.method, steps=options.steps, temperature=options.temperature)
        return InferenceSettings(sampler=sampler, seed=options.seed, batch_items=self._batch_items)


@dataclass(frozen=True)
class _Numbered:
    """Follows some of the items under the numbers that they have among all."""

    follow: Follow
    numbers: Sequence[int]

    def stopped(self, item: int) -> bool:
        return self.follow.stopped(self.numbers[item])

    def step(self, items: Sequence[int], share: float) -> None:
        self.follow.step([self.numbers[item] for item in items], share)
