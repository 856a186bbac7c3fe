"""The averaged weights and the network that is shown."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dubflow.diflow.training.callbacks import Averaging
from dubflow.progress import Silent
from dubflow.training.callbacks import Checkpoints, Logging, at_rest
from dubflow.training.checkpoints import checkpoint_path, checkpoints


class Scalar(nn.Module):
    """A network of one number."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))


@settings(deadline=None, max_examples=50)
@given(
    decay=st.floats(0.01, 0.999),
    values=st.lists(st.floats(-10, 10), min_size=1, max_size=12),
    broken_at=st.integers(0, 11),
)
def test_the_average_follows_its_law_also_over_a_checkpoint(decay: float, values: list[float], broken_at: int) -> None:
    averaging, module = Averaging(decay), SimpleNamespace(network=Scalar())
    expected = values[0]
    for step, value in enumerate(values):
        if step == broken_at:
            kept = {name: mean.clone() for name, mean in averaging.state_dict().items()}
            averaging = Averaging(decay)
            averaging.load_state_dict(kept)
        module.network.weight.data.fill_(value)
        averaging.stepped(None, module, step + 1)  # type: ignore[arg-type]
        expected = value if step == 0 else decay * expected + (1 - decay) * value
        assert float(averaging.average["weight"]) == pytest.approx(expected, abs=1e-9)


def test_at_rest_goes_back_to_training_also_after_an_error() -> None:
    network = nn.Dropout(0.5)
    with pytest.raises(ZeroDivisionError), at_rest(network):
        assert not network.training
        assert not torch.is_grad_enabled()
        raise ZeroDivisionError
    assert network.training
    assert torch.is_grad_enabled()


class Kept:
    """A record in memory."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, float]]] = []

    def parameters(self, values: Any) -> None:
        raise AssertionError

    def metrics(self, values: Any, step: int) -> None:
        self.rows.append((step, dict(values)))

    def artifact(self, path: Any, folder: str = "") -> None:
        raise AssertionError


@pytest.mark.parametrize("broken_at", [None, 1, 2, 3, 4])
def test_logged_means_are_over_all_batches_since_the_last_line_also_over_a_checkpoint(broken_at: int | None) -> None:
    record = Kept()
    trainer: Any = SimpleNamespace(max_steps=4, optimizers=[SimpleNamespace(param_groups=[{"lr": 0.25}])])
    logging = Logging(record, Silent(), 2)
    for step in range(1, 5):
        if step == broken_at:
            kept = logging.state_dict()
            logging = Logging(record, Silent(), 2)
            logging.load_state_dict(kept)
        for share in (0.0, 0.5):
            value = torch.tensor(step + share)
            parts = SimpleNamespace(total=2 * value, values={"flow": value}, counts={"left_out": 1})
            module: Any = SimpleNamespace(parts=parts, gradient=torch.tensor(3.0), device=torch.device("cpu"))
            logging.batched(trainer, module)
        logging.stepped(trainer, module, step)
    beside = {"train/left_out": 1.0, "train/rate": 0.25, "train/gradient": 3.0}
    assert record.rows == [
        (2, {"train/flow": 1.75, "train/loss": 3.5} | beside),
        (4, {"train/flow": 3.75, "train/loss": 7.5} | beside),
    ]


def test_the_log_is_written_down_before_a_checkpoint_and_two_are_kept(tmp_path: Path) -> None:
    events: list[str] = []

    def save(path: Path) -> None:
        events.append(path.name)
        path.touch()

    trainer: Any = SimpleNamespace(max_steps=7, save_checkpoint=save, is_global_zero=True)
    saving = Checkpoints(tmp_path, 2, lambda: events.append("flush"))
    for step in range(1, 8):
        saving.stepped(trainer, None, step)  # type: ignore[arg-type]
    steps = [2, 4, 6, 7]
    assert events == [each for step in steps for each in ("flush", checkpoint_path(tmp_path, step).name)]
    assert checkpoints(tmp_path) == [checkpoint_path(tmp_path, 6), checkpoint_path(tmp_path, 7)]
