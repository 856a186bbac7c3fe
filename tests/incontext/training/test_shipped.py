"""The adapter that comes with the package: what it was made on, and that it dubs people it has never met."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dubflow.dubbing.incontext_engine import IncontextEngine
from dubflow.dubbing.jobs import DubTask, dub_all
from dubflow.dubbing.request import DubRequest, SegmentText
from dubflow.errors import BadInput
from dubflow.incontext.adapter.files import read_adapter
from dubflow.incontext.backbone.fingerprint import fingerprint
from dubflow.incontext.backbone.named import STARTER, find_adapter, find_base, open_backbone
from dubflow.incontext.inference.running import put_adapter
from dubflow.judging.phone_judge.rates import phone_errors
from dubflow.judging.phone_judge.recogniser import PhoneRecogniser
from dubflow.judging.recogniser import SAMPLE_RATE
from dubflow.media.decode import read_clip
from dubflow.progress import Silent
from dubflow.speech.espeak import default_synthesizer
from dubflow.speech.phonemes import phonemize
from dubflow.talkers.render import render_clip
from dubflow.talkers.scenes import plan_corpus
from dubflow.talkers.scripts import GridCommand
from dubflow.talkers.settings import TalkerSettings

SEED, PEOPLE, LEAST_GAIN = 70_021, 3, 0.1
"""A world of neither base nor pairs; phone error of the new words is that much lower than of the old (embedded)."""


@pytest.fixture(scope="module")
def shipped() -> Path:
    try:
        return find_adapter(STARTER)
    except BadInput as error:
        pytest.skip(f"{error.headline} A checkout without src/dubflow/starter/lora has nothing to test here.")


def test_it_tells_where_it_comes_from(shipped: Path) -> None:
    card = (shipped.parent / "card.md").read_text("utf-8")
    lineage = json.loads((shipped.parent / "lineage.json").read_text("utf-8"))
    assert lineage["command"] == "python tools/starter_base.py OUT"
    assert f"\n    {lineage['command']}\n" in card
    assert "embedded world" in card
    assert {path.suffix for path in shipped.parent.iterdir()} == {".safetensors", ".json", ".md"}
    metadata = read_adapter(shipped).metadata
    assert (metadata.sampler_preset, metadata.mask_scheme) == ("tiny", "isolated")


def test_it_was_made_on_the_base_that_comes_with_it(shipped: Path) -> None:
    base = open_backbone(STARTER, "cpu")  # in the precision of pairs and training on a CPU
    told = json.loads((shipped.parent / "lineage.json").read_text("utf-8"))["encoded_by"]
    parts = {"vae": base.video_vae, "audio_vae": base.audio_vae, "connectors": base.connectors}
    assert told == {name: fingerprint(part) for name, part in parts.items()}
    adapter = read_adapter(shipped)
    before = {name: value.clone() for name, value in base.transformer.state_dict().items()}
    assert put_adapter(base, adapter) == ()
    changed = [name for name, value in base.transformer.state_dict().items() if not value.equal(before[name])]
    assert len(changed) == len(adapter.pairs)


@pytest.mark.slow
def test_it_dubs_people_whom_it_has_never_met(shipped: Path, tmp_path: Path) -> None:
    settings = TalkerSettings(size=96, grid_share=1.0, event_share=0.0)
    plans = plan_corpus(identities=PEOPLE, clips=1, languages=("de",), seed=SEED, settings=settings)
    tasks, said = [], []
    for plan in plans:
        row = render_clip(plan, tmp_path / "clips", default_synthesizer())
        script = plan.turns[0].script
        new = GridCommand.from_code(script.code).script("en").text
        request = DubRequest(
            clip=tmp_path / "clips" / row.path, segments=(SegmentText(text=new),), language="en", reference="self"
        )
        tasks.append(DubTask(request, tmp_path / f"{plan.people[0].speaker}.mp4"))
        said.append((new, script.text))
    report = dub_all(tasks, IncontextEngine.open(find_base(STARTER), adapter=shipped, preset=None), Silent())
    assert not report.failures
    recogniser = PhoneRecogniser.open()
    errors = []
    for task, (new, old) in zip(tasks, said, strict=True):
        dub, source = (read_clip(path, fps=25, sample_rate=SAMPLE_RATE) for path in (task.out, task.request.clip))
        assert dub.frame_count == source.frame_count
        assert dub.frames.shape == source.frames.shape
        heard = recogniser.hear(dub.waveform)
        rates = [
            phone_errors([[one.symbol for one in phonemize(text, language)]], [heard])
            for text, language in ((new, "en"), (old, "de"))
        ]
        errors.append([rate.errors / rate.reference for rate in rates])
    of_new, of_old = np.mean(errors, axis=0)
    assert of_new < of_old - LEAST_GAIN, errors
