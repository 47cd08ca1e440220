"""A rehearsal in small: a step, a checkpoint and an export, each read back, before hours are spent on the real ones.

It runs on the CPU, on a model of the same class with random weights and tiny sizes, whatever backend trains: what can
go wrong between memory and disk (a merge, tied weights, names, generation settings, code that comes with the model)
does not depend on sizes.
"""

from __future__ import annotations

import copy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError

from p2o.errors import ConfigError, ModelError, P2oError, in_one_line
from p2o.model.small import small_model
from p2o.packing import Rows
from p2o.policy.config import LossConfig
from p2o.policy.lora import uncalled
from p2o.policy.optimizer_config import LoraConfig, OptimizerConfig
from p2o.policy.readback import difference, probe_sequences, tolerance
from p2o.policy.streams import GlobalCounts
from p2o.policy.torch_backend import TorchPolicy

LEARNING_RATE = 0.1
"""That of the step: far above a real one, so that an export without it is another model."""


def rehearse(
    model: Any, tokenizer: Any, lora: LoraConfig | None, *, pad_id: int, trust_remote_code: bool = False
) -> str | None:
    """Trains, saves, loads and exports a small model of `model`'s class. Random draws elsewhere are left as they are.

    Args:
        model: whose class it is; its weights are not looked at.
        tokenizer: goes into what is written.
        lora: as in the run.
        pad_id: as in the run.
        trust_remote_code: as in the run.

    Returns:
        Why it was left out; None if it was not.

    Raises:
        P2oError: if what was written is not what was trained, or cannot be written or read.
    """
    name = type(model).__name__
    with torch.random.fork_rng(devices=[]), TemporaryDirectory(prefix="p2o-") as folder:
        torch.manual_seed(0)
        start, own = small_model(model)
        if start is None:
            return f"no small {name} could be made"
        start.generation_config = copy.deepcopy(model.generation_config)
        config = OptimizerConfig(
            backend="torch", layout="padded", learning_rate=LEARNING_RATE, lora=_in_small(lora)
        )

        def make() -> TorchPolicy:
            return TorchPolicy(
                copy.deepcopy(start),
                config,
                LossConfig(),
                pad_id=pad_id,
                temperature=1.0,
                planned_steps=1,
                trust_remote_code=trust_remote_code,
            )

        try:
            policy = make()
            unused = uncalled(policy.model, policy.probe)
            before = policy.probe()
            if unused is None:
                _step(policy)
            moved = difference(before, policy.probe())
        except Exception as error:
            # Errors of other kinds than ours, and of other sizes than the run's, need not be the run's.
            if own and isinstance(error, P2oError):
                raise
            return f"the small {name} cannot be trained ({' '.join(str(error).split())})"
        if unused is not None:
            raise ConfigError(
                f"optimizer.lora.target_modules: an adapter on {unused} has no effect, since a {name} takes the weight "
                "and does not call the layer: name other layers"
            )
        if not 5 * tolerance(start, 1.0) <= moved < float("inf"):
            return f"a step moves the log-probs of the small {name} by {moved:.2g}"
        try:
            policy.export(Path(folder) / "model", tokenizer)
            checkpoint = Path(folder) / "checkpoint"
            checkpoint.mkdir()
            policy.save(checkpoint, tokenizer)
            make().load(checkpoint)
        except (OSError, SafetensorError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ModelError(
                f"{folder}, where saving is tried out in small, cannot be written ({reason}): make room or set TMPDIR"
            ) from error
        except P2oError as error:
            raise ModelError(f"{name} cannot be saved, tried out in small: {error}") from error
        except Exception as error:  # what libraries raise about a model is of almost any type
            reason = in_one_line(error)
            raise ModelError(f"{name} cannot be saved, tried out in small: {reason}") from error
    return None


def _step(policy: TorchPolicy) -> None:
    """One step that makes the probe's responses likelier."""
    sequences = probe_sequences(policy.model)
    prompts, responses = zip(*sequences, strict=True)
    tokens = sum(map(len, responses))
    streams = {"old_logp": np.concatenate(policy.probe())}
    rows = Rows.of(prompts, responses, advantages=[1.0] * len(responses), streams=streams)
    policy.update(rows, GlobalCounts(float(tokens), float(len(responses)), tokens))


def _in_small(lora: LoraConfig | None) -> LoraConfig | None:
    """The same adapters where there are fewer layers: names without the numbers of layers."""
    if lora is None:
        return None
    names = []
    for target in lora.target_modules:
        parts = target.split(".")
        numbers = [place for place, part in enumerate(parts) if part.isdecimal()]
        names.append(".".join(parts[numbers[-1] + 1 :] if numbers else parts))
    return lora.model_copy(update={"target_modules": tuple(dict.fromkeys(names))})
