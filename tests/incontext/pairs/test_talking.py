"""The engine on heads that really talk: found by MediaPipe, cut where nobody speaks, judged by judging's judges.

The clips are drawn, as a base that has learnt everything would make them; what re-speaks them is the tiny base, whose
weights are random, so contexts are noise and quality control has to say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from dubflow.faces.landmarks import MediaPipeLandmarker
from dubflow.incontext.pairs.engine import PairEngine
from dubflow.incontext.pairs.engine_parts import Span, SwitchingClip
from dubflow.incontext.pairs.engine_settings import SynthesisSettings
from dubflow.incontext.pairs.manifest import read_pairs
from dubflow.incontext.pairs.prompts.structure import Prompt
from dubflow.incontext.pairs.quality.verdicts import reason_of
from dubflow.incontext.pairs.shards import synthesize
from dubflow.incontext.pairs.splitting import SilenceSplitter
from dubflow.media.decode import read_clip
from dubflow.platform.pair_judges import pair_quality
from dubflow.platform.synthesis import synthesis_preset
from dubflow.talkers.scripts import GridCommand
from incontext.pairs.engine_room import base
from incontext.pairs.talker_halves import spoken_half

pytestmark = pytest.mark.slow


class TalkingClips:
    """One talker who says a command in English and, after a second without a sound, another in French."""

    id = "talking"

    def make(self, prompts: Sequence[Prompt], seeds: Sequence[int]) -> list[SwitchingClip]:
        """The same clip whatever is asked."""
        first, second = spoken_half(1, "bbaf2n", "en", frames=57), spoken_half(1, "pwis9a", "fr", frames=56)
        assert (first.text, second.text) == (prompts[0].segments[0].text, prompts[0].segments[1].text)
        frames = np.concatenate([first.frames[:57], second.frames[:56]])
        sound = np.concatenate([first.waveform[: 57 * 640], second.waveform[: 56 * 640]])
        return [SwitchingClip(frames, sound, first.sample_rate, {"drawn": True}) for _ in prompts]


def switch() -> Prompt:
    """What :class:`TalkingClips` says, and what it means."""
    said = {"en": GridCommand.from_code("bbaf2n"), "fr": GridCommand.from_code("pwis9a")}
    times = {"en": (0.2, 2.0), "fr": (2.5, 4.3)}
    segments = [
        {
            "language": own,
            "text": said[own].script(own).text,
            "translation": said[own].script(other).text,
            "start": times[own][0],
            "end": times[own][1],
        }
        for own, other in (("en", "fr"), ("fr", "en"))
    ]
    return Prompt.model_validate({"segments": segments, "frames": 113})


def test_talking_heads_become_pairs_and_noise_is_found_to_be_noise(tmp_path: Path) -> None:
    settings = SynthesisSettings.model_validate(
        {"width": 96, "height": 96, "form": "compact", "steps": 2, "guidance": 1.0, "crf": 10}
    )
    preset = synthesis_preset("tiny")
    engine = PairEngine(
        base(),
        settings,
        maker=TalkingClips(),
        splitter=SilenceSplitter(preset.splitting),
        landmarker=MediaPipeLandmarker(),
        quality=pair_quality(preset.quality),
    )
    report = synthesize(engine, [switch()], tmp_path, 1)
    assert (report.pairs, report.kept, report.failed) == (2, 0, {})
    clip = TalkingClips().make([switch()], [0])[0]
    for row, span, most in zip(read_pairs(tmp_path), (Span(1, 58), Span(58, 107)), (9 / 15, 7 / 15), strict=True):
        split = row.lineage["split"]
        assert 1.78 <= split["silence_start_s"] < split["cut_s"] < split["silence_end_s"] <= 2.84
        assert (split["start"], split["stop"]) == (span.start, span.stop)
        shown = read_clip(tmp_path / row.target.path)
        assert shown.frames is not None
        apart = shown.frames.astype(int) - clip.frames[span.start : span.stop]
        assert np.abs(apart).mean() < 3
        # What is heard is what the drawn clip says; of the noise nothing is.
        assert row.qc["words_target"] < 0.2 < 0.8 < row.qc["words_context"]
        assert row.qc["face_found"] < 0.5
        assert {"wrong_words", "no_face"} <= {reason_of(reason) for reason in row.rejected}
        assert row.lineage["mask"]["guessed"] == {}
        assert 0.2 < row.lineage["mask"]["remade"] <= most
        # The face's mask is where the face is: it moves, and it is no more than the middle of the picture.
        assert row.mask is not None
        face = read_clip(tmp_path / row.mask.path, audio=False).frames
        assert face is not None
        assert 0.1 < (face > 127).mean() < 0.6
        assert not (face[:, 0] > 127).any()
