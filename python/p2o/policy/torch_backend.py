"""The policy backend `torch`: one process, length-sorted padded micro-batches, AdamW."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from p2o.errors import ConfigError, TrainingError
from p2o.model.load import load_model, save_model
from p2o.policy.config import LossConfig
from p2o.policy.logprobs import output_head, token_logprobs
from p2o.policy.losses import LOSSES
from p2o.policy.optimizer_config import OptimizerConfig
from p2o.policy.policy import WEIGHT_GROUP_BYTES
from p2o.policy.rows import ScoredRow, Sequences
from p2o.policy.streams import GlobalCounts, TokenStreams

SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda _: 1.0,
    "linear": lambda progress: 1.0 - progress,
    "cosine": lambda progress: 0.5 * (1.0 + math.cos(math.pi * progress)),
}
"""Factor of the learning rate by the share of the steps after the warm-up that is done."""


class TorchPolicy:
    """A causal language model under training: a [`p2o.policy.policy.Policy`][]."""

    shares_model = True

    def __init__(
        self,
        model: Any,
        config: OptimizerConfig,
        loss: LossConfig,
        *,
        pad_id: int,
        temperature: float,
        planned_steps: int,
    ) -> None:
        self.model = model
        self.config = config
        self.loss = loss
        self.pad_id = pad_id
        self.temperature = temperature
        self.planned_steps = max(1, planned_steps)
        self.steps = 0
        if model.dtype == torch.float16:
            raise ConfigError(
                'model.dtype = "float16" cannot be trained without loss scaling: use "bfloat16"'
            )
        # An update of AdamW is often below bfloat16's resolution: it is made on float32 copies.
        low_precision = model.dtype != torch.float32
        self.master = [p.detach().float().clone() if low_precision else p for p in model.parameters()]
        self.optimizer = torch.optim.AdamW(
            self.master,
            lr=config.learning_rate,
            betas=(config.beta1, config.beta2),
            weight_decay=config.weight_decay,
        )
        model.eval()  # no dropout: a token must get the same log-prob when sampled, scored and trained

    def score(self, sequences: Sequences) -> list[NDArray[np.float32]]:
        """Log-probs of each response given its prompt under the current weights, at the sampling temperature."""
        scored: list[NDArray[np.float32]] = score_sequences(
            self.model,
            sequences,
            pad_id=self.pad_id,
            temperature=self.temperature,
            micro_batch_tokens=self.config.micro_batch_tokens,
        )
        return scored

    def update(self, rows: Sequence[ScoredRow], counts: GlobalCounts) -> dict[str, float]:
        """One optimizer step over `rows`; `counts` are those of the whole optimizer batch.

        Raises:
            TrainingError: if the loss or the gradient is not finite (the weights are left as they were).
        """
        totals: dict[str, float] = {}
        loss_function = LOSSES[self.loss.name]
        sequences = [(row.row.prompt_ids, row.row.rollout.response_ids) for row in rows]
        for indices in micro_batches(sequences, self.config.micro_batch_tokens):
            chosen = [rows[i] for i in indices]
            streams = self._streams(chosen)
            output = loss_function(streams, counts, self.loss)
            output.loss.backward()
            for name, value in {"policy_loss": output.loss, **output.metrics}.items():
                totals[name] = totals.get(name, 0.0) + float(value.detach())
        grad_norm = self._clip_gradients()
        if not math.isfinite(grad_norm) or not math.isfinite(totals.get("policy_loss", 0.0)):
            self.optimizer.zero_grad(set_to_none=True)
            raise TrainingError(
                f"loss {totals.get('policy_loss')} or gradient norm {grad_norm} is not finite at optimizer step "
                f"{self.steps}: start again with a lower optimizer.learning_rate"
            )
        learning_rate = self.config.learning_rate * self._schedule()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        if rows:
            self._step()
        self.optimizer.zero_grad(set_to_none=True)
        self.steps += 1
        return {**totals, "grad_norm": grad_norm, "learning_rate": learning_rate}

    def _clip_gradients(self) -> float:
        """Moves the gradients to the copies that are trained, scales them down, and returns their norm before."""
        for master, parameter in zip(self.master, self.model.parameters(), strict=True):
            if master is not parameter and parameter.grad is not None:
                master.grad, parameter.grad = parameter.grad.float(), None
        return float(torch.nn.utils.clip_grad_norm_(self.master, self.config.max_grad_norm))

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
    def _step(self) -> None:
        """Steps the optimizer and rounds the copies into the model's weights."""
        self.optimizer.step()
        for master, parameter in zip(self.master, self.model.parameters(), strict=True):
            if master is not parameter:
                parameter.copy_(master)

    def _schedule(self) -> float:
        warmup = self.config.warmup_steps
        if self.steps < warmup:
            return (self.steps + 1) / (warmup + 1)
        done = (self.steps - warmup) / max(1, self.planned_steps - warmup)
        return SCHEDULES[self.config.schedule](min(1.0, done))

    def _streams(self, rows: Sequence[ScoredRow]) -> TokenStreams:
        device = self.model.device
        sequences = [(row.row.prompt_ids, row.row.rollout.response_ids) for row in rows]
        logp = padded_logprobs(self.model, sequences, pad_id=self.pad_id, temperature=self.temperature)

        def padded(values: Sequence[NDArray[np.float32]]) -> Tensor:
            tensors = [torch.from_numpy(v) for v in values]
            return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True).to(device)

        lengths = [len(response) for _, response in sequences]
        ref = [row.ref_logp_T for row in rows if row.ref_logp_T is not None]
        return TokenStreams(
            logp=logp,
            old_logp=padded([row.old_logp_T for row in rows]),
            advantage=padded(
                [np.full(n, row.row.advantage, np.float32) for n, row in zip(lengths, rows, strict=True)]
            ),
            context_weight=padded([row.context_weight_T for row in rows]),
            engine_weight=padded([row.engine_weight_T for row in rows]),
            loss_mask=padded([np.ones(n, np.float32) for n in lengths]),
            ref_logp=padded(ref) if len(ref) == len(rows) else None,
        )

    def weights(self) -> Iterator[list[tuple[str, Tensor]]]:
        """The model's parameters in groups; see [`p2o.policy.policy.Policy`][]."""
        yield from weight_groups(self.model.named_parameters())

    def export(self, folder: Path, tokenizer: Any) -> None:
        """Writes the model in Hugging Face format."""
        save_model(self.model, tokenizer, folder)

    def save(self, folder: Path, tokenizer: Any) -> None:
        """Writes the model and the optimizer's state into `folder` (safetensors)."""
        from safetensors.torch import save_file

        self.export(folder / "model", tokenizer)
        tensors = {"policy.steps": torch.tensor(self.steps)}
        for index, state in self.optimizer.state_dict()["state"].items():
            for name, value in state.items():
                tensors[f"{index}.{name}"] = torch.as_tensor(value).contiguous()
        for index, (master, parameter) in enumerate(zip(self.master, self.model.parameters(), strict=True)):
            if master is not parameter:
                tensors[f"{index}.master"] = master
        save_file(tensors, folder / "optimizer.safetensors")

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
    def load(self, folder: Path) -> None:
        """Restores what `save` wrote."""
        from safetensors.torch import load_file

        dtype = str(self.model.dtype).removeprefix("torch.")
        # Through transformers: what is saved may be laid out differently from the model in memory (tied weights,
        # experts).
        loaded, _ = load_model(folder / "model", dtype=dtype)
        self.model.load_state_dict(loaded.state_dict())
        tensors = load_file(folder / "optimizer.safetensors")
        self.steps = int(tensors.pop("policy.steps"))
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            index, name = key.split(".", 1)
            if name == "master":
                self.master[int(index)].copy_(value)
                continue
            state.setdefault(int(index), {})[name] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})


class FrozenWeights:
    """A model that is not trained, for a sampler to take over: a [`p2o.policy.policy.Weights`][]."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def weights(self) -> Iterator[list[tuple[str, Tensor]]]:
        """The model's parameters in groups."""
        yield from weight_groups(self.model.named_parameters())


def weight_groups(named: Iterable[tuple[str, Tensor]]) -> Iterator[list[tuple[str, Tensor]]]:
    """Names and tensors in groups of about `WEIGHT_GROUP_BYTES`."""
    group: list[tuple[str, Tensor]] = []
    size = 0
    for name, tensor in named:
        if group and size + tensor.nbytes > WEIGHT_GROUP_BYTES:
            yield group
            group, size = [], 0
        group.append((name, tensor.detach()))
        size += tensor.nbytes
    if group:
        yield group


def micro_batches(sequences: Sequences, token_budget: int) -> Iterator[list[int]]:
    """Indices of rows of similar length, at most `token_budget` padded tokens together; longest first."""
    order = sorted(range(len(sequences)), key=lambda i: (-len(sequences[i][0]) - len(sequences[i][1]), i))
    batch: list[int] = []
    width = 0
    for i in order:
        if batch and width * (len(batch) + 1) > token_budget:
            yield batch
            batch = []
        if not batch:
            width = len(sequences[i][0]) + len(sequences[i][1])
        batch.append(i)
    if batch:
        yield batch


def padded_logprobs(model: Any, sequences: Sequences, *, pad_id: int, temperature: float) -> Tensor:
    """Log-probs of the responses, right-padded with 0: [rows, longest response], float32, differentiable."""
    device = model.device
    width = max(len(prompt) + len(response) for prompt, response in sequences)
    input_ids = torch.full((len(sequences), width), pad_id)
    attention_mask = torch.zeros((len(sequences), width), dtype=torch.long)
    predicting, targets, positions = [], [], []
    for row, (prompt, response) in enumerate(sequences):
        end = len(prompt) + len(response)
        input_ids[row, :end] = torch.tensor([*prompt, *response])
        attention_mask[row, :end] = 1
        # The token at position t is predicted at position t - 1.
        predicting.append(row * width + torch.arange(len(prompt) - 1, end - 1))
        targets.append(torch.tensor(list(response), dtype=torch.long))
        positions.append(torch.stack([torch.full((len(response),), row), torch.arange(len(response))]))
    hidden = model.base_model(
        input_ids=input_ids.to(device), attention_mask=attention_mask.to(device), use_cache=False
    ).last_hidden_state
    flat = hidden.flatten(0, 1)[torch.cat(predicting).to(device)]
    logp = token_logprobs(flat, torch.cat(targets).to(device), output_head(model), temperature=temperature)
    rows, columns = torch.cat(positions, dim=1).to(device)
    longest = max(len(response) for _, response in sequences)
    return logp.new_zeros(len(sequences), longest).index_put((rows, columns), logp)


@torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
def score_sequences(
    model: Any, sequences: Sequences, *, pad_id: int, temperature: float, micro_batch_tokens: int
) -> list[NDArray[np.float32]]:
    """Log-probs of each response given its prompt, [T] each, in the order given."""
    result: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(sequences)
    for indices in micro_batches(sequences, micro_batch_tokens):
        chosen = [sequences[i] for i in indices]
        logp = padded_logprobs(model, chosen, pad_id=pad_id, temperature=temperature).cpu().numpy()
        for row, i in enumerate(indices):
            result[i] = logp[row, : len(sequences[i][1])].copy()
    return result
