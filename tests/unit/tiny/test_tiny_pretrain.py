"""The script that makes p2o-tiny, and the model it made."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from p2o.rollout.encode import PromptEncoder, end_ids, pad_id
from p2o.rollout.hf import HfSampler
from p2o.rollout.sampler import SampleRequest, SamplingParams
from p2o.templates import PLAIN, apply_template, make_template
from p2o.tiny import MODEL_PATH
from p2o.tiny.pretrain import pretrain, question_example, reflection_example
from p2o.tiny.tokenizer import BOX
from p2o.tiny.world import FAMILIES, make_problems
from p2o.verifier import verify_batch


def test_the_same_seed_makes_the_same_weights(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    try:
        for name in ("a", "b"):
            pretrain(tmp_path / name, leak=0.01, steps=2, seed=5, threads=1)
        pretrain(tmp_path / "c", leak=0.01, steps=2, seed=6, threads=1)
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)
    a, b, c = (load_file(tmp_path / name / "model.safetensors") for name in "abc")
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert not all(torch.equal(a[key], c[key]) for key in a)


def test_the_shipped_model_is_small() -> None:
    assert sum(file.stat().st_size for file in MODEL_PATH.iterdir()) < 2_000_000


def test_tokens_are_characters(tokenizer: Any) -> None:
    text = f"{BOX}12}} Add, then\ncarry é"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert len(ids) == len(text) - len(BOX) + 1
    assert tokenizer.decode(ids[:-1]) == text[:-1]
    assert ids[-1] == tokenizer.unk_token_id


def test_leak_is_the_share_of_unasked_scratchpads() -> None:
    rng = random.Random(0)
    plain = [
        response
        for messages, response in (question_example(rng, leak=0.25) for _ in range(20_000))
        if "\n" not in messages[0]["content"]
    ]
    assert sum("=" in response for response in plain) / len(plain) == pytest.approx(0.25, abs=0.02)


def test_prefixes_are_beginnings_of_the_questions_own_scratchpad() -> None:
    rng = random.Random(0)
    examples = [question_example(rng, leak=0.0, prefixes=True) for _ in range(5_000)]
    prefixed = [
        (shown, response)
        for messages, response in examples
        for shown, _, question in [messages[0]["content"].partition("\n\n")]
        if question and "=" in shown
    ]
    assert len(prefixed) / len(examples) == pytest.approx(0.2, abs=0.02)
    assert all(response.startswith(f"{shown} ") for shown, response in prefixed)
    assert not any("boxed" in shown for shown, _ in prefixed), "never the answer"


def test_reflection_examples_propose_an_instruction_between_fences() -> None:
    rng = random.Random(0)
    for _ in range(200):
        messages, reply = reflection_example(rng, "tiny")
        assert reply.startswith("```\n")
        assert reply.endswith("\n```")
        assert "wrong" in messages[-1]["content"] or "right" in messages[-1]["content"]


def accuracy(model: Any, tokenizer: Any, instruct: Any) -> float:
    problems = make_problems(90, 77)
    encoder = PromptEncoder(tokenizer)
    sampler = HfSampler(model, end_ids=end_ids(model, tokenizer), pad_id=pad_id(tokenizer))
    prompts = [encoder.encode(apply_template(instruct(p), p.messages)) for p in problems]
    samples = sampler.sample([SampleRequest(prompt, 0) for prompt in prompts], SamplingParams(48, 0.0))
    rewards = verify_batch([encoder.decode(s.response_ids) for s in samples], [p.gold for p in problems])
    return float(rewards.mean())


def test_the_shipped_model_needs_the_instruction_of_the_right_family(shipped_tiny: tuple[Any, Any]) -> None:
    family_of = {family.name: family for family in FAMILIES}
    rng = random.Random(1)

    def own(problem: Any) -> Any:
        return make_template(family_of[problem.meta["family"]].instruction(rng, precise=True))

    def anothers(problem: Any) -> Any:
        other = next(f for f in FAMILIES if f.name != problem.meta["family"])
        return make_template(other.instruction(rng, precise=True))

    assert accuracy(*shipped_tiny, own) > 0.9
    assert accuracy(*shipped_tiny, anothers) < 0.2
    assert accuracy(*shipped_tiny, lambda _: PLAIN) < 0.2
