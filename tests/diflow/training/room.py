"""A prepared set written by hand, a codec fitted once, and a network so small that a step takes a moment."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from dubbing.room import fit_codec
from dubflow.corpora.cache import Store, content_key
from dubflow.corpora.prepared import PreparedClip, PreparedIndex, ShardFacts, write_index
from dubflow.diflow.nets.settings import NetSettings
from dubflow.diflow.training.settings import DubberTraining, TtsTraining
from dubflow.diflow.training.task import Task
from dubflow.speech.codecs.stored import load_codec
from dubflow.speech.durations import frames_to_tokens

NETS: dict[str, Any] = {
    "width": 8,
    "fft": {"heads": 1, "filter": 8, "kernels": [3, 1], "dropout": 0.1, "max_length": 400},
    "text": {"encoder_blocks": 1, "refiner_blocks": 1, "duration_filter": 8, "duration_dropout": 0.1},
    "denoiser": {"width": 8, "layers": 1, "heads": 1, "time_features": 4, "expansion": 2},
    "temporal": {"upsample_sets": 1, "blocks": 1, "filter": 8},
    "alignment": {"blocks": 1, "heads": 1, "filter": 8, "dropout": 0.1},
}
STEPS = 12
TRAIN: dict[str, Any] = {
    "steps": STEPS,
    "batch_items": 2,
    "rates": {"default": 1e-2},
    "precision": "fp32",
    "accelerator": "cpu",
    "validate_every": 100,
    "validate_clips": 2,
    "validate_aloud": 0,
    "checkpoint_every": 3,
    "log_every": 4,
}
"""Of a run that takes a second or two; it validates at its end alone, and says nothing aloud."""

Arrays = dict[str, NDArray[Any]]


def drawn(frames: int, phones: int, speaker: int, seed: int) -> Arrays:
    """Arrays of a clip with everything in it, drawn."""
    rng = np.random.default_rng(seed)
    tokens = frames_to_tokens(frames)

    def durations(total: int) -> NDArray[np.int64]:
        edges = np.sort(rng.choice(np.arange(1, total), phones - 1, replace=False))
        return np.diff(np.concatenate([[0], edges, [total]])).astype(np.int64)

    return {
        "lip": rng.normal(size=(frames, 12)).astype(np.float32),
        "face": rng.normal(size=(frames, 10)).astype(np.float32),
        "phones": np.concatenate([[1], rng.integers(3, 40, phones - 2), [1]]).astype(np.int64),
        "stress": rng.integers(0, 3, phones).astype(np.int64),
        "frame_durations": durations(frames),
        "token_durations": durations(tokens),
        "prosody": rng.integers(0, 1024, (1, tokens)).astype(np.int16),
        "content": rng.integers(0, 1024, (2, tokens)).astype(np.int16),
        "acoustic": rng.integers(0, 1024, (3, tokens)).astype(np.int16),
        "speaker": rng.normal(size=speaker).astype(np.float32),
    }


@dataclass(frozen=True)
class Clip:
    """A clip to write: its arrays, and what the index says of it."""

    arrays: Arrays
    split: str | None = "train"
    speaker: str | None = "s0"
    frames: int = 25


def clips_of(speaker: int, count: int = 9) -> dict[str, Clip]:
    """Clips of about a second by three speakers, the last three held out."""
    made = {}
    for number in range(count):
        frames = 20 + number % 5
        split = "val" if number >= count - 3 else "train"
        made[f"c/{number}"] = Clip(drawn(frames, 6, speaker, number), split, f"s{number % 3}", frames)
    return made


def write_set(root: Path, codec: str, clips: Mapping[str, Clip]) -> Path:
    """Write a prepared set."""
    store = Store(root)
    keys = {name: content_key({"clip": name, "seed": float(clip.arrays["lip"].sum())}) for name, clip in clips.items()}
    for name, clip in clips.items():
        store.put(keys[name], clip.arrays, {})
    with store.packing():
        store.pack(keys.values(), 10**8)
        shards = {store.shard_of(key) for key in keys.values()}
        facts = {
            name: ShardFacts(sha256=store.digest(name), bytes=store.shard_path(name).stat().st_size) for name in shards
        }
        rows = {
            name: PreparedClip(
                key=keys[name],
                shard=store.shard_of(keys[name]),
                clip_sha256="0" * 64,
                frames=clip.frames,
                tokens=frames_to_tokens(clip.frames),
                phones=len(clip.arrays.get("phones", ())),
                alignment="given",
                transcript="bin blue",
                language="en",
                speaker=clip.speaker,
                split=clip.split,  # type: ignore[arg-type]
            )
            for name, clip in clips.items()
        }
    store.close()
    index = PreparedIndex(
        corpus="drawn", world="embedded", transform_version=1, preset={},
        extractors={"landmarker": "m", "lip": "l", "face": "f", "phonemes": "p"},
        codec=codec, clips=rows, failed={}, shards=facts,
    )  # fmt: skip
    write_index(root, index)
    return root


@dataclass(frozen=True)
class Room:
    """A set, its codec, and where there is room to train."""

    data: Path
    codec: Path
    codec_id: str
    speaker: int

    def task(
        self, stage: str = "tts", *, teacher: Path | None = None, data: Path | None = None, **changes: Any
    ) -> Task:
        """A task of a stage with changed settings."""
        kind = TtsTraining if stage == "tts" else DubberTraining
        settings = kind.model_validate(TRAIN | changes)
        return Task(data or self.data, self.codec, NetSettings.model_validate(NETS), settings, "small", teacher)

    def preset(self, folder: Path, **changes: Any) -> Path:
        """A preset file of the same figures."""
        path = folder / "small.yaml"
        content = {"nets": NETS, "train_tts": TRAIN | changes, "train_dubber": TRAIN | changes}
        path.write_text(yaml.safe_dump(content))
        return path

    def words(self, stage: str, out: Path, preset: Path, teacher: Path | None = None) -> list[str | Path]:
        """``dubflow train`` on the set."""
        words: list[str | Path] = ["train", stage, "--data", self.data, "--codec", self.codec, "--out", out]
        return [*words, "--preset", preset, "--track", "none", *(["--teacher", teacher] if teacher else [])]


def shared_room(factory: pytest.TempPathFactory) -> Room:
    """The room of this test run, whichever folder's tests ask first."""
    root = factory.getbasetemp() / "training-room"
    if not (root / "prepared").exists():
        codec = fit_codec(root / "codec")
        write_set(root / "prepared", codec.id, clips_of(codec.speaker_size))
    read = load_codec(root / "codec")
    return Room(root / "prepared", root / "codec", read.id, read.speaker_size)


def weights(model: Path) -> dict[str, Tensor]:
    """Weights of a stored model."""
    return load_file(model / "model.safetensors")


def equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Whether two sets of weights are the same to the bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def greatest_difference(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    """Between two sets of weights of the same names."""
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(["dubflow.diflow.training.run", "dubflow.cli.main"])
"""Importing Lightning takes seconds; a process that has done so once is forked for every run that is to be killed."""


def _run(words: list[str], told: Path, environment: Mapping[str, str], death: tuple[str, int] | None) -> None:
    """The program in this process, which is another than the tests'."""
    from dubflow.cli import main as program

    with open(told, "a", buffering=1) as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    os.environ.update(environment)
    sys.argv = ["dubflow", *words]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if death is not None:
        _will_die(*death)
    program.run()


def _will_die(where: str, number: int) -> None:
    """Let this process kill itself with SIGKILL in a batch, or when half of a checkpoint is written."""
    from dubflow.diflow.training.modules import StageModule
    from dubflow.training import checkpoints

    place, name = (StageModule, "training_step") if where == "batch" else (checkpoints, "save_file")
    original, count = getattr(place, name), itertools.count(1)

    def dying(*args: Any, **kwargs: Any) -> Any:
        answer = original(*args, **kwargs)
        if next(count) == number:
            if where == "write":
                os.truncate(args[1], Path(args[1]).stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    setattr(place, name, dying)


class Running:
    """``dubflow WORDS`` in a process of its own."""

    def __init__(
        self, words: Sequence[str | Path], told: Path, death: tuple[str, int] | None = None, **environment: str
    ) -> None:
        """``death`` is ``("batch", n)`` or ``("write", n)``: it dies in its n-th batch or checkpoint."""
        self.told = told
        self.process = FORKS.Process(target=_run, args=([str(word) for word in words], told, environment, death))
        self.process.start()

    def send_when(self, seen: Callable[[], bool], number: signal.Signals) -> int:
        """Send a signal as soon as something is seen; the exit code."""
        while not seen() and self.process.is_alive():
            time.sleep(0.001)
        if self.process.is_alive() and self.process.pid is not None:
            os.kill(self.process.pid, number)
        return self.end()

    def end(self) -> int:
        """Wait for its end; the exit code."""
        self.process.join(300)
        assert self.process.exitcode is not None
        return self.process.exitcode

    def says(self) -> str:
        """All that it wrote so far."""
        return self.told.read_text() if self.told.exists() else ""


def run_on(processes: int, words: Sequence[str | Path], folder: Path) -> list[int]:
    """``dubflow WORDS`` in several processes that train together, as torchrun would start them; their exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "tests", "GROUP_RANK": "0",
        "WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes),
    }  # fmt: skip
    running = [
        Running(words, folder / f"told.{rank}.txt", **shared, RANK=str(rank), LOCAL_RANK=str(rank))
        for rank in range(processes)
    ]
    return [each.end() for each in running]
