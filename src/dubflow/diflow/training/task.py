"""What a training run is made from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dubflow.corpora.prepared import PreparedSet
from dubflow.diflow.nets.dubber import DubberNetwork
from dubflow.diflow.nets.settings import NetSettings
from dubflow.diflow.nets.tts import TtsNetwork
from dubflow.diflow.stored import WEIGHTS, Network, Stage, StoredModel, load_model, read_facts
from dubflow.diflow.training.settings import DubberTraining, TtsTraining
from dubflow.errors import BadInput, WrongUse
from dubflow.media.digest import sha256_file
from dubflow.speech.codecs import Codec
from dubflow.speech.codecs.stored import load_codec

FORMAT = "dubflow.training/1"


@dataclass(frozen=True)
class Task:
    """All that a run is made from, apart from where it writes.

    Attributes:
        data: folder of the prepared set. codec: folder of the codec that its tokens are of.
        nets: figures of the network; sizes of features and speaker vector are taken from the data.
        settings: of the stage, whose kind says which stage it is.
        preset: name of the preset, for the record.
        teacher: folder of the stored model of stage 1, for stage 2.
        start: folder of a stored model of the same stage whose weights the training begins with.
    """

    data: Path
    codec: Path
    nets: NetSettings
    settings: TtsTraining | DubberTraining
    preset: str
    teacher: Path | None = None
    start: Path | None = None

    @property
    def stage(self) -> Stage:
        """Which stage."""
        return "tts" if isinstance(self.settings, TtsTraining) else "dubber"

    def identity(self, prepared: PreparedSet) -> dict[str, Any]:
        """What must be equal for a run to go on, as JSON.

        Raises:
            BadInput: ``diflow.not_a_model`` for a teacher that is none.
        """
        index = prepared.index
        clips = sorted((clip, info.key, info.split or "") for clip, info in index.clips.items())
        identity = {
            "format": FORMAT,
            "stage": self.stage,
            "preset": self.preset,
            "nets": self.nets.model_dump(mode="json"),
            "settings": self.settings.identity(),
            "data": hashlib.sha256(json.dumps([index.codec, clips]).encode()).hexdigest(),
            "teacher": _weights_digest(self.teacher),
        }
        return identity if self.start is None else identity | {"start": _weights_digest(self.start)}

    def tags(self, prepared: PreparedSet) -> dict[str, str]:
        """What a record of runs is searched by."""
        identity = self.identity(prepared)
        return {
            "stage": self.stage,
            "preset": self.preset,
            "world": prepared.index.world,
            "data": identity["data"],
            "codec": prepared.index.codec,
            "teacher": identity["teacher"] or "none",
            "start": identity.get("start") or "none",
        }

    def read_codec(self, prepared: PreparedSet) -> Codec:
        """The codec, checked against the data.

        Raises:
            BadInput: ``diflow.codec_disagrees``, and what :func:`load_codec` says.
        """
        codec = load_codec(self.codec)
        if codec.id != prepared.index.codec:
            raise BadInput(
                "diflow.codec_disagrees",
                f"{self.data} holds tokens of {prepared.index.codec}; {self.codec} is {codec.id}.",
                "Name the codec that the data was prepared with, or prepare it again.",
            )
        return codec

    def read_start(self, prepared: PreparedSet) -> StoredModel | None:
        """The model whose weights the training begins with, or None.

        Raises:
            WrongUse: ``diflow.wrong_stage``.
            BadInput: ``diflow.codec_disagrees``, and what :func:`load_model` says.
        """
        if self.start is None:
            return None
        model = load_model(self.start)
        if model.facts.stage != self.stage:
            raise WrongUse(
                "diflow.wrong_stage",
                f"{self.start} is of the stage {model.facts.stage}, the training of {self.stage}.",
                "Name a model of the same stage.",
            )
        _check_codec(prepared, model, "model to start from")
        return model

    def read_teacher(self, prepared: PreparedSet) -> StoredModel | None:
        """The model of stage 1, or None where none is asked for.

        Raises:
            WrongUse: ``diflow.no_teacher`` when the settings need one, ``diflow.wrong_stage``.
            BadInput: ``diflow.codec_disagrees``, and what :func:`load_model` says.
        """
        if isinstance(self.settings, TtsTraining):
            return None
        if self.teacher is None:
            if self.settings.adopt or self.settings.weights.distill > 0:
                raise WrongUse(
                    "diflow.no_teacher",
                    "Stage 2 starts from a model of stage 1 and is distilled from it; none is named.",
                    "Name it with --teacher; to do without, set adopt: false and the weight distill: 0.",
                )
            return None
        model = load_model(self.teacher)
        if model.facts.stage != "tts":
            raise WrongUse(
                "diflow.wrong_stage", f"{self.teacher} is no model of stage 1.", "dubflow train tts makes one."
            )
        _check_codec(prepared, model, "teacher")
        return model


def _weights_digest(model: Path | None) -> str | None:
    if model is None:
        return None
    read_facts(model)
    return sha256_file(model / WEIGHTS)


def _check_codec(prepared: PreparedSet, model: StoredModel, what: str) -> None:
    if model.facts.codec != prepared.index.codec:
        raise BadInput(
            "diflow.codec_disagrees",
            f"{prepared.root} holds tokens of {prepared.index.codec}; the {what} speaks {model.facts.codec}.",
            f"Prepare the data with the codec of the {what}: it lies in the model's folder.",
        )


def begun(network: Network, start: StoredModel) -> Network:
    """The network with the weights of a stored one.

    Raises:
        BadInput: ``diflow.start_disagrees`` when they are of other figures.
    """
    try:
        network.load_state_dict(start.network.state_dict(), strict=True)
    except RuntimeError as error:
        raise BadInput(
            "diflow.start_disagrees",
            f"{start.folder} has other parts or sizes than this preset's: {str(error).splitlines()[-1].strip()}",
            "Train with the preset that it was trained with.",
        ) from error
    return network


def sized(nets: NetSettings, prepared: PreparedSet, clip: str) -> NetSettings:
    """``nets`` with the sizes that the data has: speaker vector, and lips and face where there are any."""
    arrays = prepared[clip]
    sizes = {"speaker": len(arrays["speaker"])}
    sizes |= {f"{name}_features": arrays[name].shape[1] for name in ("lip", "face") if name in arrays}
    return NetSettings.model_validate(nets.model_dump() | sizes)


def adopted(network: DubberNetwork, teacher: TtsNetwork) -> DubberNetwork:
    """The network of stage 2, begun from stage 1's weights.

    Raises:
        BadInput: ``diflow.teacher_disagrees`` when the parts they share have other sizes.
    """
    try:
        network.adopt(teacher)
    except RuntimeError as error:
        raise BadInput(
            "diflow.teacher_disagrees",
            f"The teacher's parts have other sizes than this preset's: {str(error).splitlines()[-1].strip()}",
            "Train both stages with one preset.",
        ) from error
    return network
