"""Attention in float32 on a processor, whatever the rest computes in."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention as attention

from dubflow.training.attention import quick_attention

CPU = torch.device("cpu")


def heads(dtype: torch.dtype) -> list[torch.Tensor]:
    source = torch.Generator().manual_seed(0)
    return [torch.randn(2, 3, 7, 4, generator=source).to(dtype).requires_grad_() for _ in range(3)]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("cast", [False, True])
def test_it_is_that_of_float32_to_the_bit_and_answers_as_asked(dtype: torch.dtype, cast: bool) -> None:
    mask = torch.tensor([True] * 5 + [False] * 2)[None, None, None]
    query, key, value = heads(dtype)
    with torch.autocast("cpu", torch.bfloat16, enabled=cast), quick_attention(CPU):
        found = attention(query, key, value, attn_mask=mask)
    found.float().sum().backward()
    wide = [one.detach().float().requires_grad_() for one in (query, key, value)]
    expected = attention(*wide, attn_mask=mask)
    expected.to(dtype).float().sum().backward()
    assert found.dtype == dtype
    assert torch.equal(found, expected.to(dtype))
    for one, other in zip((query, key, value), wide, strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert torch.equal(one.grad, other.grad.to(dtype))


def test_an_additive_mask_and_names_are_taken_too() -> None:
    query, key, value = heads(torch.bfloat16)
    mask = torch.zeros(1, 1, 1, 7, dtype=torch.bfloat16).index_fill(3, torch.tensor([6]), float("-inf"))
    with quick_attention(CPU):
        found = attention(query=query, key=key, value=value, attn_mask=mask)
        assert torch.equal(attention(query, key, value, attn_mask=mask), found)
    assert torch.equal(found, attention(query.float(), key.float(), value.float(), attn_mask=mask.float()).bfloat16())


def test_elsewhere_and_afterwards_nothing_changes() -> None:
    query, key, value = heads(torch.bfloat16)
    plain = attention(query, key, value)
    with quick_attention(torch.device("meta")):
        assert torch.equal(attention(query, key, value), plain)
    with quick_attention(CPU):
        pass
    assert torch.equal(attention(query, key, value), plain)
