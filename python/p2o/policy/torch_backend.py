"""The policy backend `torch`: one process on one device, AdamW."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from p2o.errors import CheckpointError, ConfigError
from p2o.model.load import load_model, save_model
from p2o.policy.lora import adapter_name, adapter_writer, add_adapters
from p2o.policy.optimizer_config import BETAS, OptimizerConfig
from p2o.policy.policy import Policy
from p2o.policy.weights import host_state, model_weights, weight_groups

OPTIMIZER_FILE = "optimizer.safetensors"
"""The optimizer's part of a checkpoint."""


class TorchPolicy(Policy):
    """A causal language model under training in this process."""

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
            for name, parameter in self.trained.items():
                if self.master[name] is not parameter:
                    parameter.copy_(self.master[name])
        self._discard()
        return float(norm)

    def weights(self) -> Iterator[list[tuple[str, Tensor]]]:
        """The model's weights in groups; see [`p2o.policy.weights.Weights`][]."""
        yield from weight_groups(model_weights(self.model))

    def export(self, folder: Path, tokenizer: Any) -> None:
        """Writes the model in Hugging Face format; with LoRA the merged model, and the adapter in `adapter/`."""
        check = self._reader()
        if self.config.lora is None:
            save_model(self.model, tokenizer, folder, check=check)
            return
        state = host_state(self.weights())
        adapters = {adapter_name(name): p.detach().cpu().contiguous() for name, p in self.trained.items()}
        beside = adapter_writer(adapters, self.config.lora, self.model.name_or_path)
        save_model(self.model, tokenizer, folder, state=state, beside=beside, check=check)

    def save(self, folder: Path, tokenizer: Any) -> None:
        """Writes what is trained (the model, or the adapters) and the optimizer's state into `folder`."""
        from safetensors.torch import save_file

        if self.config.lora is None:
            save_model(self.model, tokenizer, folder / "model")
        tensors: dict[str, Tensor] = {}
        state = self.optimizer.state_dict()["state"]
        for index, (name, master) in enumerate(self.master.items()):
            for key, value in state.get(index, {}).items():
                tensors[f"{key}.{name}"] = torch.as_tensor(value).contiguous()
            if master is not self.trained[name] or self.config.lora is not None:
                tensors[f"master.{name}"] = master.detach()
        save_file(tensors, folder / OPTIMIZER_FILE)
        self._write_identity(folder, self.probe())

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
    def load(self, folder: Path) -> None:
        """Restores what `save` wrote."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        self._read_identity(folder)
        if self.config.lora is None:
            dtype = str(self.model.dtype).removeprefix("torch.")
            # Through transformers: what is saved may be laid out differently from the model in memory (tied weights,
            # experts).
            loaded, _ = load_model(folder / "model", dtype=dtype, trust_remote_code=self.trust_remote_code)
            self.model.load_state_dict(loaded.state_dict())
        try:
            tensors = load_file(folder / OPTIMIZER_FILE)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(
                f"{folder / OPTIMIZER_FILE} cannot be read ({error}): the checkpoint is damaged; "
                "without its folder --resume takes the one before"
            ) from error
        indices = {name: index for index, name in enumerate(self.master)}
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            kind, name = key.split(".", 1)
            if kind == "master":
                self.master[name].copy_(value)
                self.trained[name].copy_(value)
            else:
                state.setdefault(indices[name], {})[kind] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        self._confirm(folder)
