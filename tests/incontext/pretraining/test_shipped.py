"""The base that comes with the package: what it is made of, and that it says what it is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dubflow.config import load_preset
from dubflow.dubbing.stitching import resampled
from dubflow.errors import BadInput
from dubflow.incontext.backbone.named import STARTER, find_base, open_backbone
from dubflow.incontext.pairs.engine_settings import SynthesisSettings
from dubflow.incontext.pairs.prompts.structure import Prompt
from dubflow.incontext.pairs.switching import BaseClips
from dubflow.incontext.pretraining.run import CARD, LINEAGE
from dubflow.judging.content import word_error_rate
from dubflow.judging.grid_recogniser import hear_commands
from dubflow.judging.recogniser import SAMPLE_RATE

COMMANDS = (
    "bin blue at f two now",
    "lay green by a nine please",
    "set red with t four again",
    "place white in k seven soon",
)
MOST_WORD_ERRORS = 0.65
"""Of these commands; one command taken for any other has .81 on average (embedded world)."""


@pytest.fixture(scope="module")
def shipped() -> Path:
    try:
        return find_base(STARTER)
    except BadInput as error:
        pytest.skip(f"{error.headline} A checkout without src/dubflow/starter/base has nothing to test here.")


def test_it_is_whole_and_tells_where_it_comes_from(shipped: Path) -> None:
    files = [path for path in shipped.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".safetensors", ".json", ".md"}
    lineage = json.loads((shipped / LINEAGE).read_text("utf-8"))
    assert lineage["command"] == "python tools/starter_base.py OUT"
    card = (shipped / CARD).read_text("utf-8")
    assert lineage["command"] in card
    assert "embedded world" in card
    assert open_backbone(STARTER).world == "embedded"


@pytest.mark.slow
def test_it_says_what_it_is_told(shipped: Path) -> None:
    settings = load_preset("tiny", SynthesisSettings.section, SynthesisSettings)
    prompts = [
        Prompt.model_validate({"speaker": {"kind": kind}, "segments": [{"language": "en", "text": text}], "frames": 73})
        for text, kind in zip(COMMANDS, ("man", "woman") * 2, strict=True)
    ]
    clips = BaseClips(open_backbone(STARTER), settings).make(prompts, range(len(prompts)))
    sounds = [resampled(clip.waveform, clip.sample_rate, SAMPLE_RATE) for clip in clips]
    rate = word_error_rate(COMMANDS, hear_commands(sounds, workers=1)).corpus
    assert rate < MOST_WORD_ERRORS
    for clip in clips:
        moved = np.abs(np.diff(clip.frames.astype(np.float32), axis=0)).mean()
        assert 0.2 < moved < 20, "a head that moves, and no noise"
