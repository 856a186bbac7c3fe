r"""From all masked to tokens: the exact and the Euler sampler.

Both go over a grid :math:`0 = t_0 < \dots < t_n = 1`. In each step every masked token is revealed with some chance, and
a revealed token is drawn from the denoiser's posterior at the step's start. They differ in the chance alone:

- ``exact``: :math:`(\kappa_s - \kappa_t) / (1 - \kappa_t)`, the true chance over a step of any size;
- ``euler``: :math:`1 - e^{-h \dot\kappa_t / (1 - \kappa_t)}`, tau-leaping on the velocity of Eq. 8. It tends to
  ``exact`` as the steps shrink; its first step at t = 0 reveals nothing.

In the last step whatever is still masked is revealed (for ``exact`` that is what the formula says), so no mask is left,
and with one step everything is drawn at once. A visible token never changes.

A masked source lets the moments of revelation be drawn before anything is known of the tokens: with F the chance to be
revealed by the end of a step, a position whose uniform number u has :math:`F_i \le u < F_{i+1}` is revealed in step i.
Hence two numbers a position are all the noise of a sample, however many steps; the denoiser is not asked in a step that
reveals nothing; and a seed reveals in nearly the same order whatever the number of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, Protocol, runtime_checkable

import torch
from pydantic import Field
from torch import Tensor

from dubflow.config import Strict
from dubflow.diflow.flow.categorical import code_logits, draw_codes
from dubflow.diflow.flow.noise import generators, uniform
from dubflow.diflow.flow.schedule import PAPER_SCHEDULE, PolynomialSchedule
from dubflow.diflow.flow.velocity import jump_probability
from dubflow.diflow.flow.vocabulary import CODEC, Vocabulary


class Denoiser(Protocol):
    """The posterior of the target given a corrupted sequence, with its conditioning already inside."""

    def __call__(self, tokens: Tensor, t: Tensor) -> Tensor:
        """Logits ``[B, Q, L, V]`` for ``x_t`` ``[B, Q, L]`` (codes, mask, pad) and float32 times ``[B]``."""


@runtime_checkable
class SparseDenoiser(Protocol):
    """A denoiser that is told all times beforehand, and in each step where its answer is needed."""

    def begin(self, times: Tensor) -> Callable[[int, Tensor, Tensor], Tensor]:
        """For float32 ``times`` ``[steps]``: a function of the step's index, ``x_t`` ``[B, Q, L]`` and a boolean mask
        ``[B, Q, L]`` of M positions, that answers their logits ``[M, V]`` in the mask's order."""


class SamplerSettings(Strict):
    """How tokens are drawn."""

    method: Literal["exact", "euler"] = Field("exact", description="Chance of revelation in a step; euler for parity.")
    steps: int = Field(16, ge=1, le=128, description="Number of function evaluations (NFE).")
    temperature: float = Field(1.0, ge=0, le=10, description="Divides the logits; 0 takes the likeliest code.")
    grid: Literal["time", "share"] = Field(
        "time", description="Steps of equal time, or steps that reveal equal shares of the tokens."
    )


def time_grid(settings: SamplerSettings, schedule: PolynomialSchedule = PAPER_SCHEDULE) -> Tensor:
    """Times from 0 to 1, float64 ``[steps + 1]``."""
    even = torch.linspace(0, 1, settings.steps + 1, dtype=torch.float64)
    return even if settings.grid == "time" else schedule.kappa_inverse(even)


def reveal_chances(settings: SamplerSettings, schedule: PolynomialSchedule = PAPER_SCHEDULE) -> Tensor:
    """Chance that a token masked at the start of each step is revealed in it, float64 ``[steps]``; the last is 1."""
    grid = time_grid(settings, schedule)
    start, end = grid[:-1], grid[1:]
    chances = (
        schedule.reveal(start, end) if settings.method == "exact" else jump_probability(start, end - start, schedule)
    )
    chances[-1] = 1
    return chances


def revealed_by(chances: Tensor) -> Tensor:
    """Chance to be visible at the end of each step, ``[steps]``, from the chances within the steps ``[steps]``."""
    return 1 - torch.cumprod(1 - chances, dim=0)


def trajectory(
    denoiser: Denoiser | SparseDenoiser,
    lengths: Sequence[int],
    seeds: Sequence[int],
    settings: SamplerSettings,
    *,
    books: int,
    schedule: PolynomialSchedule = PAPER_SCHEDULE,
    vocabulary: Vocabulary = CODEC,
    device: torch.device | str = "cpu",
) -> Iterator[Tensor]:
    """The state after each step, integers ``[B, books, max(lengths)]``: codes, mask, and pad beyond an item's length.

    Args:
        denoiser: asked at most once a step, always for the whole batch.
        lengths: tokens of each of the B items.
        seeds: one an item; an item's tokens depend on its seed, its length and its logits, not on the batch.
        books: parallel streams, ``m + k`` = 4 in the paper.

    Raises:
        WrongUse: ``diflow.bad_lengths``, ``diflow.bad_logits``.
        OurFault: ``diflow.not_finite``.
    """
    sources = generators(seeds)
    moments = uniform(sources, books, lengths).to(device)
    shares = uniform(sources, books, lengths).to(device)
    ends = revealed_by(reveal_chances(settings, schedule)).to(device)
    step_of = torch.searchsorted(ends, moments, right=True)

    inside = torch.arange(max(lengths), device=device) < torch.tensor(lengths, device=device).unsqueeze(-1)
    inside = inside.unsqueeze(1).expand_as(step_of)
    tokens = torch.where(inside, vocabulary.mask, vocabulary.pad)
    times = time_grid(settings, schedule)[:-1].to(device, torch.float32)
    ask = denoiser.begin(times) if isinstance(denoiser, SparseDenoiser) else _asking_everywhere(denoiser, times)
    for step in range(settings.steps):
        revealed = inside & (step_of == step)
        if bool(revealed.any()):
            logits = code_logits(ask(step, tokens, revealed), vocabulary)
            tokens = tokens.masked_scatter(revealed, draw_codes(logits, shares[revealed], settings.temperature))
        yield tokens


def _asking_everywhere(denoiser: Denoiser, times: Tensor) -> Callable[[int, Tensor, Tensor], Tensor]:
    def ask(step: int, tokens: Tensor, revealed: Tensor) -> Tensor:
        return denoiser(tokens, times[step].expand(len(tokens)))[revealed]

    return ask


def sample(
    denoiser: Denoiser | SparseDenoiser,
    lengths: Sequence[int],
    seeds: Sequence[int],
    settings: SamplerSettings,
    *,
    books: int,
    schedule: PolynomialSchedule = PAPER_SCHEDULE,
    vocabulary: Vocabulary = CODEC,
    device: torch.device | str = "cpu",
    between: Callable[[int], None] | None = None,
) -> Tensor:
    """The last state of :func:`trajectory`: codes ``[B, books, max(lengths)]``, pad beyond an item's length.

    Args:
        between: called with the number of steps done before each step and after the last; ends the flow by raising.
    """
    states = trajectory(
        denoiser, lengths, seeds, settings, books=books, schedule=schedule, vocabulary=vocabulary, device=device
    )
    if between is None:
        *_, tokens = states
        return tokens
    between(0)
    for done, tokens in enumerate(states, 1):  # noqa: B007 - the last one is the answer
        between(done)
    return tokens
