"""Sizes of the base that a plan is for, from headers and configurations alone."""

from __future__ import annotations

import json

from dubflow.errors import BadInput
from dubflow.incontext.backbone.named import find_base, is_tiny
from dubflow.incontext.backbone.settings import BackboneSettings, Version
from dubflow.incontext.backbone.sizes import settings_of
from dubflow.incontext.backbone.sources import open_base
from dubflow.incontext.backbone.tiny import tiny_settings


def sizes_of_base(name: str, version: Version | None = None) -> BackboneSettings:
    """Sizes of the base that ``dubflow train lora --base`` would load under this name: ``starter``, a folder or a file.

    Raises:
        BadInput: ``incontext.version_mismatch`` for a base of another ``version``, and what
            :func:`dubflow.incontext.backbone.sources.open_base` says.
    """
    if is_tiny(name):
        return tiny_settings(version or "2.0")
    base = open_base(find_base(name))
    if version not in (None, base.version):
        raise BadInput(
            "incontext.version_mismatch",
            f"{name} is LTX-2 version {base.version}, asked for was {version}.",
            "Leave the version to the base.",
            version=base.version,
        )
    configs = {part: source.config for part, source in base.parts.items()}
    stated = {name: configs["transformer"].get(name) for name in ("num_attention_heads", "caption_channels")}
    if "connectors" in configs:
        stated["connector_num_attention_heads"] = configs["connectors"]["video_connector_num_attention_heads"]
    known = {name: value for name, value in stated.items() if value is not None}
    facts = {part: source.facts for part, source in base.parts.items()}
    return settings_of(facts, {"config": json.dumps({"transformer": known})})
