"""What is wrong with a model although it loads: refused, or mended where nothing is lost by it."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from p2o.errors import ModelError

logger = logging.getLogger(__name__)

_PLACEHOLDER = re.compile("image|video|audio|vision|speech", re.IGNORECASE)
"""In the names of tokens that stand for other media, which text-only checkpoints have no rows for (Gemma 3)."""


def refuse_quantised(config: Any, source: str | Path) -> None:
    """Raises `ModelError` if a model's weights are stored as integers and scales, or the like.

    They cannot be trained, and what is written of them would not be what was in memory.
    """
    for part in (config, config.get_text_config()):
        quantised = getattr(part, "quantization_config", None)
        if quantised:
            values = quantised if isinstance(quantised, dict) else quantised.to_dict()
            raise ModelError(
                f"{source} is quantised ({values.get('quant_method') or 'quantization_config'}) and cannot be trained: "
                "give the checkpoint it was made from"
            )


def refuse_part(model: Any, config: Any, source: str | Path) -> None:
    """Raises `ModelError` if a checkpoint holds more than the model that was loaded: an export would lose the rest.

    Args:
        model: what transformers made of it.
        config: the checkpoint's own configuration.
        source: where it is.
    """
    if type(model.config) is not type(config):
        whole = (getattr(config, "architectures", None) or [type(config).__name__])[0]
        raise ModelError(
            f"{source} is a {whole}, and as a {type(model).__name__} only its text part is loaded: an export would "
            "lose the rest; save the text part as a model of its own, and train that"
        )


def embedding_rows(model: Any) -> int:
    """How many tokens a model has an embedding for."""
    try:
        return int(model.get_input_embeddings().num_embeddings)
    except (AttributeError, NotImplementedError):  # an embedding of the model's own kind
        return int(model.config.get_text_config().vocab_size)


def check_vocabulary(model: Any, tokenizer: Any, source: str | Path) -> None:
    """Refuses a tokenizer with tokens that the model has no embedding for: their ids would lead outside of it.

    Placeholders of other media are left out: no text becomes one.

    Raises:
        ModelError: naming the first such token.
    """
    rows = embedding_rows(model)
    added = tokenizer.added_tokens_decoder
    beyond = sorted(
        (number, token)
        for token, number in tokenizer.get_vocab().items()
        if number >= rows and not (number in added and added[number].special and _PLACEHOLDER.search(token))
    )
    if beyond:
        number, token = beyond[0]
        raise ModelError(
            f"the tokenizer of {source} has {len(beyond)} tokens that the model has no row for (first: {token!r}, "
            f"number {number} of {rows}): take the model's own tokenizer, or save the model with its embedding resized"
        )


def drop_contradictions(model: Any, source: str | Path) -> None:
    """Drops generation settings that have no effect beside the others: transformers would refuse to save them.

    An example is `do_sample = false` with a temperature.

    Raises:
        ModelError: if they cannot be saved even so.
    """
    settings = model.generation_config
    if settings is None or _why_unsaved(settings) is None:
        return
    kept = type(settings)()
    usual = kept.to_dict()
    dropped = []
    # What decides which of the others have an effect goes first.
    for name in sorted(settings.to_diff_dict(), key=lambda name: name not in ("do_sample", "num_beams")):
        setattr(kept, name, getattr(settings, name, None))
        if _why_unsaved(kept) is not None:
            setattr(kept, name, usual.get(name))
            setattr(settings, name, usual.get(name))
            dropped.append(name)
    if (reason := _why_unsaved(settings)) is not None:
        raise ModelError(f"the generation_config.json of {source} cannot be saved again ({reason}): mend it")
    logger.warning(
        "generation_config.json of %s: left out of what is saved, since it contradicts other settings there: %s",
        source,
        ", ".join(dropped),
    )


def _why_unsaved(settings: Any) -> str | None:
    """Why transformers would not save generation settings; None if it would."""
    try:
        settings.validate(strict=True)
    except (ValueError, TypeError) as error:
        return " ".join(str(error).split())
    return None
