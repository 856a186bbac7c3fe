"""Training's noise levels: the known shifts, the law of the draw, the options."""

from __future__ import annotations

import math

import pytest
import torch

from dubflow.incontext.flow.levels import LevelSettings, draw_levels, shift_of


def sources(count: int, seed: int = 0) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed * 100_000 + number) for number in range(count)]


@pytest.mark.parametrize(("tokens", "shift"), [(1024, 0.95), (4096, 2.05), (3520, 1.84375), (8160, 3.505208)])
def test_the_shift_is_a_line_that_is_not_clamped(tokens: int, shift: float) -> None:
    assert shift_of(tokens) == pytest.approx(shift, abs=1e-5)


def test_levels_are_logit_normal_about_the_shift() -> None:
    levels, sound = draw_levels(sources(4000), 3520)
    assert torch.equal(levels, sound)
    normal = torch.logit(levels.double())
    # The mean of 4,000 draws stands within 5 / sqrt(4000) of mu.
    assert float(normal.mean()) == pytest.approx(shift_of(3520), abs=5 / math.sqrt(4000))
    assert float(normal.std()) == pytest.approx(1.0, abs=0.06)
    # Kolmogorov-Smirnov against N(mu, 1): 1.63 / sqrt(n) is the 1 % point.
    ordered = torch.special.ndtr(normal.sort().values - shift_of(3520))
    even = torch.arange(1, 4001, dtype=torch.float64) / 4000
    assert float((ordered - even).abs().max()) < 1.63 / math.sqrt(4000)


def test_stretched_levels_cover_everything_and_some_are_uniform() -> None:
    plain, _ = draw_levels(sources(1000), 3520)
    levels, _ = draw_levels(sources(1000), 3520, LevelSettings(stretched=True))
    assert 0 < float(levels.min()) < 0.05 < float(plain.min())
    assert float(levels.max()) <= 1.0
    uniform, _ = draw_levels(sources(1000), 3520, LevelSettings(stretched=True, uniform_share=1.0))
    assert float(uniform.mean()) == pytest.approx(0.5, abs=0.05)
    assert float(uniform.min()) >= 1e-3
    # Without the uniform share the median is that of the logistic, stretched.
    none, _ = draw_levels(sources(1000), 3520, LevelSettings(stretched=True, uniform_share=0.0))
    low, high, middle = (torch.sigmoid(torch.tensor(shift_of(3520) + z)).item() for z in (-2.5758, 3.0902, 0.0))
    assert float(none.median()) == pytest.approx((middle - low) / (high - low), abs=0.04)


def test_tokens_may_be_counted_up_to_a_limit() -> None:
    many = draw_levels(sources(50), 8160, LevelSettings(most_tokens=4096))[0]
    assert torch.equal(many, draw_levels(sources(50), 4096)[0])


def test_a_level_hangs_on_its_item_and_modalities_may_have_their_own() -> None:
    both = LevelSettings(per_modality=True)
    video, sound = draw_levels(sources(20), 2048, both)
    assert not torch.equal(video, sound)
    alone = draw_levels(sources(20)[7:8], 2048, both)
    assert torch.equal(alone[0], video[7:8])
    assert torch.equal(alone[1], sound[7:8])
