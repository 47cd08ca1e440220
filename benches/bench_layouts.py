"""Layouts of a forward pass beside each other: a group's responses behind one prompt, and behind a copy each.

    python benches/bench_layouts.py [--dtype float32 bfloat16] [--prompts 128 512 2048] [--output benches/layouts.md]

SmolLM2-135M-Instruct reads random tokens, on one thread. A scoring pass is the forward pass of an update, so both are
measured at once: seconds of the processor, which other programs slow down less than those of a clock. The log-probs and
gradients of every layout are compared with those of `padded`.
"""

from __future__ import annotations

import argparse
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from p2o.model.fetch import resolve_source
from p2o.model.load import load_model
from p2o.packing import Rows, fill
from p2o.policy.layout import LAYOUTS, LogprobModel, head_chunks, make_layout


def make_rows(prompt: int, args: argparse.Namespace) -> Rows:
    """Groups of responses of one length to a prompt of random tokens."""
    random = np.random.default_rng(0)
    prompts, responses = [], []
    for _ in range(args.groups):
        ids = random.integers(10, 10_000, prompt)
        for _ in range(args.n):
            prompts.append(ids)
            responses.append(random.integers(10, 10_000, args.response))
    return Rows.of(prompts, responses)


def run(model: Any, name: Any, rows: Rows, budget: int) -> dict[str, Any]:
    """Processor seconds of the passes over `rows`, their tokens, the log-probs by row and response, the gradients."""
    layout = make_layout(name, model, pad_id=0, token_budget=budget)
    forward = LogprobModel(model, 1.0)
    model.zero_grad()
    packing = layout.split(rows.lengths, 1, rows.prompts)
    chunks = head_chunks(packing, rows.response_lengths, 1)
    seconds = dict.fromkeys(("forward", "backward"), 0.0)
    tokens = 0
    found: dict[int, Any] = {}
    for batch, parts in zip(fill(packing, rows), chunks, strict=True):
        started = time.process_time()
        inputs = layout.inputs(batch, "cpu")
        tokens += inputs["input_ids"].numel()
        logprobs = forward(**inputs, chunks=parts)
        between = time.process_time()
        logprobs.sum().backward()
        seconds["forward"] += between - started
        seconds["backward"] += time.process_time() - between
        found |= dict(
            zip(
                batch.rows.tolist(),
                logprobs.detach().split(rows.response_lengths[batch.rows].tolist()),
                strict=True,
            )
        )
    gradients = {name: parameter.grad.float() for name, parameter in model.named_parameters()}
    return {
        **seconds,
        "tokens": tokens,
        "logprobs": torch.cat([found[row] for row in sorted(found)]),
        "gradients": gradients,
    }


def measure(args: argparse.Namespace, dtype: str) -> list[str]:
    """Rows of the table."""
    model, _ = load_model(resolve_source("smollm2"), dtype=dtype)
    lines = []
    for prompt in args.prompts:
        rows = make_rows(prompt, args)
        expected: dict[str, Any] = {}
        for name in args.layouts:
            run(model, name, rows.take(np.arange(1, dtype=np.uint32)), args.micro_batch_tokens)  # warms up
            found = run(model, name, rows, args.micro_batch_tokens)
            expected = expected or found
            gap = (found["logprobs"] - expected["logprobs"]).abs().max()
            apart = max(
                float((gradient - expected["gradients"][name]).norm() / expected["gradients"][name].norm())
                for name, gradient in found["gradients"].items()
            )
            update = found["forward"] + found["backward"]
            gain = (expected["forward"] + expected["backward"]) / update
            lines.append(
                f"| {dtype} | {prompt} | `{name}` | {found['tokens']:,} | {found['forward']:.1f} | {update:.1f} | "
                f"{expected['forward'] / found['forward']:.2f}, {gain:.2f} | {gap:.1g} | {apart:.1g} |"
            )
            print(lines[-1], flush=True)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--dtype", nargs="+", default=["float32", "bfloat16"], choices=["float32", "bfloat16"]
    )
    parser.add_argument("--prompts", nargs="+", type=int, default=[128, 512, 2048], help="tokens of a prompt")
    parser.add_argument("--layouts", nargs="+", default=list(LAYOUTS), choices=list(LAYOUTS))
    parser.add_argument("--n", type=int, default=8, help="responses in a group")
    parser.add_argument("--response", type=int, default=128, help="tokens of a response")
    parser.add_argument("--groups", type=int, default=1)
    parser.add_argument("--micro-batch-tokens", type=int, default=4096)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "# Layouts of a forward pass",
        "",
        f"`make bench-layouts`: SmolLM2-135M-Instruct, {args.groups} x {args.n} responses of {args.response} tokens, "
        f"`optimizer.micro_batch_tokens = {args.micro_batch_tokens}`, one thread; processor seconds. "
        f"{platform.machine()}, torch {version('torch')}, transformers {version('transformers')}.",
        "",
        f"| type | prompt | layout | tokens read | scoring s | update s | times as fast as `{args.layouts[0]}`: "
        "scoring, update | largest gap of log-probs | of gradients, relative |",
        "|---|---:|---|---:|---:|---:|---|---:|---:|",
        *(line for dtype in args.dtype for line in measure(args, dtype)),
        "",
        "`shared` reads a group's prompt once. `packed` and `padded` read as many tokens here, since all responses are "
        "of one length. In bfloat16 the tokens, which are random and so unlikely, have log-probs that are rounded "
        "coarsely.",
        "",
    ]
    text = "\n".join(lines)
    if args.output is not None:
        args.output.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
