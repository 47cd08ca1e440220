"""Which architectures p2o trains: every causal class of transformers, built small, goes through a run of its own.

    make models        # or: python benches/architectures.py [--only llama mamba ...] --write docs/models.md

A run is `p2o train` on two steps of GRPO with the sampler `hf`: the gap probe compares cached decoding with one full
pass, the model is scored, trained, checkpointed and exported, and the export is loaded afresh and compared. `--check`
then does the same with LoRA. Each is a forked process, and a line of results: a stopped call goes on where it was.
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

BEGIN, END = "<!-- architectures:begin -->", "<!-- architectures:end -->"

RUNS: dict[str, tuple[str, ...]] = {"run": (), "LoRA": ("--check", "--set=optimizer.lora.rank=4")}
"""`--check` trains, saves and reads back a small model with adapters."""


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


def make(name: str, folder: Path) -> str | None:
    """Writes a small model of a class, with the tokenizer of p2o-tiny; says why where that is not possible."""
    import torch
    import transformers

    from p2o.model.small import small_model
    from p2o.tiny.tokenizer import build_tokenizer

    found = getattr(transformers, name)
    try:
        config = found.config_class()
        with torch.device("meta"):
            outline = found._from_config(config, dtype=torch.float32)
    except Exception as error:
        return f"its default configuration makes no model ({type(error).__name__})"
    torch.manual_seed(0)
    small, _ = small_model(outline)
    if small is None:
        return "no small one could be made: its sizes depend on each other"
    tokenizer = build_tokenizer()
    for part in (small.config, small.config.get_text_config(decoder=True), small.generation_config):
        part.eos_token_id, part.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    small.generation_config.do_sample = True
    small.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return None


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


def import_like(modules: Path) -> None:
    """Imports what a run has imported, so that later forks need not."""
    for module in json.loads(modules.read_text()) if modules.exists() else ():
        if module not in sys.modules:
            with contextlib.suppress(Exception):
                importlib.import_module(module)


def measure(kind: str, name: str) -> dict[str, Any]:
    """What becomes of a class."""
    with tempfile.TemporaryDirectory(prefix="p2o-") as temporary:
        folder = Path(temporary)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                signal.alarm(SECONDS)
                reason = make(name, folder / "model")
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
        for run, options in RUNS.items():
            ends[run] = one_run(folder, options)
            shutil.rmtree(folder / "run", ignore_errors=True)
        return {"kind": kind, "class": name, "status": ends["run"]["status"], "runs": ends}


def table(records: list[dict[str, Any]]) -> str:
    """The page's part between the markers."""
    import transformers

    counts = Counter(record["status"] for record in records)
    how = {"works": "work", "refused": "are refused", "not tried": "have not been tried", "fault": "fail"}
    parts = [f"{counts[status]} {verb}" for status, verb in how.items() if counts[status]]
    lines = [
        f"transformers {transformers.__version__}, {len(records)} classes: {', '.join(parts)}.",
        "",
        "| model type | class | | with LoRA |",
        "| --- | --- | --- | --- |",
    ]
    for record in sorted(records, key=lambda record: record["kind"]):
        runs = record.get("runs", {"run": record})
        works = record["status"] == "works"
        cells = [_cell(runs["run"]), _cell(runs["LoRA"]) if works else ""]
        lines.append(f"| {record['kind']} | {record['class']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(end: dict[str, Any]) -> str:
    says = " ".join(end["says"].split()).replace("|", "\\|")
    return "works" if end["status"] == "works" else f"{end['status']}: {says}"


def main() -> None:
    """Runs what has no result yet, and writes the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=Path(".cache/architectures.jsonl"), metavar="FILE")
    parser.add_argument("--only", nargs="+", metavar="TYPE", help="these model types, again")
    parser.add_argument(
        "--write", type=Path, metavar="PAGE", help="put the table between this page's markers"
    )
    args = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.path.insert(0, str(Path(__file__).parent))
    import torch
    import transformers

    import p2o.assembly
    import p2o.train  # noqa: F401  # imported once, for all forks

    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    args.results.parent.mkdir(parents=True, exist_ok=True)
    lines = args.results.read_text().splitlines() if args.results.exists() else []
    found = {record["kind"]: record for record in map(json.loads, lines)}
    for kind, name in classes().items():
        if kind in (args.only or ()) or (kind not in found and not args.only):
            found[kind] = measure(kind, name)
            with args.results.open("a") as file:
                file.write(json.dumps(found[kind]) + "\n")
            print(json.dumps(found[kind])[:300], flush=True)
    if args.write is not None:
        text = args.write.read_text()
        head, foot = text[: text.index(BEGIN)], text[text.index(END) :]
        args.write.write_text(f"{head}{BEGIN}\n{table(list(found.values()))}\n{foot}")


if __name__ == "__main__":
    main()
