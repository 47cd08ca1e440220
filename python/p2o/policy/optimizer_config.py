"""Settings of the optimizer: who trains, on what schedule, in which layout, and whether through adapters."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from p2o.settings import Settings

LayoutName = Literal["padded", "packed", "shared"]
BETAS = (0.9, 0.999)
"""AdamW's decays of the gradient mean and of the squared gradient mean."""


class LoraConfig(Settings):
    """Low-rank adapters (LoRA, arXiv 2106.09685): only they are trained. Samplers and exports get merged weights;
    vLLM may get the adapters (`rollout.vllm.lora`).

    There is no dropout: a token must get the same log-prob when it is sampled, scored and trained.
    """

    rank: int = Field(16, ge=1)
    """Rank of the adapters, whose product is scaled by 2 (alpha is twice the rank)."""

    target_modules: tuple[str, ...] = Field((), strict=False)
    """Linear layers that get an adapter, by the ends of their names (`q_proj`, ...); unset, all but the output
    matrix. Experts, embeddings and a head tied to them are refused."""


class OptimizerConfig(Settings):
    """The optimizer and its schedule."""

    backend: Literal["auto", "torch", "deepspeed"] = "auto"
    """Who trains: `torch` is one process on one device, `deepspeed` shares the work (and, by `zero_stage`, the memory)
    between the processes that were launched. `auto`: deepspeed if there are several, else torch."""

    zero_stage: Literal[0, 1, 2, 3] | None = None
    """What DeepSpeed splits over the processes: 1 the optimizer's state, 2 the gradients as well, 3 the weights as
    well, 0 nothing. Unset: 2."""

    offload: Literal["none", "optimizer", "all"] = "none"
    """What DeepSpeed keeps in the host's memory: the optimizer's state (from stage 1), or the weights between their
    uses as well (`all`, stage 3)."""

    layout: Literal["auto"] | LayoutName = "auto"
    """How sequences share a forward pass: `padded` to the longest of a few of similar length, `packed` end to end
    without padding, or `shared`, packed with one copy of a prompt that several rows have. `auto`: packed on a GPU with
    bfloat16 weights (torch 2.11 or later), whose attention keeps to each row; shared on a CPU, but for models of a
    hidden size under 512 or an architecture that cannot; else padded."""

    gradient_checkpointing: bool = False
    """Compute each layer's activations again in the backward pass instead of keeping them: about a third more time,
    a fraction of the memory."""

    lora: LoraConfig | None = None
    """Train adapters instead of the weights (needs the package `peft`)."""

    learning_rate: float = Field(1e-6, gt=0)
    """Peak learning rate of AdamW."""

    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """After the warm-up: constant, or down to 0 at the end of the epochs. It goes by the problems that were rolled out:
    updates on a prompt step's rollouts come on top."""

    warmup_steps: int = Field(0, ge=0)
    """Optimizer steps in which the learning rate rises linearly to its peak."""

    weight_decay: float = Field(0.0, ge=0)
    """Decoupled weight decay."""

    max_grad_norm: float = Field(1.0, gt=0)
    """Gradients are scaled down to this global norm."""

    micro_batch_tokens: int = Field(16384, ge=1)
    """Tokens in one forward pass of a process, padding included. A longer row gets a pass of its own. On a GPU more are
    faster, as far as its memory goes: `p2o train --check` says what they take."""

    @model_validator(mode="after")
    def _no_contradictions(self) -> Self:
        stage = 2 if self.zero_stage is None else self.zero_stage
        if self.backend == "torch" and self.zero_stage:
            raise ValueError(
                f'optimizer.zero_stage = {self.zero_stage} needs DeepSpeed: set optimizer.backend = "deepspeed"'
            )
        if self.backend == "torch" and self.offload != "none":
            raise ValueError(
                f'optimizer.offload = "{self.offload}" needs DeepSpeed: set optimizer.backend = "deepspeed"'
            )
        if self.offload == "all" and stage != 3:
            raise ValueError(f'optimizer.offload = "all" needs optimizer.zero_stage = 3, not {stage}')
        if self.offload == "optimizer" and stage == 0:
            raise ValueError('optimizer.offload = "optimizer" needs optimizer.zero_stage = 1 or more')
        return self
