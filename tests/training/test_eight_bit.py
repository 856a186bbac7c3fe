"""Weights in eight bits: how far they move, and what is left alone."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from dubflow.training.eight_bit import LEAST, SCALE, STEPS, packed, unpacked

SHAPES = st.sampled_from([(64, 64), (32, 16, 3, 3), (4096, 1), (2, 2048), (128, 32, 5)])


@given(SHAPES, st.floats(1e-6, 1e6), st.integers(0, 2**31 - 1))
def test_no_number_moves_by_more_than_half_a_step_of_its_row(shape, size, seed):
    weights = size * torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    (back,) = unpacked(packed({"w": weights})).values()
    step = weights.abs().amax(dim=tuple(range(1, len(shape))), keepdim=True) / STEPS
    assert bool(((back - weights).abs() <= 0.5 * step * (1 + 1e-4)).all())


@given(SHAPES, st.integers(0, 2**31 - 1))
def test_a_second_time_changes_nothing(shape, seed):
    weights = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    once = unpacked(packed({"w": weights}))
    torch.testing.assert_close(unpacked(packed(once))["w"], once["w"], rtol=1e-6, atol=0)


def test_it_takes_a_quarter_and_leaves_the_small_alone():
    tensors = {
        "matrix": torch.randn(256, 512),
        "vector": torch.randn(LEAST),
        "small": torch.randn(8, 8),
        "counts": torch.arange(LEAST).reshape(2, -1),
        "empty rows": torch.zeros(64, 64),
    }
    found = packed(tensors)
    assert {name for name in found if name.endswith(SCALE)} == {f"matrix{SCALE}", f"empty rows{SCALE}"}
    assert found["matrix"].nbytes * 4 == tensors["matrix"].nbytes
    assert all(found[name] is tensors[name] for name in ("vector", "small", "counts"))
    assert not unpacked(found)["empty rows"].any()
    assert unpacked(found).keys() == tensors.keys()
