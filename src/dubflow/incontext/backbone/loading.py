"""Loading an LTX-2 that somebody brings: diffusers' folder, or one published checkpoint file.

Files are local, weights are safetensors, no code is loaded with them. Nothing is kept in memory twice.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from dubflow.errors import BadInput
from dubflow.incontext.backbone.building import build_backbone
from dubflow.incontext.backbone.configs import PARTS
from dubflow.incontext.backbone.filling import fill_part
from dubflow.incontext.backbone.folders import world_of
from dubflow.incontext.backbone.parts import Backbone, geometry_of
from dubflow.incontext.backbone.settings import BackboneSettings, Version, published
from dubflow.incontext.backbone.sizes import unknown
from dubflow.incontext.backbone.sources import open_base
from dubflow.quiet import advice_hidden

_ENCODERS = ("Gemma3ForConditionalGeneration", "Gemma4UnifiedForConditionalGeneration")


def load_backbone(
    path: Path,
    *,
    version: Version | None = None,
    dtype: torch.dtype = torch.bfloat16,
    device: torch.device | str = "cpu",
    text: Path | None = None,
    with_text: bool = True,
) -> Backbone:
    """The LTX-2 at ``path``.

    Args:
        path: a folder in diffusers' layout, or a published checkpoint (safetensors).
        version: refuse any other one; None takes what is found.
        dtype: of the weights; 8-bit weights with stored scales are multiplied out.
        device: where the weights go.
        text: a folder with ``text_encoder`` and ``tokenizer``, which a single file does not hold.
        with_text: load the text encoder; without it only cached prompts can be used.

    Raises:
        BadInput: ``incontext.unknown_base``, ``incontext.version_mismatch``, ``incontext.no_weights``,
            ``incontext.bad_tensor_file``, ``incontext.bad_text_encoder``.
        WrongUse: ``incontext.no_such_base``.
    """
    base = open_base(path)
    found = base.version
    missing = [part for part in PARTS if part not in base.parts]
    if missing:
        raise unknown(f"{path.name} lacks {', '.join(missing)}")
    if version is not None and version != found:
        raise BadInput(
            "incontext.version_mismatch",
            f"{path.name} is LTX-2 version {found}, asked for was {version}.",
            "Adapters and text features are not portable between versions.",
            version=found,
        )
    parts = {
        part: fill_part(part, source.config, source.facts, source.load, dtype, device)
        for part, source in base.parts.items()
    }
    home = text or (path if path.is_dir() else None)
    encoder, tokenizer = _text(home, dtype, device, with_text) if home else (None, None)
    if encoder is not None:
        _check_encoder(encoder, parts["connectors"])
    tokens = published(found).text.tokens
    return Backbone(
        transformer=parts["transformer"],
        video_vae=parts["vae"],
        audio_vae=parts["audio_vae"],
        connectors=parts["connectors"],
        vocoder=parts["vocoder"],
        text_encoder=encoder,
        tokenizer=tokenizer,
        version=found,
        geometry=geometry_of(parts["vae"], parts["audio_vae"]),
        device=torch.device(device),
        dtype=dtype,
        # Gemma states more than the connectors were trained with; a tokenizer built here states less.
        text_tokens=min(tokens, tokenizer.model_max_length) if tokenizer is not None else tokens,
        world=world_of(path),
    )


def meta_backbone(settings: BackboneSettings) -> Backbone:
    """Shapes of an LTX-2 without memory, at full size in seconds; without a text encoder."""
    return build_backbone(settings, device="meta", with_text=False)


def _check_encoder(encoder: Any, connectors: Any) -> None:
    sizes, wanted = encoder.config.get_text_config(), connectors.config
    has = (sizes.hidden_size, sizes.num_hidden_layers + 1)
    needs = (wanted.caption_channels, wanted.text_proj_in_factor)
    if has != needs:
        raise BadInput(
            "incontext.bad_text_encoder",
            f"The text encoder gives {has[1]} states of width {has[0]}, the connectors read {needs[1]} of {needs[0]}.",
            "Take the text encoder of the same release.",
        )


def _text(folder: Path, dtype: torch.dtype, device: torch.device | str, with_encoder: bool) -> tuple[Any, Any]:
    import transformers

    tokenizer = encoder = None
    try:
        if (folder / "tokenizer").is_dir():
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                folder / "tokenizer", local_files_only=True, trust_remote_code=False
            )
        if with_encoder and (folder / "text_encoder").is_dir():
            config = transformers.AutoConfig.from_pretrained(
                folder / "text_encoder", local_files_only=True, trust_remote_code=False
            )
            name = next(iter(config.architectures or ()), "")
            if name not in _ENCODERS or not hasattr(transformers, name):
                raise BadInput(
                    "incontext.bad_text_encoder",
                    f"{folder / 'text_encoder'} holds {name or 'an unnamed model'}.",
                    f"LTX-2 reads prompts with {' or '.join(_ENCODERS)}.",
                )
            with advice_hidden(transformers):
                encoder = getattr(transformers, name).from_pretrained(
                    folder / "text_encoder", local_files_only=True, use_safetensors=True, dtype=dtype
                )
            encoder = encoder.to(device).eval()
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(
            "incontext.bad_text_encoder", f"The text encoder in {folder} cannot be loaded: {error}", "Fetch it again."
        ) from error
    return encoder, tokenizer
