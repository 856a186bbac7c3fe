r"""The denoiser over the steps of a sample, without what nobody asks for.

The same network as :class:`~dubflow.diflow.nets.denoiser.FlowDenoiser`, and up to rounding the same logits, with less
work:

- Padding is not computed: the positions of all items lie behind one another, ``[P, D]``, and attention goes item by
  item.
- A step needs logits only where a token is revealed. The last block therefore forms keys and values of all positions
  but asks, feeds forward and predicts for the revealed ones alone. (Attention looks both ways, so nothing of the
  condition stays the same over the blocks, and no other block can be shortened.)
- ``W_q E(x_q)`` changes only where a token was revealed, so each position of each book is looked up twice in a sample.
- The modulations of all blocks depend on time and speaker alone: many steps are one product of matrices.

Matrix products go through oneDNN on a processor, which also applies GELU on the way; elsewhere through PyTorch.

Letters: B batch, R condition tokens, L target tokens, Q = m + k books, P positions of all items, M revealed tokens,
D width, H heads, V codes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from dubflow.diflow.nets.dit import DitBlock
from dubflow.diflow.nets.positions import Rotation

if TYPE_CHECKING:
    from dubflow.diflow.nets.denoiser import Context, FlowDenoiser

Precision = Literal["weights", "bfloat16"]
"""Matrix products in the weights' own type, or weights and inputs rounded to bfloat16 (sums stay in float32)."""

_ROWS_AT_ONCE = 256  # modulations of 8 blocks of width 768: 38 MiB


def line(x: Tensor, weight: Tensor, bias: Tensor, *, gelu: bool = False, form: str = "tanh") -> Tensor:
    """``x W' + b`` for ``x`` ``[M, inputs]``, computed in the type of ``weight``; then GELU if asked.

    ``form`` is PyTorch's name for how GELU is computed: ``tanh``, or ``none`` for exactly.
    """
    x = x.to(weight.dtype)
    if x.device.type == "cpu" and x.dtype in (torch.float32, torch.bfloat16) and _ONEDNN and x.shape[0]:
        done: Tensor = torch.ops.mkldnn._linear_pointwise(
            x.contiguous(), weight, bias, "gelu" if gelu else "none", [], form if gelu else ""
        )
        return done
    done = functional.linear(x, weight, bias)
    return functional.gelu(done, approximate=form) if gelu else done


_ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")  # type: ignore[no-untyped-call]


class _Line:
    """A linear layer, or some rows of its weight, in the type that its products are computed in."""

    def __init__(self, layer: nn.Linear, dtype: torch.dtype, rows: slice = slice(None)) -> None:
        self.weight = layer.weight.detach()[rows].to(dtype)
        self.bias = layer.bias.detach()[rows].to(dtype)

    def __call__(self, x: Tensor, *, gelu: bool = False, form: str = "tanh") -> Tensor:
        """``[M, inputs]`` to ``[M, outputs]``."""
        return line(x, self.weight, self.bias, gelu=gelu, form=form)


@dataclass(frozen=True)
class _Packed:
    """Where the positions of a batch lie when they stand behind one another.

    Attributes:
        rows: index of each packed position in ``[B (R + L)]``, ``[P]``; items in order, condition before target.
        place: the reverse, ``[B, R + L]``; -1 for padding.
        item: item of each packed position, ``[P]``.
        counts: positions of each item.
    """

    rows: Tensor
    place: Tensor
    item: Tensor
    counts: list[int]

    @classmethod
    def of(cls, inside: Tensor) -> _Packed:
        """``inside`` ``[B, R + L]``."""
        rows = inside.flatten().nonzero().squeeze(-1)
        place = torch.full((inside.numel(),), -1, device=inside.device)
        place[rows] = torch.arange(len(rows), device=inside.device)
        return cls(
            rows, place.view_as(inside), rows.div(inside.shape[1], rounding_mode="floor"), inside.sum(dim=1).tolist()
        )

    def attend(self, query: Tensor, key: Tensor, value: Tensor, asked: list[int]) -> Tensor:
        """Attention of each item within itself.

        Args:
            query: ``[A, H, D / H]``, items in order, ``asked`` rows each.
            key: ``[P, H, D / H]``, as is ``value``.
            asked: queries of each item.

        Returns:
            ``[A, D]``.
        """
        attention = functional.scaled_dot_product_attention
        if len(set(self.counts)) == 1 and len(set(asked)) == 1:  # nothing is ragged: one call for all
            q, k, v = (x.reshape(len(asked), -1, *x.shape[1:]).transpose(1, 2) for x in (query, key, value))
            return attention(q, k, v).transpose(1, 2).flatten(0, 1).flatten(1)
        ragged = ((query, asked), (key, self.counts), (value, self.counts))
        items = zip(*(torch.split(x.transpose(0, 1), counts, dim=1) for x, counts in ragged), strict=True)
        mixed = [attention(q[None], k[None], v[None])[0].transpose(0, 1) for q, k, v in items if q.shape[1]]
        return torch.cat(mixed).flatten(1)


class _Block:
    """One Diffusion Transformer block over packed positions."""

    def __init__(self, block: DitBlock, dtype: torch.dtype) -> None:
        width = block.attention.output.in_features
        self.heads, self.width, self.form = block.attention.heads, width, block.gelu
        self.inputs = _Line(block.attention.inputs, dtype)
        self.query = _Line(block.attention.inputs, dtype, slice(0, width))
        self.memory = _Line(block.attention.inputs, dtype, slice(width, 3 * width))
        self.output = _Line(block.attention.output, dtype)
        self.widen, self.narrow = (_Line(part, dtype) for part in block.feed_forward if isinstance(part, nn.Linear))

    def all_of(self, x: Tensor, vectors: Vectors, packed: _Packed, rotation: Rotation) -> Tensor:
        """Every position, ``[P, D]`` to ``[P, D]``; overwrites ``x``."""
        parts = self.inputs(vectors.modulated(x, 0)).view(len(x), 3, self.heads, -1)
        turned = rotation.turn(parts[:, :2])
        mixed = packed.attend(turned[:, 0], turned[:, 1], parts[:, 2], packed.counts)
        return self._rest(x, mixed, vectors)

    def some_of(self, x: Tensor, vectors: Vectors, packed: _Packed, rotation: Rotation, asked: Tensor) -> Tensor:
        """Positions ``asked`` ``[A]`` (sorted), of ``x`` ``[P, D]``: ``[A, D]``."""
        normal = vectors.modulated(x, 0)
        memory = self.memory(normal).view(len(x), 2, self.heads, -1)
        query = self.query(normal[asked]).view(len(asked), self.heads, -1)
        item = packed.item[asked]
        counts = torch.bincount(item, minlength=len(packed.counts)).tolist()
        there = Rotation(rotation.cos[asked, 0], rotation.sin[asked, 0])
        everywhere = Rotation(rotation.cos[:, 0], rotation.sin[:, 0])
        mixed = packed.attend(there.turn(query), everywhere.turn(memory[:, 0]), memory[:, 1], counts)
        return self._rest(x[asked], mixed, vectors.at(item))

    def _rest(self, x: Tensor, mixed: Tensor, vectors: Vectors) -> Tensor:
        x = x.addcmul_(vectors[2], self.output(mixed).to(x.dtype))
        hidden = self.widen(vectors.modulated(x, 3), gelu=True, form=self.form)
        return x.addcmul_(vectors[5], self.narrow(hidden).to(x.dtype))


@dataclass(frozen=True)
class Vectors:
    """Shifts, scales and gates of one adaptive layer: ``values`` ``[B, count, D]``, ``item`` of each position.

    ``item`` is None for a single item, whose vectors hold everywhere.
    """

    values: Tensor
    item: Tensor | None

    def at(self, item: Tensor) -> Vectors:
        """The same vectors for other positions."""
        return self if self.item is None else Vectors(self.values, item)

    def __getitem__(self, which: int) -> Tensor:
        """Vector ``which`` of every position, ``[P, D]`` or ``[1, D]``."""
        return self.values[:, which] if self.item is None else self.values[:, which][self.item]

    def modulated(self, x: Tensor, first: int) -> Tensor:
        """``LN(x) (1 + scale) + shift`` with shift and scale the vectors ``first`` and ``first + 1``."""
        if self.item is None:
            shift, scale = self.values[0, first], self.values[0, first + 1]
            return functional.layer_norm(x, (x.shape[-1],), 1 + scale, shift)
        normal = functional.layer_norm(x, (x.shape[-1],))
        return torch.addcmul(self[first], normal, 1 + self[first + 1])


class BoundDenoiser:
    """A denoiser with its conditioning inside: a :class:`~dubflow.diflow.flow.samplers.SparseDenoiser`.

    Called directly it is the whole network. Weights are read when it is made; make a new one when they have changed.
    """

    def __init__(self, network: FlowDenoiser, context: Context, precision: Precision = "weights") -> None:
        self.network, self.context = network, context
        weights = network.join.weight.dtype
        self.dtype, self.precise = (torch.bfloat16 if precision == "bfloat16" else weights), weights

    def __call__(self, tokens: Tensor, t: Tensor) -> Tensor:
        """Logits ``[B, Q, L, V]`` for ``x_t`` ``[B, Q, L]`` at times ``[B]``."""
        logits: Tensor = self.network(tokens, t, self.context)
        return logits

    def begin(self, times: Tensor) -> Steps:
        """A sample over ``times`` ``[steps]``."""
        return Steps(self, times)


class Steps:
    """One sample: called once a step, in any order; remembers the tokens that it was shown last."""

    def __init__(self, bound: BoundDenoiser, times: Tensor) -> None:
        network, context, dtype = bound.network, bound.context, bound.dtype
        self.network, self.dtype, self.precise = network, dtype, bound.precise
        blocks = [block for block in network.blocks if isinstance(block, DitBlock)]
        self.blocks = [_Block(block, dtype) for block in blocks]
        self.adaptive = [*(block.adaptive for block in blocks), network.final]
        self.skip = _Line(network.skip, dtype)
        width, books = network.shape.width, network.books
        self.finals = [_Line(network.final_line, dtype, slice(q * width, (q + 1) * width)) for q in range(books.flow)]
        heads = [network.prosody_head] * books.prosody + [network.acoustic_head] * books.acoustic
        self.heads = [[_Line(part, dtype) for part in head if isinstance(part, nn.Linear)] for head in heads]

        joined = torch.cat([context.condition, context.target], dim=1).to(self.precise)
        inside = context.inside
        if inside is None:
            inside = torch.ones(joined.shape[:2], dtype=torch.bool, device=joined.device)
        self.packed = _Packed.of(inside)
        self.fixed = joined.flatten(0, 1)[self.packed.rows]
        half = context.rotation.cos.shape[-1]
        turns = (x.expand(*inside.shape[:1], 1, -1, -1).reshape(-1, 1, 1, half) for x in context.rotation)
        self.rotation = Rotation(*(x[self.packed.rows] for x in turns))
        self.targets = self.packed.place[:, context.condition.shape[1] :]  # packed position of each target, [B, L]
        self.tokens: Tensor | None = None
        self.streams = self.fixed.new_zeros(books.flow, len(self.fixed), width)

        self.times, self.speaker = times, context.speaker.to(self.precise)
        self.group = max(1, _ROWS_AT_ONCE // len(inside))
        self.modulations: tuple[int, list[Tensor]] | None = None

    @torch.no_grad()
    def __call__(self, step: int, tokens: Tensor, revealed: Tensor) -> Tensor:
        """Logits of what is revealed.

        Args:
            step: index into the times.
            tokens: ``x_t``, integers ``[B, Q, L]``.
            revealed: boolean ``[B, Q, L]``, within the items' lengths.

        Returns:
            ``[M, V]``, rows in the order of ``revealed``'s elements.
        """
        with torch.autocast(tokens.device.type, enabled=False):  # every type is chosen here
            return self._logits(step, tokens, revealed)

    def _logits(self, step: int, tokens: Tensor, revealed: Tensor) -> Tensor:
        self._look_up(tokens)
        entry = self.fixed + self.streams.sum(dim=0)
        vectors = list(self._vectors(step))
        item, book, position = revealed.nonzero(as_tuple=True)
        asked, row = torch.unique(self.targets[item, position], return_inverse=True)

        x = entry.clone()
        for block, own in zip(self.blocks[:-1], vectors, strict=False):
            x = block.all_of(x, own, self.packed, self.rotation)
        x = self.blocks[-1].some_of(x, vectors[-2], self.packed, self.rotation, asked)
        x = self.skip(torch.cat([x, entry[asked]], dim=-1)).to(self.precise)
        x = vectors[-1].at(self.packed.item[asked]).modulated(x, 0)

        logits = x.new_empty(len(row), self.heads[0][-1].weight.shape[0])
        for q, (final, (first, second)) in enumerate(zip(self.finals, self.heads, strict=True)):
            here = (book == q).nonzero().squeeze(-1)
            if len(here):
                logits[here] = second(functional.silu(first(final(x[row[here]])))).to(logits.dtype)
        return logits

    def _look_up(self, tokens: Tensor) -> None:
        """Bring ``W_q E(x_q)`` of every position up to date."""
        tables = self.network.tables_of_books()
        before = self.tokens if self.tokens is not None else torch.full_like(tokens, -1)
        changed = (tokens != before) & (self.targets >= 0).unsqueeze(1)
        for q, (table, weight) in enumerate(tables):
            item, position = changed[:, q].nonzero(as_tuple=True)
            if not len(item):
                continue
            codes, which = torch.unique(tokens[item, q, position], return_inverse=True)
            self.streams[q, self.targets[item, position]] = functional.linear(table[codes], weight)[which]
        self.tokens = tokens

    def _vectors(self, step: int) -> Iterator[Vectors]:
        """Modulations of each block and of the final layer at ``step``."""
        first = step - step % self.group
        if self.modulations is None or self.modulations[0] != first:
            self.modulations = (first, self._modulate(self.times[first : first + self.group]))
        item = None if len(self.speaker) == 1 else self.packed.item
        for values in self.modulations[1]:
            yield Vectors(values[step - first], item)

    def _modulate(self, times: Tensor) -> list[Tensor]:
        """``[steps, B, count, D]`` of each adaptive layer."""
        cause = functional.silu(self.network.time(times).unsqueeze(1) + self.speaker)
        return [
            line(cause.flatten(0, 1), layer.line.weight, layer.line.bias).view(*cause.shape[:2], layer.count, -1)
            for layer in self.adaptive
        ]
