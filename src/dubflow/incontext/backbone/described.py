"""What a base is, from headers and configurations alone: enough to see whether an adapter fits, before it is loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubflow.errors import BadInput
from dubflow.incontext.backbone.configs import PARTS, Config, part_configs
from dubflow.incontext.backbone.folders import CONFIG, world_of
from dubflow.incontext.backbone.named import find_base, is_tiny
from dubflow.incontext.backbone.settings import BackboneSettings, Version
from dubflow.incontext.backbone.sizes import unknown
from dubflow.incontext.backbone.sources import open_base
from dubflow.incontext.backbone.tiny import tiny_settings

ENCODER_UNKNOWN = "unknown"
"""Id of the text encoder of a published file, which holds none."""


@dataclass(frozen=True)
class DescribedBase:
    """A base without its weights.

    Attributes:
        parts: full configuration of every part, defaults among it. config: SHA-256 of the transformer's.
        encoder: kind of text encoder; the sizes are those of its states, as the connectors read them.
        world: ``embedded`` for one that was made here, else ``real``.
    """

    version: Version
    parts: Mapping[str, Mapping[str, Any]]
    config: str
    encoder: str
    encoder_width: int
    encoder_states: int
    world: str

    @property
    def vocoder_hop(self) -> int:
        """Samples of the mel's own rate from one of its frames to the next, as the vocoder stretches them."""
        vocoder, hop = self.parts["vocoder"], 1
        for factor in vocoder["upsample_factors"]:
            hop *= int(factor)
        # Of 2.3 and 2.5 the first half gives 16 kHz, which the second then widens.
        given = int(vocoder.get("input_sampling_rate") or vocoder["output_sampling_rate"])
        return hop * int(self.parts["audio_vae"]["sample_rate"]) // given


def describe_base(where: str | Path) -> DescribedBase:
    """The base of this name, or in this folder or file; nothing but headers and configurations is read.

    Raises:
        BadInput: ``incontext.bad_text_encoder`` for one that is not the connectors', and those of
            :func:`dubflow.incontext.backbone.sources.open_base`.
        WrongUse: ``incontext.no_such_base``.
    """
    path = find_base(where)
    if is_tiny(where):
        settings = tiny_settings()
        return _described(settings.version, part_configs(settings), _tiny_encoder(settings), "embedded")
    base = open_base(path)
    missing = [part for part in PARTS if part not in base.parts]
    if missing:
        raise unknown(f"{path.name} lacks {', '.join(missing)}")
    configs = {part: source.config for part, source in base.parts.items()}
    encoder = _encoder(path / "text_encoder" / CONFIG) if path.is_dir() else None
    return _described(base.version, configs, encoder, world_of(path) or "real")


def _described(
    version: Version, configs: Mapping[str, Config], encoder: tuple[str, int, int] | None, world: str
) -> DescribedBase:
    from dubflow.incontext.backbone.building import build_part

    # Built without memory, so that what is left out has diffusers' defaults.
    full = {part: _plain(build_part(part, dict(config), "meta").config) for part, config in configs.items()}
    width = int(full["connectors"]["caption_channels"])
    states = int(full["connectors"]["text_proj_in_factor"])
    name, *sizes = encoder or (ENCODER_UNKNOWN, width, states)
    if sizes != [width, states]:
        raise BadInput(
            "incontext.bad_text_encoder",
            f"The text encoder gives {sizes[1]} states of width {sizes[0]}, the connectors read {states} of {width}.",
            "Take the text encoder of the same release.",
        )
    told = json.dumps(full["transformer"], sort_keys=True, default=str)
    return DescribedBase(version, full, hashlib.sha256(told.encode()).hexdigest(), str(name), width, states, world)


def _plain(config: Any) -> dict[str, Any]:
    return {name: value for name, value in dict(config).items() if not name.startswith("_")}


def _tiny_encoder(settings: BackboneSettings) -> tuple[str, int, int]:
    return "gemma3", settings.text.width, settings.text.layers + 1


def _encoder(path: Path) -> tuple[str, int, int] | None:
    """Kind, width and number of states of a text encoder by its configuration."""
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
        text = stated.get("text_config") or stated
        return str(stated["model_type"]), int(text["hidden_size"]), int(text["num_hidden_layers"]) + 1
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            "incontext.bad_text_encoder", f"{path} says nothing of a text encoder: {error}", "Fetch it again."
        ) from error
