"""Building an LTX-2 from settings: random weights, or shapes alone on the meta device."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from dubflow.incontext.backbone.configs import Config, part_configs
from dubflow.incontext.backbone.mel import mel_filters
from dubflow.incontext.backbone.parts import Backbone, geometry_of
from dubflow.incontext.backbone.settings import BackboneSettings, TextSizes
from dubflow.incontext.backbone.tokenizer import BOS, EOS, PAD, local_tokenizer


def part_class(part: str, config: Config) -> Any:
    """diffusers' class of ``part``, one of :data:`dubflow.incontext.backbone.configs.PARTS`."""
    import diffusers
    from diffusers.pipelines import ltx2

    if part == "vocoder":
        return ltx2.LTX2VocoderWithBWE if "bwe_hidden_channels" in config else ltx2.LTX2Vocoder
    return {
        "transformer": diffusers.LTX2VideoTransformer3DModel,
        "vae": diffusers.AutoencoderKLLTX2Video,
        "audio_vae": diffusers.AutoencoderKLLTX2Audio,
        "connectors": ltx2.LTX2TextConnectors,
    }[part]


def build_part(part: str, config: Config, device: torch.device | str = "cpu") -> Any:
    """One part with diffusers' initial weights on ``device``; on ``meta`` it has shapes and no memory."""
    with torch.device(device):
        built = part_class(part, config)(**config).eval()
    if part == "vocoder" and torch.device(device).type != "meta":
        _fill_analysis(built)
    return built


def build_backbone(
    settings: BackboneSettings,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    with_text: bool = True,
) -> Backbone:
    """An LTX-2 with random weights, the same for the same seed; the global random state is left as it was.

    Args:
        settings: sizes and version.
        seed: of the weights.
        device: ``meta`` gives shapes without memory, at full size in seconds.
        dtype: of the weights.
        with_text: also a random Gemma 3 and a tokenizer of letters.
    """
    built: dict[str, Any] = {}
    with torch.random.fork_rng(devices=[]):
        for index, (part, config) in enumerate(part_configs(settings).items()):
            torch.manual_seed(seed * 100 + index)
            # torch's own cast: diffusers' warns of float32 modules, of which these classes have none.
            built[part] = nn.Module.to(build_part(part, config, device), dtype)
        torch.manual_seed(seed * 100 + len(built))
        encoder = nn.Module.to(_text_encoder(settings.text, device), dtype) if with_text else None
    return Backbone(
        transformer=built["transformer"],
        video_vae=built["vae"],
        audio_vae=built["audio_vae"],
        connectors=built["connectors"],
        vocoder=built["vocoder"],
        text_encoder=encoder,
        tokenizer=local_tokenizer(settings.text.tokens) if with_text else None,
        version=settings.version,
        geometry=geometry_of(built["vae"], built["audio_vae"]),
        device=torch.device(device),
        dtype=dtype,
        text_tokens=settings.text.tokens,
    )


def _text_encoder(sizes: TextSizes, device: torch.device | str) -> Any:
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration, Gemma3TextConfig, SiglipVisionConfig

    text = Gemma3TextConfig(
        vocab_size=len(local_tokenizer(sizes.tokens)),
        hidden_size=sizes.width,
        intermediate_size=sizes.feed_forward,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        num_key_value_heads=sizes.key_heads,
        head_dim=sizes.head_dim,
        max_position_embeddings=sizes.tokens,
        sliding_window=sizes.tokens,
        pad_token_id=PAD,
        eos_token_id=EOS,
        bos_token_id=BOS,
    )
    # The class carries an image tower that prompts never use: as small as it can be.
    vision = SiglipVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=16, patch_size=8
    )
    config = Gemma3Config(
        text_config=text.to_dict(),
        vision_config=vision.to_dict(),
        mm_tokens_per_image=4,
        image_token_index=5,
        boi_token_index=4,
        eoi_token_index=3,
    )
    with torch.device(device):
        return Gemma3ForConditionalGeneration(config).eval()


def _fill_analysis(vocoder: nn.Module) -> None:
    """The bandwidth extension's Fourier basis and mel filters, which diffusers leaves at zero for a checkpoint."""
    analysis: Any = getattr(vocoder, "mel_stft", None)
    if analysis is None:
        return
    config: Any = vocoder.config
    size = int(config.filter_length)
    window = torch.hann_window(size)
    time = torch.arange(size) * (2 * torch.pi / size)
    angles = torch.arange(size // 2 + 1).unsqueeze(1) * time
    basis = torch.cat([angles.cos(), -angles.sin()]) * window
    with torch.no_grad():
        analysis.stft_fn.forward_basis.copy_(basis.unsqueeze(1))
        analysis.mel_basis.copy_(mel_filters(config.num_mel_channels, size, config.input_sampling_rate))
