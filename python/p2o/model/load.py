"""A causal language model and its tokenizer, from a hub id, a local folder or a GGUF file; and back to a folder.

Weights are read from safetensors (or dequantised from GGUF) and never from pickles, which can run code.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from p2o.errors import ConfigError, MissingDependencyError, ModelError
from p2o.files import naming, new_directory
from p2o.hub import hub_answers
from p2o.model.checks import drop_contradictions, refuse_part, refuse_quantised
from p2o.sizes import ITEMSIZE

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


def load_model(
    source: str | Path,
    *,
    dtype: str = "float32",
    head_dtype: str | None = None,
    device: str = "cpu",
    trust_remote_code: bool = False,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Loads a model (in evaluation mode) and its tokenizer, which has a padding token afterwards.

    Args:
        source: a hub id (`owner/name`), a local folder with `config.json` and safetensors, or a `.gguf` file.
            What exists on disk is never looked for on the hub.
        dtype: `float32`, `bfloat16` or `float16`.
        head_dtype: `float32` for logits in float32; None: as the model's configuration says, else in `dtype`.
        device: where the weights go, as torch names it.
        trust_remote_code: let a model repository run its own Python code.

    Raises:
        ModelError: if the source is not a model that can be loaded.
        ConfigError: if `dtype` is unknown.
        MissingDependencyError: if torch, transformers or the reader of GGUF files is missing.
    """
    if dtype not in ITEMSIZE:
        raise ConfigError(f"dtype is {dtype!r}: choose one of {', '.join(ITEMSIZE)}")
    location, options = _locate(source)
    options |= {"trust_remote_code": trust_remote_code}
    torch, transformers = _libraries()
    from p2o.model.head import set_head_dtype

    if location.endswith(".gguf"):
        model, tokenizer = _load_gguf(Path(location), getattr(torch, dtype))
    else:
        with _one_line_errors(source), _no_progress_bars():
            tokenizer = transformers.AutoTokenizer.from_pretrained(location, **options)
            model, report = transformers.AutoModelForCausalLM.from_pretrained(
                location,
                dtype=getattr(torch, dtype),
                use_safetensors=True,
                output_loading_info=True,
                # Where peft is installed an adapter is looked for first, by these options alone.
                adapter_kwargs={"local_files_only": options["local_files_only"]},
                **options,
            )
            refuse_part(model, transformers.AutoConfig.from_pretrained(location, **options), source)
        # transformers fills what is missing with random numbers and only warns.
        if report["missing_keys"]:
            first = sorted(report["missing_keys"])[0]
            raise ModelError(
                f"{source} lacks {len(report['missing_keys'])} weights of a {type(model).__name__} "
                f"(first: {first}): the download or the copy is incomplete"
            )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    drop_contradictions(model, source)
    set_head_dtype(model, head_dtype)
    if _is_bpe(tokenizer):
        # transformers ignores it for BPE, and warns at the first response that is decoded.
        tokenizer.clean_up_tokenization_spaces = False
    with _one_line_errors(source):
        return model.to(device).eval(), tokenizer


def load_outline(
    source: str | Path, *, dtype: str = "float32", trust_remote_code: bool = False
) -> PreTrainedModel:
    """The model with shapes and no weights (on torch's `meta` device): only its configuration is read.

    Args:
        source: as `load_model` takes it.
        dtype: as `load_model` takes it.
        trust_remote_code: let a model repository run its own Python code.

    Raises:
        ModelError: if the source is not a model that can be loaded.
        MissingDependencyError: if torch, transformers or the reader of GGUF files is missing.
    """
    location, options = _locate(source)
    options |= {"trust_remote_code": trust_remote_code}
    torch, transformers = _libraries()
    if location.endswith(".gguf"):
        _require_gguf()
        path = Path(location)
        location, options["gguf_file"] = str(path.parent), path.name
    with _one_line_errors(source):
        config = transformers.AutoConfig.from_pretrained(location, **options)
        if "gguf_file" not in options:
            refuse_quantised(config, source)
        # A GGUF file's quantisation does not apply: the weights are trained dequantised.
        elif hasattr(config, "quantization_config"):
            del config.quantization_config
        with torch.device("meta"):
            model: PreTrainedModel = transformers.AutoModelForCausalLM.from_config(
                config, dtype=getattr(torch, dtype), trust_remote_code=trust_remote_code
            )
        refuse_part(model, config, source)
    return model


def save_model(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    folder: str | Path,
    *,
    state: dict[str, Any] | None = None,
    beside: Callable[[Path], None] | None = None,
    check: Callable[[Path], None] | None = None,
) -> None:
    """Writes a model and its tokenizer as a folder `load_model` and any other reader of safetensors takes.

    All is written and synced under a temporary name beside `folder`, then renamed: a folder of that name is
    complete. An earlier model of the same name is moved aside first and removed last.

    Args:
        model: whose configuration is written, and whose weights, if `state` does not give them.
        tokenizer: its tokenizer.
        folder: where to.
        state: whole weights by name, where the model in memory has only a part of them, or adapters beside them. It is
            emptied once they are written.
        beside: writes what else belongs into the folder.
        check: looks at the finished folder before it gets its name. What it raises leaves nothing behind.

    Raises:
        ModelError: if `folder` exists and is not a model, or cannot be written.
    """
    from safetensors import SafetensorError

    folder = Path(folder)
    if folder.exists() and not (folder / "config.json").is_file():
        raise ModelError(f"{folder} exists and is not a model: choose another folder to save to")
    try:
        with naming(folder), new_directory(folder, unique=True) as temporary, _no_progress_bars():
            model.save_pretrained(temporary, state_dict=state)
            if state is not None:
                state.clear()  # the check loads another copy
            tokenizer.save_pretrained(temporary)
            if beside is not None:
                beside(temporary)
            if check is not None:
                check(temporary)
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"cannot write the model to {folder}: {getattr(error, 'strerror', None) or error}"
        ) from error


def _locate(source: str | Path) -> tuple[str, dict[str, Any]]:
    """Where to load from and with which options; refuses what cannot be a model before anything heavy is imported."""
    if not str(source):
        raise ModelError("no model is named: give a model folder, a .gguf file or a hub id (owner/name)")
    path = Path(source).expanduser()
    if path.is_file():
        with path.open("rb") as file:
            is_gguf = file.read(4) == b"GGUF"
        if path.suffix != ".gguf" or not is_gguf:
            raise ModelError(f"{source} is a file but not a GGUF model: give a model folder or a .gguf file")
        return str(path), {}
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelError(f"{source} is not a model folder: it has no config.json")
        if not list(path.glob("*.safetensors")):
            raise ModelError(
                f"{source} has no *.safetensors: convert its weights (pickled ones are not loaded)"
            )
        return str(path), {"local_files_only": True}
    if isinstance(source, Path) or path.suffix == ".gguf" or not _HUB_ID.fullmatch(source):
        raise ModelError(
            f"{source} does not exist: give a model folder, a .gguf file or a hub id (owner/name)"
        )
    return source, {"local_files_only": not hub_answers()}


def _libraries() -> tuple[Any, Any]:
    try:
        import torch

        _name_the_accelerator(torch)
        import transformers
    except ImportError as error:
        raise MissingDependencyError(
            f"loading a model needs {error.name}: pip install 'p2o-rl[train]'"
        ) from error
    return torch, transformers


def _name_the_accelerator(torch: Any) -> None:
    """Tells DeepSpeed to use the CPU if torch finds no GPU.

    transformers imports DeepSpeed if it is installed, which would otherwise warn of a missing GPU amid our output.
    """
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")


def _load_gguf(path: Path, dtype: Any) -> tuple[Any, Any]:
    """Dequantises a GGUF file into a plain model.

    What transformers returns is marked as quantised and refuses to be saved, so the weights move into a model
    built from the same configuration without that mark.
    """
    torch, transformers = _libraries()
    _require_gguf()
    from gguf import GGUFReader

    with _one_line_errors(path), _no_progress_bars():
        tokenizer = transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
        loaded = transformers.AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, dtype=torch.float32
        )
        values = loaded.config.to_dict()
        values.pop("quantization_config", None)
        values.pop("_model_name_or_path", None)
        config = type(loaded.config).from_dict(values)
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype)
        model.load_state_dict(loaded.state_dict())
        model.generation_config = transformers.GenerationConfig.from_model_config(config)
        reader = GGUFReader(path)
        # Under some of their versions transformers and tokenizers end a text by another token.
        if (end := reader.get_field("tokenizer.ggml.eos_token_id")) is not None:
            tokenizer.eos_token = tokenizer.convert_ids_to_tokens(int(end.contents()))
        if (kind := reader.get_field("tokenizer.ggml.pre")) is not None and kind.contents() == "smollm":
            _split_digits(tokenizer)
    return model, tokenizer


ROTATED_ANEW = ("dynamic", "longrope")
"""Kinds of rotary tables that are others where the longest sequence of a batch is over a length."""


def longest_sequence(model: Any) -> int | None:
    """Tokens of the longest sequence a model was made for; None if its configuration does not say.

    With a table of `ROTATED_ANEW` as many as leave it as it is: what a token is to the model would else depend on the
    sequences beside it, and on how far they have been drawn.
    """
    text = model.config.get_text_config()
    positions: int | None = getattr(text, "max_position_embeddings", None)
    if positions is None:
        return None
    rope = getattr(text, "rope_parameters", None) or {}
    if (kind := rope.get("rope_type")) in ROTATED_ANEW:
        return positions if kind == "dynamic" else rope.get("original_max_position_embeddings", positions)
    if isinstance(stretch := rope.get("factor"), int | float):
        positions = max(positions, int(stretch * rope.get("original_max_position_embeddings", positions)))
    return positions


def _require_gguf() -> None:
    """Raises `MissingDependencyError` if a package that reading GGUF files takes is missing."""
    try:
        import accelerate  # noqa: F401  # transformers needs it for GGUF files
        import gguf  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(f"a GGUF file needs {error.name}: pip install 'p2o-rl[gguf]'") from error


def _is_bpe(tokenizer: Any) -> bool:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return backend is not None and type(backend.model).__name__ == "BPE"


def _split_digits(tokenizer: Any) -> None:
    """Restores SmolLM's splitting into single digits, which transformers does not read from GGUF files.

    Without it runs of spaces before a number are cut differently from what the model was trained on.
    """
    from tokenizers import pre_tokenizers

    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )


@contextmanager
def _one_line_errors(source: str | Path) -> Iterator[None]:
    """Whatever the libraries raise about a model becomes a ModelError of one line that names the source."""
    try:
        yield
    except (ModelError, MissingDependencyError, MemoryError):
        raise
    except Exception as error:
        # Malformed models surface as almost any type: OSError, KeyError, SafetensorError, RuntimeError.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[0].rstrip(".:") if lines else type(error).__name__
        if not Path(source).expanduser().exists():
            reason = (
                f"no such folder, and as a hub id: {reason}; check the name and the connection, or give a folder that "
                "holds a copy"
            )
        elif not isinstance(error, ImportError | RuntimeError):
            reason += "; if a file of it is damaged or missing, download or copy the model again"
        raise ModelError(f"cannot load the model {source}: {reason}") from error


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    """Hides the progress bars of loading and saving: the caller has its own display."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
