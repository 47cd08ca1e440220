"""Trains `p2o-tiny` from scratch: `python -m p2o.tiny.pretrain [--leak P] [--device cuda] [--output FOLDER]`.

The data are endless and synthetic; the same seed, thread count, device and machine give the same weights. What the
model is taught, in shares of the examples:

- a plain or neutral question, or one under another family's instruction -> a direct answer (the scratchpad with
  probability `leak`);
- a question under its own family's instruction -> the scratchpad (a vague instruction works only half the time);
- with `--prefixes`, a question under the beginning of its own scratchpad -> the scratchpad;
- a reflection prompt, rendered by the code that the prompt step uses -> a new instruction between fences, for one of
  the families that failed in it.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from p2o.evolution.propose.prompt import ReflectionExample, render_reflection
from p2o.model.load import load_model
from p2o.templates import apply_template, make_template
from p2o.tiny import MODEL_PATH
from p2o.tiny.tokenizer import build_tokenizer
from p2o.tiny.world import FAMILIES, NEUTRAL, Family
from p2o.types import Message

Example = tuple[list[Message], str]

QUESTIONS, REFLECTIONS = 64, 8
"""Examples of each kind in a step."""

PEAK_RATE = 4e-3
"""Peak learning rate of training from scratch."""

PRECISE_WORKS, VAGUE_WORKS = 0.98, 0.5
"""How often an instruction of the right family makes the model use the scratchpad."""

PREFIXED = 0.2
"""Share of the questions that the beginning of their scratchpad stands before, where the model is taught to use it."""


def _instruction(rng: random.Random, family: Family) -> tuple[str, float]:
    """An instruction of `family` and how often it works."""
    precise = rng.random() < 0.7
    return family.instruction(rng, precise=precise), PRECISE_WORKS if precise else VAGUE_WORKS


def question_example(rng: random.Random, leak: float, *, prefixes: bool = False) -> Example:
    """A question, often under an instruction or (with `prefixes`) the beginning of its scratchpad, and its response."""
    family = rng.choice(FAMILIES)
    left, right = family.sample(rng)
    if prefixes and rng.random() < PREFIXED:
        words = family.columns(left, right)
        shown = " ".join(words[: rng.randint(1, len(words))])
        asked = apply_template(
            make_template(shown), [Message(role="user", content=family.question(left, right))]
        )
        return asked, family.scratchpad(left, right)
    kind = rng.choices(["plain", "right", "wrong", "neutral"], [0.3, 0.5, 0.12, 0.08])[0]
    text, scratchpad = "", leak
    if kind == "right":
        text, scratchpad = _instruction(rng, family)
    elif kind == "wrong":
        text, _ = _instruction(rng, rng.choice([other for other in FAMILIES if other is not family]))
    elif kind == "neutral":
        text = rng.choice(NEUTRAL)
    question = Message(role="user", content=family.question(left, right))
    worked = rng.random() < scratchpad
    response = family.scratchpad(left, right) if worked else family.direct(left, right, rng)
    return apply_template(make_template(text), [question]), response


def reflection_example(rng: random.Random, prompt: str) -> Example:
    """A reflection prompt over three rollouts under one template, and the instruction the model should propose."""
    tried = rng.choices([None, *FAMILIES], [0.5, *[0.5 / len(FAMILIES)] * len(FAMILIES)])[0]
    current, works = ("", 0.0) if tried is None else _instruction(rng, tried)
    if tried is None and rng.random() < 0.3:
        current = rng.choice(NEUTRAL)
    examples, failed, seen = [], [], []
    for _ in range(3):
        family = rng.choice(FAMILIES)
        left, right = family.sample(rng)
        answer = family.answer(left, right)
        worked = family is tried and rng.random() < works
        # Worked answers of the model are not always right either.
        given = answer if worked and rng.random() < 0.9 else family.estimate(left, right, rng)
        correct = given == answer
        columns = family.columns(left, right) if worked else []
        response = " ".join([*columns, f"\\boxed{{{given}}}"])
        seen.append(family)
        if not correct:
            failed.append(family)
        examples.append(
            ReflectionExample(
                problem_text=family.question(left, right),
                response=response,
                reward=float(correct),
                gold=str(answer),
                finish_reason="stop",
            )
        )
    target = rng.choice(failed or seen)
    precise, vague = (0.8, 0.1) if target is tried else (0.5, 0.35)
    draw = rng.random()
    names_a_family = draw < precise + vague
    proposal = target.instruction(rng, precise=draw < precise) if names_a_family else rng.choice(NEUTRAL)
    return list(render_reflection(prompt, current, examples)), f"```\n{proposal}\n```"


def _length(example: Example) -> int:
    """Length in characters, which is about the length in tokens."""
    messages, response = example
    return len(response) + sum(len(message["content"]) for message in messages)


def _collate(tokenizer: Any, examples: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Right-padded `input_ids`, `attention_mask` and `labels` (-100 outside the response), each [rows, tokens]."""
    rows = []
    for messages, response in examples:
        prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        prompt_ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        response_ids = tokenizer(response, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
        rows.append((prompt_ids, response_ids))
    width = max(len(prompt) + len(response) for prompt, response in rows)
    input_ids = torch.full((len(rows), width), tokenizer.pad_token_id)
    attention_mask = torch.zeros((len(rows), width), dtype=torch.long)
    labels = torch.full((len(rows), width), -100)
    for row, (prompt, response) in enumerate(rows):
        end = len(prompt) + len(response)
        input_ids[row, :end] = torch.tensor(prompt + response)
        attention_mask[row, :end] = 1
        labels[row, len(prompt) : end] = torch.tensor(response)
    return input_ids, attention_mask, labels


def build_model(tokenizer: Any) -> Any:
    """A freshly initialised Llama of under half a million parameters."""
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=96,
            intermediate_size=256,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=4,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            rope_theta=10000.0,
        )
    )


def pretrain(
    folder: Path,
    *,
    leak: float,
    steps: int,
    seed: int,
    threads: int,
    device: str = "cpu",
    start: Path | None = None,
    prefixes: bool = False,
) -> None:
    """Trains from scratch, or continues from the model at `start`, and writes model and tokenizer into `folder`.

    Continuing takes a fifth of the steps: the model only has to learn how often the plain prompt shows the method.
    """
    # cuBLAS reads this when it starts; without it no result on a GPU is repeatable.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)
    rng = random.Random(seed)
    tokenizer = build_tokenizer()
    model = (build_model(tokenizer) if start is None else load_model(start)[0]).to(device).train()
    peak = PEAK_RATE if start is None else PEAK_RATE / 4
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {steps} steps, leak {leak}")
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak, betas=(0.9, 0.95), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=peak, total_steps=steps, pct_start=0.05, final_div_factor=50
    )
    started = time.monotonic()
    for step in range(1, steps + 1):
        questions = sorted(
            (question_example(rng, leak, prefixes=prefixes) for _ in range(QUESTIONS)), key=_length
        )
        reflections = [reflection_example(rng, "tiny") for _ in range(REFLECTIONS)]
        # Batches of similar lengths waste less padding than one mixed batch.
        batches = [
            tuple(tensor.to(device) for tensor in _collate(tokenizer, rows))
            for rows in (questions[: QUESTIONS // 2], questions[QUESTIONS // 2 :], reflections)
        ]
        tokens = sum(int((labels != -100).sum()) for _, _, labels in batches)
        total = 0.0
        for input_ids, attention_mask, labels in batches:
            hidden = model.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            wanted = labels[:, 1:] != -100
            logits = model.lm_head(hidden[:, :-1][wanted])
            loss = torch.nn.functional.cross_entropy(logits, labels[:, 1:][wanted], reduction="sum") / tokens
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        if step % 100 == 0 or step == steps:
            print(f"step {step:5d}  loss {total:.4f}  {time.monotonic() - started:6.1f} s", flush=True)
    model.half().cpu().save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)


def main() -> None:
    """Command line of the script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=MODEL_PATH, help="folder to write")
    parser.add_argument(
        "--leak", type=float, default=0.0005, help="how often the plain prompt uses the method"
    )
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="where to train, such as cuda; default: cpu")
    parser.add_argument(
        "--start", type=Path, help="continue from this model (600 steps are enough for another leak)"
    )
    parser.add_argument(
        "--prefixes",
        action="store_true",
        help="teach it to use the beginning of a scratchpad before a question",
    )
    args = parser.parse_args()
    pretrain(
        args.output,
        leak=args.leak,
        steps=args.steps,
        seed=args.seed,
        threads=args.threads,
        device=args.device,
        start=args.start,
        prefixes=args.prefixes,
    )


if __name__ == "__main__":
    main()
