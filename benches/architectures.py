"""Which architectures p2o trains: every causal class of transformers, built small, goes through a run of its own.

    make models        # or: python benches/architectures.py [--only llama mamba ...] --write docs/models.md
    .venv-engines/bin/python benches/architectures.py --engine --only llama qwen3 ...

A run is `p2o train` on two steps of GRPO with the sampler `hf`: the gap probe compares cached decoding with one full
pass, the model is scored, trained, checkpointed and exported, and the export is loaded afresh and compared. `--check`
then does the same with LoRA. Each is a forked process, and a line of results: a stopped call goes on where it was.
With `--engine` what works is pushed to vLLM, where it has the class: the gap probe compares log-probs.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

SECONDS = 120
"""Most that a run may take."""

SETTINGS = (
    *("run.method=grpo", "run.epochs=1", "run.threads=1", "run.batch_problems=4", "data.train_size=8"),
    *("data.evaluation_size=2", "rollout.n=2", "rollout.max_tokens=8", "model.device=cpu"),
    *("reward.function=architectures:coin", "optimizer.learning_rate=1e-3"),
)

VOCABULARY = 512
"""Tokens of a small model: more than the tokenizer has."""

INDEXED = {
    **{"head_dim": 16, "indexer_n_heads": 2, "indexer_kv_heads": 1, "indexer_head_dim": 16},
    **{"indexer_budget": 64, "indexer_compress_ratio": 4, "hc_lowrank": 16},
}

VALUES: dict[str, dict[str, Any]] = {
    "bamba": {"attn_layer_indices": [1]},
    "bloom": {"hidden_size": 128, "n_head": 4},
    "granitemoehybrid": {"layer_types": ["linear_attention", "full_attention"] * 2, "num_hidden_layers": 4},
    "deepseek_v2": {"num_experts_per_tok": 2},
    "dots1": {
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "n_shared_experts": 1,
        "first_k_dense_replace": 1,
    },
    "glm4_moe": {"head_dim": 32},
    "hunyuan_v1_dense": {"head_dim": 32},
    "hunyuan_v1_moe": {"head_dim": 32},
    "lfm2_moe": {"num_hidden_layers": 4, "layer_types": ["conv", "full_attention"] * 2},
    "ministral": {"head_dim": 32},
    "nemotron": {"head_dim": 32, "num_key_value_heads": 8},
    "xlnet": {"d_model": 64, "n_head": 4},
    "xmod": {"default_language": "en_XX", "is_decoder": True},
    "dory": {"num_hidden_layers": 4, "n_input_layers": 1, "n_output_layers": 1, "n_recurrent_layers": 2},
    "hrm_text": {"num_hidden_layers": 1},
    "cohere_compass_text": {
        "rope_parameters": {
            "full_attention": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 2, 2]}
        }
    },
    "dbrx": {
        "attn_config": {"rope_theta": 1e4, "kv_n_heads": 2, "clip_qkv": 8.0},
        "ffn_config": {"hidden_size": 64, "ffn_hidden_size": 64},
    },
    "qwen4_exp": INDEXED,
    "qwen4_exp_text": INDEXED,
    "reformer": {"is_decoder": True, "axial_pos_embds": False},
}
"""What the default configurations lack, or what cannot be made small layer by layer."""

NO_MODELS = dict.fromkeys(
    ("gemma4_assistant", "gemma4_unified_assistant"),
    "it drafts for another model and reads its hidden states",
) | dict.fromkeys(("musicgen", "musicgen_melody"), "its tokens are of sound, four at each position")
"""Classes that give nothing for tokens of a text alone."""

ENGINE_SIZES = {"hidden_size": 128, "head_dim": 32}
"""What vLLM's kernels for a CPU take."""

BEGIN, END = "<!-- architectures:begin -->", "<!-- architectures:end -->"

RUNS: dict[str, tuple[str, ...]] = {"run": (), "LoRA": ("--check", "--set=optimizer.lora.rank=4")}
"""`--check` trains, saves and reads back a small model with adapters."""

ENGINE_RUNS: dict[str, tuple[str, ...]] = {"vLLM": ("--set=rollout.sampler=vllm",)}
"""The weights are pushed before each of two steps, and the gap probe compares what vLLM and the trainer say."""

ONLY_16_BITS = ("expect weight to be bfloat16", "requires BF16")
"""What vLLM says of what its kernels for a CPU cannot do in float32: tried again in bfloat16."""


def coin(problem: Any, completion: str) -> float:
    """A reward of 0 or 1 by the text, so that groups have signal."""
    return float(hashlib.sha256(completion.encode()).digest()[0] & 1)


def classes() -> dict[str, str]:
    """Names of the classes by model type."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return {
        kind: name if isinstance(name, str) else name[0]
        for kind, name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.items()
    }


def make(kind: str, name: str, folder: Path, sizes: dict[str, int] | None = None) -> str | None:
    """Writes a small model of a class, with the tokenizer of p2o-tiny; says why where that is not possible."""
    import torch
    import transformers

    from p2o.model.small import SIZES, of_configuration, shrunk
    from p2o.tiny.tokenizer import build_tokenizer

    if kind in NO_MODELS:
        return NO_MODELS[kind]
    found = getattr(transformers, name, None)
    if found is None:
        return f"transformers {transformers.__version__} does not have it"
    tokenizer = build_tokenizer()
    torch.manual_seed(0)
    try:
        config = found.config_class(**VALUES.get(kind, {}))
    except Exception as error:
        return f"its default configuration is refused by transformers: {_said(error)}"
    try:
        config = shrunk(config, {**SIZES, **(sizes or {})})
        for part in (config, config.get_text_config(decoder=True)):
            for vocabulary in ("vocab_size", "vocab_size_per_layer_input", "unpadded_vocab_size"):
                if getattr(part, vocabulary, 0) and vocabulary in vars(part):
                    setattr(part, vocabulary, VOCABULARY)
            part.eos_token_id, part.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
        small = of_configuration(found, config)
    except Exception as error:
        return f"no small one can be made: {_said(error)}"
    for part in (small.config, small.config.get_text_config(decoder=True), small.generation_config):
        part.eos_token_id, part.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    small.generation_config.do_sample = True
    small.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return None


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def one_run(folder: Path, options: tuple[str, ...]) -> dict[str, Any]:
    """How a run in a forked process ends."""
    child = os.fork()
    errors = folder / "stderr"
    if child == 0:
        code = 1
        try:
            signal.alarm(SECONDS)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
            sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
            from p2o.cli.main import main as p2o

            model, output = f"model.source={folder / 'model'}", f"run.output={folder / 'run'}"
            code = p2o(["train", "quickstart", *options, *(f"--set={s}" for s in (*SETTINGS, model, output))])
        except BaseException:
            traceback.print_exc()
        finally:
            (folder / "modules.json").write_text(json.dumps(list(sys.modules)))
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    import_like(folder / "modules.json")
    said = errors.read_text(errors="replace").strip().splitlines() if errors.exists() else []
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
        return {"status": "not tried", "says": f"a run takes longer than {SECONDS} s on a CPU"}
    if os.WIFSIGNALED(status):
        return {"status": "fault", "says": f"signal {signal.Signals(os.WTERMSIG(status)).name}"}
    code = os.WEXITSTATUS(status)
    if code == 0:
        return {"status": "works", "says": "\n".join(said[-3:])}
    refused = code == 2 and said and said[-1].startswith("error: ")
    line = said[-1].replace(str(folder / "model"), "the model") if said else f"exit code {code}"
    return {"status": "refused" if refused else "fault", "says": line.removeprefix("error: ")}


def in_engine(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Classes that work."""
    return {kind: record["class"] for kind, record in found.items() if record["status"] == "works"}


def measure_in_engine(kind: str, name: str) -> dict[str, Any]:
    """What becomes of a class in vLLM."""
    from vllm import ModelRegistry

    if name not in ModelRegistry.get_supported_archs():
        return {"kind": kind, "class": name, "status": "not in vLLM", "says": ""}
    record = measure(kind, name, ENGINE_RUNS, ENGINE_SIZES)
    if any(said in json.dumps(record) for said in ONLY_16_BITS):
        passes = {run: (*options, "--set=model.dtype=bfloat16") for run, options in ENGINE_RUNS.items()}
        record = measure(kind, name, passes, ENGINE_SIZES)
        if record["status"] == "works":
            record["runs"]["vLLM"]["status"] = "works in bfloat16"
    return record


def import_like(modules: Path) -> None:
    """Imports what a run has imported, so that later forks need not."""
    for module in json.loads(modules.read_text()) if modules.exists() else ():
        if module not in sys.modules:
            with contextlib.suppress(Exception):
                importlib.import_module(module)


def measure(
    kind: str, name: str, passes: dict[str, tuple[str, ...]] = RUNS, sizes: dict[str, int] | None = None
) -> dict[str, Any]:
    """What becomes of a class."""
    with tempfile.TemporaryDirectory(prefix="p2o-") as temporary:
        folder = Path(temporary)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                signal.alarm(SECONDS)
                reason = make(kind, name, folder / "model", sizes)
                (folder / "reason.json").write_text(json.dumps(reason))
                code = 0
            except BaseException as error:
                (folder / "reason.json").write_text(json.dumps(f"{type(error).__name__}: {error}"))
            finally:
                os._exit(code)
        os.waitpid(child, 0)
        made = folder / "reason.json"
        reason = (
            json.loads(made.read_text()) if made.exists() else "it took too long or too much memory to make"
        )
        if reason is not None:
            return {"kind": kind, "class": name, "status": "not tried", "says": " ".join(reason.split())}
        ends = {}
        for run, options in passes.items():
            ends[run] = one_run(folder, options)
            shutil.rmtree(folder / "run", ignore_errors=True)
        return {"kind": kind, "class": name, "status": next(iter(ends.values()))["status"], "runs": ends}


def table(records: list[dict[str, Any]], engine: dict[str, dict[str, Any]]) -> str:
    """The page's part between the markers; `engine`: what became of model types in vLLM."""
    import transformers

    counts = Counter(record["status"] for record in records)
    how = {"works": "work", "refused": "are refused", "not tried": "have not been tried", "fault": "fail"}
    parts = [f"{counts[status]} {verb}" for status, verb in how.items() if counts[status]]
    lines = [
        f"transformers {transformers.__version__}, {len(records)} classes: {', '.join(parts)}.",
        "",
        "| model type | class | | with LoRA | in vLLM |",
        "| --- | --- | --- | --- | --- |",
    ]
    for record in sorted(records, key=lambda record: record["kind"]):
        runs = record.get("runs", {"run": record})
        works = record["status"] == "works"
        pushed = engine.get(record["kind"])
        cells = [_cell(runs["run"]), _cell(runs["LoRA"]) if works else ""]
        in_vllm = _cell(pushed.get("runs", {"vLLM": pushed})["vLLM"]) if pushed else "not run"
        cells.append(in_vllm if works else "")
        lines.append(f"| {record['kind']} | {record['class']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(end: dict[str, Any]) -> str:
    says = " ".join(end["says"].split()).replace("|", "\\|")
    if end["status"].startswith("works") or not says:
        return str(end["status"])
    return f"{end['status']}: {says}"


def main() -> None:
    """Runs what has no result yet, and writes the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=Path(".cache/architectures.jsonl"), metavar="FILE")
    parser.add_argument("--only", nargs="+", metavar="TYPE", help="these model types, again")
    parser.add_argument("--engine", action="store_true", help="push to vLLM what works; from .venv-engines")
    parser.add_argument(
        "--write", type=Path, metavar="PAGE", help="put the table between this page's markers"
    )
    args = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.path.insert(0, str(Path(__file__).parent))
    import torch
    import transformers

    import p2o.assembly
    import p2o.loop  # noqa: F401  # imported once, for all forks

    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    args.results.parent.mkdir(parents=True, exist_ok=True)
    lines = args.results.read_text().splitlines() if args.results.exists() else []
    all_found: dict[str, dict[str, Any]] = {"transformers": {}, "vLLM": {}}
    for record in map(json.loads, lines):
        all_found[record.get("pass", "transformers")][record["kind"]] = record
    which = "vLLM" if args.engine else "transformers"
    found, names = all_found[which], in_engine(all_found["transformers"]) if args.engine else classes()
    for kind in args.only or [kind for kind in names if kind not in found]:
        if kind not in names:
            continue
        started = time.monotonic()
        record = (measure_in_engine if args.engine else measure)(kind, names[kind])
        found[kind] = {**record, "pass": which, "seconds": round(time.monotonic() - started, 1)}
        with args.results.open("a") as file:
            file.write(json.dumps(found[kind]) + "\n")
        print(json.dumps(found[kind])[:400], flush=True)
    if args.write is not None:
        text = args.write.read_text()
        head, foot = text[: text.index(BEGIN)], text[text.index(END) :]
        rows = table(list(all_found["transformers"].values()), all_found["vLLM"])
        args.write.write_text(f"{head}{BEGIN}\n{rows}\n{foot}")


if __name__ == "__main__":
    main()
