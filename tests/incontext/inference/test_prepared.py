"""What is computed once gives what is computed at every step; a cache says where it is exact."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dubflow.errors import WrongUse
from dubflow.incontext.backbone.settings import Version
from dubflow.incontext.forward import Velocities, forward
from dubflow.incontext.inference.prepared import PreparedPass, ReferenceCache, why_not_exact
from dubflow.incontext.masks import AvMask, MaskScheme
from incontext.samples import VIDEO, text, tokens, transformer

VERSIONS: tuple[Version, ...] = ("2.0", "2.3", "2.5")


def worst(one: Velocities, other: Velocities) -> float:
    return max(float((one.video - other.video).abs().max()), float((one.audio - other.audio).abs().max()))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("av", ["isolated", "none"])
def test_a_prepared_pass_is_the_plain_one_at_every_level(version: Version, av: AvMask) -> None:
    held = torch.zeros(2, VIDEO, dtype=torch.bool)
    held[:, :4] = True
    net, made, said = transformer(version), tokens(version, held=held), text(version)
    said = replace(said, mask=torch.tensor([[False, True, True, True, True, True]] * 2))
    scheme = MaskScheme(av=av)
    with torch.no_grad():
        prepared = PreparedPass(net, made, said, scheme)
        for video_level, audio_level in ((1.0, 1.0), (0.3, 0.0), (torch.tensor([0.9, 0.2]), torch.tensor([0.1, 0.5]))):
            now = made.at(video_level, audio_level)
            now = now.with_targets(torch.randn(2, VIDEO, 8), torch.randn(now.targets().audio.latents.shape))
            assert worst(prepared(now), forward(net, now, said, scheme)) < 3e-5


def test_offloaded_parts_are_called_through_the_whole_transformer() -> None:
    from diffusers.hooks import apply_group_offloading

    net, made, said = transformer(), tokens(), text()
    with torch.no_grad():
        wanted = forward(net, made, said)
        apply_group_offloading(
            net, torch.device("cpu"), torch.device("cpu"), offload_type="block_level", num_blocks_per_group=1
        )
        assert worst(PreparedPass(net, made, said, MaskScheme())(made), wanted) < 1e-6


@pytest.mark.parametrize("order", ["ref_first", "target_first"])
def test_kept_references_change_nothing_where_nothing_in_them_depends_on_the_step(order: str) -> None:
    scheme = MaskScheme(self_attention="reference_isolated")
    net, made, said = transformer(), tokens(order=order), text()  # type: ignore[arg-type]
    assert why_not_exact(net, scheme) is None
    with torch.no_grad():
        cache = ReferenceCache.of(net, made.at(1.0), said, scheme)
        for level in (0.9, 0.2):
            now = made.at(level).with_targets(torch.randn(2, VIDEO, 8), torch.randn(made.targets().audio.latents.shape))
            alone = now.targets()
            found = PreparedPass(net, alone, said, scheme, cache)(alone)
            assert worst(found, forward(net, now, said, scheme)) < 3e-5
            assert worst(found, forward(net, now, said, MaskScheme())) > 1e-3  # in full attention it is another


@pytest.mark.parametrize(
    ("version", "scheme", "reason"),
    [
        ("2.0", MaskScheme(), "full self-attention"),
        ("2.0", MaskScheme(av="none", self_attention="reference_isolated"), "other modality"),
        ("2.3", MaskScheme(self_attention="reference_isolated"), "modulates the text"),
        ("2.5", MaskScheme(self_attention="reference_isolated"), "this base modulates"),
    ],
)
def test_where_it_is_not_exact_the_reason_is_true(version: Version, scheme: MaskScheme, reason: str) -> None:
    net, made, said = transformer(version), tokens(version), text(version)
    told = why_not_exact(net, scheme)
    assert told is not None
    assert reason in told
    with torch.no_grad():
        cache = ReferenceCache.of(net, made, said, scheme)
        alone = made.at(0.3).targets()
        isolated = scheme.model_copy(update={"av": "isolated", "self_attention": "full"})
        found = forward(net, alone, said, isolated, references=cache)
        assert worst(found, forward(net, made.at(0.3), said, scheme)) > 1e-4


def test_a_reference_of_the_wrong_kind_is_no_target() -> None:
    made = tokens()
    with pytest.raises(WrongUse, match=r"incontext\.token_shape"):
        made.with_targets(made.video.latents, made.audio.latents)


def test_a_base_stored_in_8_bits_runs_as_the_plain_pass_does() -> None:
    net, made, said = transformer(), tokens(), text()
    net.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float32)
    with torch.no_grad():
        assert worst(PreparedPass(net, made, said, MaskScheme())(made), forward(net, made, said)) < 3e-5
