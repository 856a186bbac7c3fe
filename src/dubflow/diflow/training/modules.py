"""Both stages as Lightning modules: a batch becomes the parts of Eq. 9 or Eq. 7.

Every random number of a step comes from generators seeded by the run's seed, the batch's number in the plan and the
clip, dropout included; so a step depends on the weights and on its batches, and not on what this process did before,
nor on how many processes share the batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import lightning
import torch
from torch import Tensor

from dubflow.diflow.flow.noise import generators, seed_of
from dubflow.diflow.flow.path import corrupt, draw_times
from dubflow.diflow.nets.dit import DitBlock
from dubflow.diflow.nets.dubber import DubberNetwork, DubberTargets, dubbing_loss
from dubflow.diflow.nets.fft import FftStack
from dubflow.diflow.nets.grid import inside_of, masked_mean
from dubflow.diflow.nets.losses import LossParts
from dubflow.diflow.nets.prompt import Reference, crop_reference
from dubflow.diflow.nets.text import Text
from dubflow.diflow.nets.tts import TtsNetwork, tts_loss
from dubflow.diflow.stored import Network
from dubflow.diflow.training.batches import DubbingBatch, SpeechBatch
from dubflow.diflow.training.optimisation import optimiser
from dubflow.diflow.training.settings import DubberTraining, TrainSettings, TtsTraining
from dubflow.training.sharding import shard
from dubflow.training.steps import clipped, count_batches, moved, must_be_finite


class StageModule(lightning.LightningModule):
    """What both stages do alike: a step, its seeds, its clipping, and the end where a number is none.

    Attributes:
        kind: class of the network.
        network: what is trained.
        parts: of the latest batch, detached; what the log averages.
        gradient: norm of the latest step's gradients, before clipping.
    """

    kind: ClassVar[type[Network]]

    def __init__(self, network: Network, settings: TrainSettings) -> None:
        super().__init__()
        self.network: Network = network
        self.settings = settings
        self.parts: LossParts | None = None
        self.gradient: Tensor | None = None
        self._in_step: list[str] = []

    def loss(self, batch: Any, sources: Sequence[torch.Generator]) -> LossParts:
        """Parts of the loss; ``sources`` has a generator for each clip."""
        raise NotImplementedError

    @staticmethod
    def speech(batch: Any) -> SpeechBatch:
        """The part of a batch that both stages have."""
        raise NotImplementedError

    def prompt(self, speech: SpeechBatch, sources: Sequence[torch.Generator]) -> Reference:
        """A stretch of each utterance itself, as its own reference."""
        books = self.network.settings.books
        share = self.settings.prompt_share
        return crop_reference(speech.spoken(books.prosody), sources, pad=books.vocabulary.pad, share=share)

    def training_step(self, batch: Any, index: int) -> Tensor:
        """The loss of one batch.

        Raises:
            OurFault: ``training.loss_not_finite``, in every process when it is so in one.
        """
        speech = self.speech(batch)
        torch.manual_seed(seed_of(self.settings.seed, "dropout", speech.number))
        sources = generators([seed_of(self.settings.seed, speech.number, place) for place in speech.places])
        parts = self.loss(batch, sources)
        total = parts.total
        self._in_step += speech.clips
        must_be_finite(total, parts.values, self.global_step, speech.clips)
        self.parts = replace(parts, values={name: value.detach() for name, value in parts.values.items()})
        return total

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip to ``clip_norm``, over all processes where the weights are in shards.

        Raises:
            OurFault: ``training.loss_not_finite`` when the gradients are no numbers; the clips of the step are named.
        """
        trained = [p for p in self.network.parameters() if p.requires_grad]
        self.gradient = clipped(trained, self.settings.clip_norm, self.global_step, self._in_step)
        self._in_step = []

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning counts batches; another number of processes takes another number of them for a step."""
        count_batches(checkpoint, self.settings.accumulate)

    def configure_model(self) -> None:
        """Cut the weights into shards where the strategy is to."""
        if self.device_mesh is not None:
            shard(self.network, self.device_mesh, (DitBlock, FftStack))

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Lightning's own way copies and then fills objects, which frozen ones refuse."""
        return moved(batch, device)

    def configure_optimizers(self) -> Any:
        """AdamW and its schedule."""
        return optimiser(self.network, self.settings)


class TtsModule(StageModule):
    """Stage 1 in training."""

    kind = TtsNetwork
    network: TtsNetwork
    settings: TtsTraining

    def __init__(self, network: TtsNetwork, settings: TtsTraining) -> None:
        super().__init__(network, settings)

    @staticmethod
    def speech(batch: SpeechBatch) -> SpeechBatch:
        """The batch itself."""
        return batch

    def loss(self, batch: SpeechBatch, sources: Sequence[torch.Generator]) -> LossParts:
        """Eq. 9; the prompt is a stretch of the utterance itself."""
        books = self.network.settings.books
        t = draw_times(sources).to(batch.flow.device)
        noisy = corrupt(batch.flow, t, sources, vocabulary=books.vocabulary)
        prompt = self.prompt(batch, sources)
        output = self.network(batch.text, batch.token_durations, prompt, batch.speaker, noisy, t)
        return tts_loss(
            output,
            batch.token_durations,
            batch.text,
            batch.content,
            batch.flow,
            noisy,
            settings=self.network.settings,
            weights=self.settings.weights,
            scope=self.settings.scope,
        )


class Teacher:
    """The frozen network of stage 1, and what it says of each clip: the mean over time of z_t, all that Eq. 5 needs.

    A clip is asked once and alone, so that the answer does not hang on what else was in its first batch.
    """

    def __init__(self, network: TtsNetwork) -> None:
        self.network = network.eval().requires_grad_(False)
        self._known: dict[tuple[int, ...], Tensor] = {}

    def means(self, text: Text) -> Tensor:
        """phi(z_t) of each item, ``[B, A]``."""
        return torch.stack([self._mean(text, item) for item in range(len(text.lengths))])

    def _mean(self, text: Text, item: int) -> Tensor:
        count = int(text.lengths[item])
        alone = Text(
            text.phonemes[item : item + 1, :count], text.stress[item : item + 1, :count], text.lengths[item : item + 1]
        )
        key = (*alone.phonemes[0].tolist(), *alone.stress[0].tolist())
        if key not in self._known:
            device = alone.phonemes.device
            with torch.no_grad(), torch.autocast(device.type, enabled=False):
                content, lengths = self.network.to(device).spoken(alone)
                inside = inside_of(lengths, content.features.shape[1])
                self._known[key] = masked_mean(content.features.float(), inside)[0].cpu()
        return self._known[key].to(text.phonemes.device)


class DubberModule(StageModule):
    """Stage 2 in training."""

    kind = DubberNetwork
    network: DubberNetwork
    settings: DubberTraining

    def __init__(self, network: DubberNetwork, settings: DubberTraining, teacher: TtsNetwork | None) -> None:
        """``teacher`` may be None only where the distillation weighs nothing."""
        super().__init__(network, settings)
        # Kept out of the module's own parts: it is neither trained, nor saved with every checkpoint.
        self._teacher = [Teacher(teacher)] if teacher is not None else []

    @staticmethod
    def speech(batch: DubbingBatch) -> SpeechBatch:
        """Its speech."""
        return batch.speech

    def loss(self, batch: DubbingBatch, sources: Sequence[torch.Generator]) -> LossParts:
        """Eq. 7."""
        speech, books = batch.speech, self.network.settings.books
        t = draw_times(sources).to(speech.flow.device)
        noisy = corrupt(speech.flow, t, sources, vocabulary=books.vocabulary)
        prompt = self.prompt(speech, sources) if self.network.settings.acoustic_prompt else None
        output = self.network(speech.text, batch.picture, speech.speaker, noisy, t, prompt)
        targets = DubberTargets(
            content=speech.content,
            flow=speech.flow,
            frame_durations=batch.frame_durations,
            token_durations=speech.token_durations,
            teacher=self._said(speech.text),
        )
        return dubbing_loss(
            output,
            speech.text,
            batch.picture.frames,
            targets,
            noisy,
            settings=self.network.settings,
            weights=self.settings.weights,
            scope=self.settings.scope,
        )

    def _said(self, text: Text) -> tuple[Tensor, Tensor] | None:
        """phi(z_t) as a teacher's sequence of one position: its mean over time is itself."""
        if self.settings.weights.distill == 0:
            return None
        means = self._teacher[0].means(text).unsqueeze(1)
        return means, torch.ones(len(means), dtype=torch.int64, device=means.device)
