"""What all ranks of a launch must have alike: compared before anything is written (`Processes.require_same`)."""

from __future__ import annotations

from typing import Any

import torch
import transformers

from p2o import __version__
from p2o.config import Config
from p2o.evolution.identity import digest
from p2o.track.run_directory import config_values, flatten


def launch_facts(config: Config) -> dict[str, Any]:
    """The settings by name, and the versions of the packages that compute."""
    versions = {"p2o": __version__, "torch": torch.__version__, "transformers": transformers.__version__}
    return {**flatten(config_values(config)), **{f"version of {name}": v for name, v in versions.items()}}


def model_facts(model: Any, tokenizer: Any) -> dict[str, Any]:
    """What ranks that loaded the same model and tokenizer have alike, in hashes; of each weight the first entries.

    Weights that are partitioned already are left out: each rank holds others.
    """
    weights = [
        (name, list(weight.shape), weight.detach().flatten()[:4].float().tolist())
        for name, weight in model.named_parameters()
        if not hasattr(weight, "ds_id")
    ]
    return {
        "model (weights)": digest(weights),
        "model (configuration)": digest(model.config.to_dict()),
        "tokenizer": digest([tokenizer.get_vocab(), tokenizer.chat_template]),
    }
