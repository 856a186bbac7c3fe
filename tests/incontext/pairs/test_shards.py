"""Pairs of many prompts: each once, by several processes, however often they are killed."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from dubflow.atomic import PARTIAL
from dubflow.corpora.parts import Part
from dubflow.errors import BadInput
from dubflow.incontext.backbone.fingerprint import fingerprint
from dubflow.incontext.backbone.loading import meta_backbone
from dubflow.incontext.backbone.positions import audio_positions, video_positions
from dubflow.incontext.backbone.settings import published
from dubflow.incontext.backbone.text import encode_text
from dubflow.incontext.forward import forward
from dubflow.incontext.pairs.engine_cost import pass_flops
from dubflow.incontext.pairs.engine_items import ITEM, Item, item_folder, item_key, read_item
from dubflow.incontext.pairs.engine_parts import Split, SwitchingClip
from dubflow.incontext.pairs.manifest import PairManifest, read_pairs
from dubflow.incontext.pairs.own_sound import read_own_sound
from dubflow.incontext.pairs.prompts.structure import Prompt
from dubflow.incontext.pairs.shards import SynthesisReport, survey, synthesize
from dubflow.incontext.tokens import ContextTokens
from dubflow.media.decode import read_clip
from dubflow.media.digest import sha256_file
from dubflow.progress import Silent
from incontext.pairs.engine_room import DrawnClips, Louder, Middle, OwnLatents, base, engine, prompt, prompts
from incontext.pairs.shard_processes import finished

SEED = 5
QUICK: dict[str, Any] = {"augment": False, "steps": 1}


class SomeUncut(Middle):
    """Cannot cut one of the prompts."""

    id = "some"

    def split(self, prompt: Prompt, clip: SwitchingClip) -> Split:
        """Refuses `bin b`."""
        if prompt.segments[0].text == "bin b":
            raise BadInput("incontext.no_silence", "Speech runs through.")
        return super().split(prompt, clip)


def made(out: Path, count: int = 3, **changes: Any) -> SynthesisReport:
    """A whole run."""
    given = {name: changes.pop(name) for name in ("part", "earlier", "progress") if name in changes}
    return synthesize(engine(**QUICK | changes), prompts(count), out, SEED, **given)


def told(manifest: PairManifest) -> tuple[Any, ...]:
    """All that a manifest says, but for what it cost."""
    header = manifest.header.model_dump()
    cost = header["made_with"].pop("cost")
    assert cost["seconds"] > 0
    return header, manifest.rows


def test_pairs_are_on_disk_with_their_digests_and_read_back(tmp_path: Path) -> None:
    report = made(tmp_path, 2, quality=Louder(), held_share=0.5)
    found = read_pairs(tmp_path)
    assert (report.prompts, report.done, report.missing, report.pairs) == (2, 2, 0, 4)
    assert found.header.world == "embedded"
    for row in found:
        assert all(sha256_file(found.path(file)) == file.sha256 for file in row.files)
        target, context = (read_clip(found.path(file)) for file in (row.target, row.context))
        assert target.frame_count == context.frame_count == 17
        assert target.frames is not None
        assert target.frames.std() > 0
        assert row.lineage["roles"]["target"] == "generated"
        assert row.qc["loudness"] > 0
    # The percentile of the run rejects; rejected pairs stay, with the reason.
    assert report.kept == len(found.accepted) < 4
    assert report.rejected == {"quieter than the others": 4 - len(found.accepted)}
    assert {row.rejected for row in found} == {(), ("quieter than the others",)}
    # Both pairs of a prompt are on one side.
    splits = {row.id.split("/")[0]: row.split for row in found}
    assert all(splits[row.id.split("/")[0]] == row.split for row in found)
    cost = found.header.made_with["cost"]
    assert cost["tries"] == 2
    assert cost["seconds_per_kept"] == pytest.approx(cost["seconds"] / len(found.accepted), abs=2e-3)
    assert 0 < cost["device_seconds"] <= cost["seconds"]


def test_the_sound_of_both_clips_is_kept_as_the_latents_that_it_was(tmp_path: Path) -> None:
    net = base()
    made(tmp_path, 1, maker=OwnLatents())
    for row in read_pairs(tmp_path):
        file = row.own_sound(fingerprint(net.audio_vae))
        assert file is not None
        assert file in row.files
        assert row.own_sound("0" * 64) is None
        sound = read_own_sound(tmp_path / file.path, 17, net.geometry.audio_channels)
        assert not torch.equal(sound.context, sound.target)
        assert sha256_file(tmp_path / file.path) == file.sha256
    made(tmp_path / "drawn", 1)
    assert all(row.sound is None for row in read_pairs(tmp_path / "drawn"))


@pytest.mark.slow
def test_a_second_run_makes_nothing_and_another_prompt_is_made_alone(tmp_path: Path) -> None:
    made(tmp_path, 2)
    before = told(read_pairs(tmp_path))
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "items").rglob("*.mp4")}
    again = made(tmp_path, 2)
    assert (again.done, again.found) == (0, 2)
    assert told(read_pairs(tmp_path)) == before
    more = made(tmp_path, 3)
    assert (more.done, more.found, more.pairs) == (1, 2, 6)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())


@pytest.mark.slow
def test_other_settings_are_other_items(tmp_path: Path) -> None:
    made(tmp_path, 1)
    other = made(tmp_path, 1, hold="replace")
    assert (other.done, other.pairs) == (1, 2)
    assert {row.lineage["inpainting"]["hold"] for row in read_pairs(tmp_path)} == {"replace"}


def test_prompts_without_a_pair_are_counted_and_not_tried_again(tmp_path: Path) -> None:
    progress = Silent()
    report = made(tmp_path, 3, splitter=SomeUncut(), tries=2, progress=progress)
    assert report.failed == {"incontext.no_silence": 1}
    assert (report.pairs, report.kept) == (4, 4)
    assert progress.estimate.done == progress.estimate.total == 3
    assert list(read_pairs(tmp_path).header.made_with["without_pair"].values()) == ["incontext.no_silence"]
    again = made(tmp_path, 3, splitter=SomeUncut(), tries=2)
    assert (again.done, again.failed) == (0, report.failed)
    assert report.cost["tries"] == 4


@pytest.mark.slow
def test_parts_make_the_manifest_of_a_whole_run(tmp_path: Path) -> None:
    made(tmp_path / "whole")
    whole = told(read_pairs(tmp_path / "whole"))
    # In one folder: the last to finish writes the manifest.
    first = made(tmp_path / "one", part=Part(0, 2))
    assert (first.done, first.missing, first.pairs) == (2, 1, None)
    assert not (tmp_path / "one" / "pairs.json").exists()
    second = made(tmp_path / "one", part=Part(1, 2))
    assert (second.done, second.missing, second.pairs) == (1, 0, 6)
    assert told(read_pairs(tmp_path / "one")) == whole
    # In folders of their own: somebody joins them.
    for index in (0, 1):
        made(tmp_path / str(index), part=Part(index, 2))
    joined = made(tmp_path / "joined", earlier=[tmp_path / "0", tmp_path / "1"])
    assert (joined.done, joined.found) == (0, 3)
    assert told(read_pairs(tmp_path / "joined")) == whole
    with pytest.raises(BadInput) as refused:
        made(tmp_path / "joined", earlier=[tmp_path])
    assert refused.value.code == "incontext.no_items"


def test_an_item_that_does_not_read_is_named(tmp_path: Path) -> None:
    made(tmp_path, 1)
    key = item_key(engine(**QUICK), prompts(1)[0], SEED)
    path = item_folder(tmp_path, key) / ITEM
    assert isinstance(read_item(tmp_path, key), Item)
    assert read_item(tmp_path, "0" * 64) is None
    content = json.loads(path.read_text())
    merged = content["rows"][0]["lineage"] | {"roles": {"target": "merged"}}
    for broken in (
        "{",
        json.dumps(content | {"format": "x"}),
        json.dumps(content | {"rows": [content["rows"][0] | {"lineage": merged}]}),
    ):
        path.write_text(broken)
        with pytest.raises(BadInput) as refused:
            made(tmp_path, 1)
        assert refused.value.code == "incontext.bad_item"


def test_what_it_would_cost_is_said_before(tmp_path: Path) -> None:
    plan = survey(engine(guidance=2.0), prompts(4), tmp_path, SEED, Part(0, 2))
    assert (plan["prompts"], plan["to_do"], plan["found"]) == (4, 2, 0)
    assert plan["passes"] == 2 * 5 * 2 * 2  # prompts, denoisings of each, steps, both sides of guidance
    assert plan["tokens"] == 6 * 2 * 2
    assert plan["flops"] == plan["passes"] * pass_flops(base(), 41, 64, 64)
    assert plan["seconds"] is None
    assert not list(tmp_path.iterdir())
    made(tmp_path, 1)
    later = survey(engine(**QUICK), prompts(4), tmp_path, SEED)
    assert (later["found"], later["to_do"]) == (1, 3)
    assert later["seconds"] > 0
    for given in ([], [prompt().model_copy(update={"segments": prompt().segments[:1]})]):
        with pytest.raises(BadInput):
            survey(engine(), given, tmp_path, SEED)


@pytest.mark.slow
def test_killed_anywhere_and_run_again_it_is_as_if_nothing_had_happened(tmp_path: Path) -> None:
    made(tmp_path / "whole", quality=Louder())
    out = tmp_path / "killed"
    for death in (("clip", 2), ("item", 1), ("inpaint", 2), ("clip", 5)):
        assert finished(out, [Part(0, 1)], death) == [-signal.SIGKILL]
    assert list((out / "items").rglob(f".*{PARTIAL}*"))
    assert not (out / "pairs.json").exists()
    assert finished(out, [Part(0, 1)]) == [0]
    assert told(read_pairs(out)) == told(read_pairs(tmp_path / "whole"))


@pytest.mark.slow
def test_several_processes_in_one_folder_make_each_item_once(tmp_path: Path) -> None:
    """Two do everything, one of them is killed, and two more do a part each."""
    made(tmp_path / "whole", quality=Louder())
    out = tmp_path / "together"
    codes = finished(out, [Part(0, 1), Part(0, 1)], ("clip", 3))
    assert codes == [-signal.SIGKILL, 0]
    assert finished(out, [Part(0, 2), Part(1, 2)]) == [0, 0]
    assert told(read_pairs(out)) == told(read_pairs(tmp_path / "whole"))
    written = (out / "written.txt").read_text().split()
    assert len(written) == len(set(written)) == 3


def test_operations_are_counted_as_they_are_done() -> None:
    net, shape, heard = base(), (6, 2, 2), 41
    tokens = ContextTokens.of_targets(
        torch.zeros(1, 24, 8), video_positions(net.geometry, shape, 25),
        torch.zeros(1, heard, 8), audio_positions(net.geometry, heard),
    )  # fmt: skip
    text = encode_text(net, ["say it"])
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        forward(net.transformer, tokens, text)
    assert counter.get_total_flops() == pass_flops(net, 41, 64, 64)
    # At full size, where nothing can be run here: about twice the weights a token, and attention on top.
    full = meta_backbone(published("2.0"))
    weights = sum(one.numel() for one in full.transformer.parameters())
    counted = pass_flops(full, 249, 544, 960) / (2 * weights * full.geometry.video_tokens(249, 544, 960))
    assert 0.8 < counted < 1.5


def test_drawn_clips_differ() -> None:
    """What these tests rest on: another seed is another clip."""
    one, other = DrawnClips().make([prompt(), prompt()], [1, 2])
    assert (one.frames != other.frames).any()
    assert (one.waveform != other.waveform).any()
