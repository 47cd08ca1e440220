"""What all ranks of a launch must have alike (`Processes.require_same`), and what a resumed run must find as it was."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import transformers

from p2o import __version__
from p2o.config import Config
from p2o.evolution.identity import digest
from p2o.rollout.encode import end_ids
from p2o.track.run_directory import config_values, flatten


def launch_facts(config: Config) -> dict[str, Any]:
    """The settings by name, and the versions of the packages that compute."""
    versions = {"p2o": __version__, "torch": torch.__version__, "transformers": transformers.__version__}
    return {**flatten(config_values(config)), **{f"version of {name}": v for name, v in versions.items()}}


def model_facts(model: Any, tokenizer: Any) -> dict[str, Any]:
    """What ranks that loaded the same model and tokenizer have alike, in hashes."""
    return {
        "model (weights)": weights_digest(model),
        "model (configuration)": digest(model.config.to_dict()),
        "tokenizer": tokenizer_digest(tokenizer),
    }


def start_facts(model: Any, tokenizer: Any) -> dict[str, str]:
    """What a resumed run must find as it was: prompts are made by the tokenizer, and the start weights reflect, or are
    what adapters go on. Of the configuration only the tokens that end a response: versions of transformers write it
    differently, and the checkpoint's own log-probs tell whether the model computes what it did."""
    return {
        "model.source (weights)": weights_digest(model),
        "model.source (tokenizer)": tokenizer_digest(tokenizer),
        "model.source (end tokens)": digest(end_ids(model, tokenizer)),
    }


def weights_digest(model: Any) -> str:
    """A hash of the first entries of each weight.

    Weights that are partitioned already are gathered, one after the other: all ranks call it.
    """
    weights = []
    for name, weight in model.named_parameters():
        with whole(weight):
            weights.append((name, list(weight.shape), weight.detach().flatten()[:4].float().tolist()))
    return digest(weights)


def whole(weight: Any) -> AbstractContextManager[None]:
    """A context in which a weight is whole, which ZeRO-3 may have partitioned."""
    if not hasattr(weight, "ds_id"):
        return nullcontext()
    import deepspeed

    context: AbstractContextManager[None] = deepspeed.zero.GatheredParameters([weight])
    return context


def tokenizer_digest(tokenizer: Any) -> str:
    """A hash of all by which a tokenizer makes tokens of messages."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return digest([tokenizer.get_vocab(), tokenizer.chat_template])
    # What a call sets for itself is left out.
    rules = {**json.loads(backend.to_str()), "truncation": None, "padding": None}
    return digest([rules, tokenizer.chat_template])
