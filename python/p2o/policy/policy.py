"""The policy: weights that score and learn, and that a sampler can take over.

Here is what the backends share: scoring, the sum over micro-batches and ranks, the schedule, metrics, checkpoints'
names. A backend adds how a gradient is accumulated, clipped and applied, and how weights are kept.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from p2o.distributed import ONE_PROCESS, Processes
from p2o.errors import CheckpointError, ConfigError, ModelError, P2oError, TrainingError, in_one_line
from p2o.model.checks import refuse_quantised
from p2o.model.load import save_model
from p2o.packing import Packing, Rows, fill
from p2o.plugins import look_up
from p2o.policy.config import CorrectionConfig, LossConfig
from p2o.policy.identity import Identity
from p2o.policy.layout import (
    Forward,
    Layout,
    LogprobModel,
    empty_micro_batch,
    head_chunks,
    make_layout,
    resolve_layout,
    score_share,
    split_sequences,
)
from p2o.policy.lora import Adapter, adapter_name
from p2o.policy.losses import LOSSES, Loss
from p2o.policy.memory import Memory, memory_estimate
from p2o.policy.optimizer_config import LayoutName, OptimizerConfig
from p2o.policy.partitions import Partition, partition_file, read_partitions, write_partitions
from p2o.policy.ratios import NO_TOKENS, RatioStatistics
from p2o.policy.readback import difference, probe_sequences, read_back, tolerance
from p2o.policy.recomputation import checkpointing, enable_checkpointing
from p2o.policy.rows import Sequences
from p2o.policy.schedule import learning_rate
from p2o.policy.streams import GlobalCounts, TokenStreams
from p2o.policy.unscored import complete
from p2o.policy.weights import host_state, model_weights, weight_groups

USUAL_CORRECTION = CorrectionConfig()


class Policy(ABC):
    """A causal language model under training; its `weights` are what a sampler takes over.

    In a run of several processes every method is called by all ranks with the same arguments, and returns the same
    on all of them; the backend shares out the work.
    """

    shares_model = True
    forward: Forward
    """Runs the model; what the backend wraps around a `LogprobModel`."""
    trained: dict[str, Any]
    """The parameters that are trained, by name."""
    holds_all = True
    """Whether every rank holds the whole state of the optimizer."""
    fused = False
    """Whether AdamW is the fused one."""
    exports_copies = True
    """Whether an export is made of copies of the weights: the backend has them in a form of its own."""

    def __init__(
        self,
        model: Any,
        config: OptimizerConfig,
        loss: LossConfig,
        *,
        pad_id: int,
        temperature: float,
        planned_steps: int,
        correction: CorrectionConfig = USUAL_CORRECTION,
        processes: Processes = ONE_PROCESS,
        trust_remote_code: bool = False,
    ) -> None:
        """Takes over `model`; `pad_id` is the token that fills up, `temperature` that at which log-probs are taken,
        `planned_steps` the optimizer steps of the run, for the schedule, `correction` the rule of the engine weight.
        `trust_remote_code`: what it has written may be loaded with the code beside it."""
        if model.dtype == torch.float16:
            raise ConfigError(
                'model.dtype = "float16" cannot be trained without loss scaling: use "bfloat16"'
            )
        refuse_quantised(model.config, model.name_or_path)
        self.model = model
        self.config = config
        self.temperature = temperature
        self.trust_remote_code = trust_remote_code
        self.loss = loss
        self.correction = correction
        self.loss_function: Loss = look_up(LOSSES, loss.name, "loss.name")
        self.pad_id = pad_id
        self.planned_steps = max(1, planned_steps)
        self.processes = processes
        self.steps = 0
        self.set_layout(resolve_layout(config.layout, model))
        if config.gradient_checkpointing:
            enable_checkpointing(model)
        model.eval()  # no dropout: a token must get the same log-prob when sampled, scored and trained
        self.forward = LogprobModel(model, temperature)
        self.device = model.device

    @classmethod
    @abstractmethod
    def check(cls, config: OptimizerConfig, dtype: str, ranks: int) -> None:
        """Refuses settings, a type of the weights or a number of processes that it cannot train with.

        Raises:
            ConfigError: naming the setting and the remedy.
            MissingDependencyError: if a package is missing.
        """

    @classmethod
    def partitions(cls, config: OptimizerConfig) -> bool:
        """Whether no process holds the whole weights."""
        return False

    @classmethod
    def loading(
        cls, config: OptimizerConfig, dtype: str, processes: Processes
    ) -> AbstractContextManager[None]:
        """The context in which the model is loaded."""
        return nullcontext()

    @classmethod
    def memory(
        cls, config: OptimizerConfig, parameters: int, itemsize: int, *, ranks: int, adapters: int
    ) -> Memory:
        """What weights, gradients and the optimizer's state take on each process."""
        return memory_estimate(parameters, itemsize, config, adapters=adapters)

    @classmethod
    def label(cls, config: OptimizerConfig) -> str:
        """The backend in a word or two."""
        return "torch"

    @abstractmethod
    def _backward(self, loss: Tensor) -> None:
        """Adds the gradient of a micro-batch's share of the loss."""

    @abstractmethod
    def _step(self, rate: float) -> float:
        """Clips and applies the accumulated gradient, which is gone afterwards; returns its norm before.

        Where the norm is not finite nothing is applied.
        """

    @abstractmethod
    def _discard(self) -> None:
        """Forgets the accumulated gradient."""

    @abstractmethod
    def _partitions(self) -> list[Partition]:
        """This rank's part of what the optimizer trains, in float32."""

    @abstractmethod
    def _states(self) -> dict[Any, dict[str, Any]]:
        """The state of AdamW by the partitions' tensors."""

    @abstractmethod
    def _refresh(self) -> None:
        """Makes the weights of the forward pass those of the partitions."""

    def _gather(self, parameters: list[Any]) -> AbstractContextManager[None]:
        """A context in which the parameters are whole."""
        return nullcontext()

    def weights(self, *, merged: bool = True) -> Iterator[list[tuple[str, Any]]]:
        """See [`p2o.policy.weights.Weights`][]."""
        yield from weight_groups(model_weights(self.model, merged=merged), self._gather)

    def adapter(self) -> Adapter | None:
        """See [`p2o.policy.weights.Weights`][]."""
        if self.config.lora is None:
            return None
        with self._gather(list(self.trained.values())):
            tensors = {adapter_name(name): p.detach().cpu().clone() for name, p in self.trained.items()}
        return Adapter(self.config.lora, tensors, self.model.name_or_path)

    def export(self, folder: Path, tokenizer: Any) -> None:
        """Writes the model in Hugging Face format, a new directory, complete or absent; with LoRA the merged model, and
        the adapter in `adapter/`.

        Raises:
            ModelError: if it cannot be written, or the folder gives other log-probs than the model in memory.
        """
        check, adapter = self._reader(), self.adapter()
        copies = self.exports_copies or adapter is not None
        state = host_state(self.weights(), keep=self.processes.is_main) if copies else None
        beside = None if adapter is None else lambda export: adapter.write(export / "adapter")
        # Nobody goes on before the export is complete.
        self.processes.on_main(
            lambda: save_model(self.model, tokenizer, folder, state=state, beside=beside, check=check)
        )

    def score(self, sequences: Sequences) -> list[NDArray[np.float32]]:
        """Log-probs of each response given its prompt under the current weights, at the sampling temperature."""
        ranks = self.processes.size
        scored = score_share(
            self.forward,
            self.layout,
            sequences,
            split_sequences(self.layout, sequences, ranks),
            rank=self.processes.rank,
            ranks=ranks,
            pad_id=self.pad_id,
            device=self.device,
        )
        parts = self.processes.gather(scored)
        return [
            logp for _, logp in sorted((pair for part in parts for pair in part), key=lambda pair: pair[0])
        ]

    @torch.enable_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
    def update(
        self,
        rows: Rows,
        counts: GlobalCounts,
        engine: RatioStatistics = NO_TOKENS,
        planned_before: int | None = None,
    ) -> dict[str, float]:
        """One optimizer step over `rows`, with the streams of `prepare`; `counts` are those of the whole batch,
        `engine` the statistics of the engine ratio, to which those of the rows without `old_logp` are added,
        `planned_before` its place in the schedule (`learning_rate`).

        Gradients are on, whatever a reward function with a model of its own has set.

        Raises:
            TrainingError: if the loss or the gradient is not finite (the weights are left as they were).
        """
        totals, own = self._accumulate(rows, counts)
        loss = totals.get("policy_loss", 0.0)
        rate = learning_rate(self.config, self.steps, self.planned_steps, planned_before)
        grad_norm = 0.0
        if not math.isfinite(loss):
            self._discard()
        elif len(rows.lengths):
            grad_norm = self._step(rate)
        if not math.isfinite(loss) or not math.isfinite(grad_norm):
            found = f"the gradient norm is {grad_norm}" if math.isfinite(loss) else f"the loss is {loss}"
            raise TrainingError(
                f"{found}, not finite, at optimizer step {self.steps}: start again with a lower "
                "optimizer.learning_rate"
            )
        self.steps += 1
        engine_metrics = (engine + own).metrics("engine")
        return {**totals, **engine_metrics, "grad_norm": grad_norm, "learning_rate": rate}

    def _accumulate(self, rows: Rows, counts: GlobalCounts) -> tuple[dict[str, float], RatioStatistics]:
        """Runs this rank's micro-batches forward and backward; of all ranks together the loss and the metrics, and the
        engine ratio of rows whose old log-probs are those of this pass."""
        packing = self.layout.split(rows.lengths, self.processes.size, rows.prompts)
        chunks = head_chunks(packing, rows.response_lengths, self.processes.size)
        indices, own = packing.share(self.processes.rank)
        totals: dict[str, Tensor] = {}
        engine = NO_TOKENS
        with checkpointing(self.model, self.config.gradient_checkpointing):
            for batch, parts_of_head in zip(fill(own, rows.take(indices)), chunks, strict=True):
                used = batch if len(batch.rows) else empty_micro_batch(self.pad_id)
                logp = self.forward(**self.layout.inputs(used, self.device), chunks=parts_of_head)
                if used is not batch:
                    # The other ranks wait for this one's part of the exchange.
                    self._backward(logp.sum() * 0.0)
                    continue
                whole, ratio = complete(batch, logp, self.correction)
                engine += ratio
                output = self.loss_function(TokenStreams.from_micro_batch(whole, logp), counts, self.loss)
                self._backward(output.loss)
                for name, value in {"policy_loss": output.loss, **output.metrics}.items():
                    totals[name] = totals.get(name, torch.zeros_like(value)) + value.detach()
        parts = self.processes.gather(({name: float(value) for name, value in totals.items()}, engine))
        names = {name: None for found, _ in parts for name in found}
        sums = {name: sum(found.get(name, 0.0) for found, _ in parts) for name in names}
        return sums, reduce(add, (ratio for _, ratio in parts))

    def set_layout(self, name: LayoutName) -> None:
        """Sequences share forward passes by the layout `name` from now on."""
        budget = self.config.micro_batch_tokens
        self.layout: Layout = make_layout(name, self.model, pad_id=self.pad_id, token_budget=budget)

    def check_layout(self) -> None:
        """Compares sequences that share a row, two of them a prompt as well, with the same ones side by side; and with
        themselves behind another response.

        Raises:
            ModelError: if they see each other (the architecture keeps a state that does not restart with positions), or
                the model cannot run on them.
        """
        vocabulary = int(self.model.config.get_text_config(decoder=True).vocab_size)
        first, second, other = ([int(7 * i + start) % vocabulary for i in range(12)] for start in (1, 4, 2))
        packing = Packing.of([[[0, 1, 2]]])

        def logprobs(layout: Layout, response: list[int]) -> list[NDArray[np.float32]]:
            pairs = [(first[:4], response), (first[:4], second[6:]), (second[:4], second[4:])]
            scored = score_share(self.forward, layout, pairs, packing, pad_id=self.pad_id, device=self.device)
            return [logp for _, logp in scored]

        apart = make_layout("padded", self.model, pad_id=self.pad_id, token_budget=1)
        try:
            expected, found = (logprobs(layout, first[4:]) for layout in (apart, self.layout))
            # What the layouts round differently would hide a little that is seen. The same shapes round alike.
            moved = difference(found[1:], logprobs(self.layout, other[4:])[1:])
        except (P2oError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # a model that was not made for it can raise anything
            raise ModelError(
                f"{type(self.model).__name__} cannot read several sequences in one row ({in_one_line(error)}): set "
                'optimizer.layout = "padded"'
            ) from error
        limit = 1e-3 if self.model.dtype == torch.float32 else 0.1
        gap = difference(found, expected)
        if not (gap < limit and moved < limit / 20):
            raise ModelError(
                f"{type(self.model).__name__} mixes sequences that are packed into one row (log-probs differ by "
                f'{max(gap, moved):.2g}): set optimizer.layout = "padded"'
            )

    def save(self, folder: Path, tokenizer: Any) -> None:
        """Writes into `folder` what `load` needs to go on exactly: weights, in float32, and the optimizer's state.

        Each rank writes a file with its part.

        Raises:
            OSError: on all ranks, if one could not write.
        """
        from safetensors import SafetensorError

        probe = self.probe()
        folder.mkdir(parents=True, exist_ok=True)
        rank, ranks = self.processes.rank, self.processes.size
        own = self._partitions() if rank == 0 or not self.holds_all else []
        failure = None
        try:
            write_partitions(partition_file(folder, rank, ranks), own, self._states())
            if self.processes.is_main:
                Identity(ranks, self._lora_rank(), self.steps, [each.tolist() for each in probe]).write(
                    folder
                )
        except (OSError, SafetensorError) as error:
            failure = error
        # The checkpoint is complete when every rank has written. Where one could not, none waits for it.
        for found in self.processes.gather(None if failure is None else str(failure)):
            if found is not None:
                raise failure or OSError(found)

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
    def load(self, folder: Path) -> None:
        """Restores what `save` wrote, under whichever backend, at whichever stage, in however many processes.

        Raises:
            CheckpointError: on all ranks, if it is damaged, of another model or other adapters, or of another version.
        """
        identity = Identity.read(folder)
        if identity.lora != self._lora_rank():
            raise CheckpointError(
                f"{folder} is of a run {with_lora(identity.lora)}, this one is {with_lora(self._lora_rank())}: resume "
                "it as it was"
            )
        with self.processes.raising_on_all():
            read_partitions(
                folder,
                identity.ranks,
                self._partitions(),
                self._states(),
                sizes={name: int(getattr(p, "ds_numel", p.numel())) for name, p in self.trained.items()},
                fused=self.fused,
            )
        self.steps = identity.steps
        self._refresh()
        self._confirm(folder, identity.probe)

    def probe(self) -> list[NDArray[np.float32]]:
        """Log-probs of `probe_sequences`.

        Raises:
            TrainingError: if one is NaN: such a model is not worth keeping.
        """
        logprobs = self.score(probe_sequences(self.model))
        if any(np.isnan(each).any() for each in logprobs):
            raise TrainingError(
                "the model's log-probs are NaN: its weights or its outputs are no numbers; earlier checkpoints are as "
                "they were"
            )
        return logprobs

    def _reader(self) -> Callable[[Path], None]:
        """What compares an export with the weights as they are now. All ranks make it, one may call it."""
        expected = self.probe()
        return lambda folder: read_back(
            folder,
            self.model,
            expected,
            temperature=self.temperature,
            trust_remote_code=self.trust_remote_code,
        )

    def _confirm(self, folder: Path, recorded: Sequence[Sequence[float]]) -> None:
        """Compares the weights with the log-probs that the checkpoint they came from was written with.

        Raises:
            CheckpointError: if they are not those.
        """
        apart, limit = difference(self.probe(), recorded), tolerance(self.model, self.temperature)
        if not apart <= limit:
            raise CheckpointError(
                f"{folder} does not lead back to the model it was written from: log-probs differ by {apart:.2g} nats a "
                f"token, over {limit:g}; without its folder --resume takes the one before"
            )

    def _lora_rank(self) -> int:
        return 0 if self.config.lora is None else self.config.lora.rank


def with_lora(rank: int) -> str:
    """A run in words."""
    return f"with LoRA of rank {rank}" if rank else "without LoRA"
