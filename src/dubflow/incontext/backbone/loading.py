"""Loading an LTX-2 that somebody brings: diffusers' folder, or one published checkpoint file.

Files are local, weights are safetensors, no code is loaded with them. Nothing is kept in memory twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dubflow.errors import BadInput, WrongUse
from dubflow.incontext.backbone.building import build_backbone
from dubflow.incontext.backbone.configs import PARTS, part_configs
from dubflow.incontext.backbone.filling import checked_config, fill_part
from dubflow.incontext.backbone.folders import part_files
from dubflow.incontext.backbone.names import part_name
from dubflow.incontext.backbone.parts import Backbone, geometry_of
from dubflow.incontext.backbone.settings import BackboneSettings, Version, published
from dubflow.incontext.backbone.sizes import detect_version, settings_of, unknown
from dubflow.incontext.backbone.tensor_file import TensorFacts, TensorFiles

_ENCODERS = ("Gemma3ForConditionalGeneration", "Gemma4UnifiedForConditionalGeneration")
_FLOAT8 = (torch.float8_e4m3fn, torch.float8_e5m2)
_SCALES = (".weight_scale", ".scale_weight")
_NOTES = (*_SCALES, ".input_scale", ".scale_input", "scaled_fp8")


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
    path = Path(path)
    if path.is_dir():
        parts, found = _folder(path, dtype, device)
    elif path.is_file():
        parts, found = _single_file(path, dtype, device)
    else:
        raise WrongUse(
            "incontext.no_such_base", f"There is no {path}.", "Give diffusers' folder or a checkpoint file of LTX-2."
        )
    if version is not None and version != found:
        raise BadInput(
            "incontext.version_mismatch",
            f"{path.name} is LTX-2 version {found}, asked for was {version}.",
            "Adapters and text features are not portable between versions.",
            version=found,
        )
    home = text or (path if path.is_dir() else None)
    encoder, tokenizer = _text(home, dtype, device, with_text) if home else (None, None)
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
    )


def meta_backbone(settings: BackboneSettings) -> Backbone:
    """Shapes of an LTX-2 without memory, at full size in seconds; without a text encoder."""
    return build_backbone(settings, device="meta", with_text=False)


def _folder(path: Path, dtype: torch.dtype, device: torch.device | str) -> tuple[dict[str, Any], Version]:
    missing = [part for part in PARTS if not (path / part).is_dir()]
    if missing:
        raise unknown(f"{path.name} lacks the folders {', '.join(missing)}")
    read = {part: part_files(path / part) for part in PARTS}
    version = detect_version({part: files.facts for part, (_, files) in read.items()})
    return {
        part: fill_part(part, checked_config(part, config), files.facts, files.load, dtype, device)
        for part, (config, files) in read.items()
    }, version


def _single_file(path: Path, dtype: torch.dtype, device: torch.device | str) -> tuple[dict[str, Any], Version]:
    file = TensorFiles([path])
    origin: dict[str, dict[str, str]] = {part: {} for part in PARTS}
    for name in file.facts:
        if name.endswith(_NOTES):
            continue
        known = part_name(name)
        if known:
            origin[known[0]][known[1]] = name
    facts = {part: {name: file.facts[old] for name, old in names.items()} for part, names in origin.items()}
    settings = settings_of(facts, file.metadata)
    configs = part_configs(settings)
    if settings.version == "2.5" and "prompt_adaln.linear.weight" not in facts["transformer"]:
        configs["transformer"]["use_prompt_adaln_single"] = False  # 2.5 exists with and without it
    parts = {}
    for part in PARTS:
        loader = _Loader(file, origin[part])
        parts[part] = fill_part(part, configs[part], facts[part], loader, dtype, device)
    return parts, settings.version


class _Loader:
    """Tensors of one part by diffusers' names; 8-bit weights come multiplied by their scale."""

    def __init__(self, file: TensorFiles, origin: Mapping[str, str]) -> None:
        self._file = file
        self._origin = origin

    def __call__(self, name: str) -> Tensor:
        published_name = self._origin[name]
        tensor = self._file.load(published_name)
        if tensor.dtype not in _FLOAT8:
            return tensor
        stem = published_name.removesuffix(".weight")
        scale = next((stem + end for end in _SCALES if stem + end in self._file.facts), None)
        return tensor.float() * self._file.load(scale).float() if scale else tensor.float()


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
            encoder = (
                getattr(transformers, name)
                .from_pretrained(folder / "text_encoder", local_files_only=True, use_safetensors=True, dtype=dtype)
                .to(device)
                .eval()
            )
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(
            "incontext.bad_text_encoder", f"The text encoder in {folder} cannot be loaded: {error}", "Fetch it again."
        ) from error
    return encoder, tokenizer


def facts_by_part(path: Path) -> dict[str, Mapping[str, TensorFacts]]:
    """What is known of a base's tensors from headers alone, by part and diffusers' names."""
    if path.is_dir():
        return {part: part_files(path / part)[1].facts for part in PARTS if (path / part).is_dir()}
    found: dict[str, dict[str, TensorFacts]] = {}
    file = TensorFiles([path])
    for name, fact in file.facts.items():
        known = part_name(name)
        if known and not name.endswith(_NOTES):
            found.setdefault(known[0], {})[known[1]] = fact
    return dict(found)
