"""The policy backend `torch`: one process on one device, AdamW."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from p2o.errors import ConfigError
from p2o.model.load import save_model
from p2o.policy.lora import add_adapters
from p2o.policy.optimizer_config import BETAS, OptimizerConfig
from p2o.policy.partitions import Partition, whole_parameters
from p2o.policy.policy import Policy


class TorchPolicy(Policy):
    """A causal language model under training in this process."""

    exports_copies = False

    def __init__(self, model: Any, config: Any, loss: Any, **options: Any) -> None:
        super().__init__(model, config, loss, **options)
        if config.lora is not None:
            add_adapters(model, config.lora)
        self.trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        # An update of AdamW is often below bfloat16's resolution: it is made on float32 copies.
        low_precision = model.dtype != torch.float32
        self.master = {
            name: p.detach().float().clone() if low_precision else p for name, p in self.trained.items()
        }
        if low_precision:
            for name, parameter in self.trained.items():
                parameter.register_post_accumulate_grad_hook(self._into_float32(name))
        self.optimizer = torch.optim.AdamW(
            self.master.values(), lr=config.learning_rate, betas=BETAS, weight_decay=config.weight_decay
        )

    @classmethod
    def check(cls, config: OptimizerConfig, dtype: str, ranks: int) -> None:
        """Refuses several processes."""
        if ranks > 1:
            raise ConfigError(
                f'optimizer.backend = "torch" trains in one process, but {ranks} were launched: set "deepspeed"'
            )

    def _into_float32(self, name: str) -> Any:
        """Micro-batches' gradients add up in float32, a parameter at a time: bfloat16 would lose the small ones."""
        master = self.master[name]

        def add(parameter: Tensor) -> None:
            gradient = parameter.grad.float()
            master.grad = gradient if master.grad is None else master.grad.add_(gradient)
            parameter.grad = None

        return add

    def _backward(self, loss: Tensor) -> None:
        loss.backward()

    def _discard(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
    def _step(self, rate: float) -> float:
        norm = torch.nn.utils.clip_grad_norm_(self.master.values(), self.config.max_grad_norm)
        if bool(norm.isfinite()):
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self.optimizer.step()
            self._refresh()
        self._discard()
        return float(norm)

    def save(self, folder: Path, tokenizer: Any) -> None:
        """See [`p2o.policy.policy.Policy`][]; without LoRA a model in Hugging Face format as well, in `model/`."""
        super().save(folder, tokenizer)
        if self.config.lora is None:
            save_model(self.model, tokenizer, folder / "model")

    def _partitions(self) -> list[Partition]:
        return whole_parameters(self.master)

    def _states(self) -> dict[Any, dict[str, Any]]:
        states: dict[Any, dict[str, Any]] = self.optimizer.state
        return states

    def _refresh(self) -> None:
        for name, parameter in self.trained.items():
            if self.master[name] is not parameter:
                parameter.copy_(self.master[name])
