"""The simulated teacher: reads the failures of a reflection prompt and instructs for one of them."""

from __future__ import annotations

import json
import random
import urllib.error
import urllib.request
from collections import Counter

import pytest

from p2o.errors import InputError
from p2o.evolution.config import ReflectionConfig
from p2o.evolution.endpoint import OpenAIReflector
from p2o.evolution.propose.extract import extract_template
from p2o.evolution.propose.prompt import ReflectionExample, render_reflection
from p2o.evolution.types import ReflectionRequest
from p2o.study.teacher import MODEL, Teacher, answer, failed_signs, instruct
from p2o.tiny.world import FAMILIES, NEUTRAL


def example(question: str, reward: float, response: str = "\\boxed{1}") -> ReflectionExample:
    return ReflectionExample(question, response, reward, "123", "stop")


def prompt(*examples: ReflectionExample, name: str = "tiny", template: str = "") -> str:
    return render_reflection(name, template, examples)[-1]["content"]


MIXED = (example("345+678=?", 1.0), example("900-111=?", 0.0), example("3*456=?", 0.0))


MESSAGES = render_reflection("tiny", "", MIXED)


def precise_instructions(family) -> set[str]:
    rng = random.Random(0)
    return {family.instruction(rng, precise=True) for _ in range(2000)}


@pytest.mark.parametrize("name", ["tiny", "default"])
def test_failures_are_read_off_the_prompt(name: str) -> None:
    assert failed_signs(prompt(*MIXED, name=name)) == ["-", "*"]
    assert failed_signs(prompt(example("1+2=?", 1.0), name=name)) == []


def test_instructions_are_precise_and_for_a_family_that_failed() -> None:
    """Of the two families that failed about half each, and never the third."""
    given = {family.name: precise_instructions(family) for family in FAMILIES}
    drawn = Counter(
        name
        for seed in range(400)
        for name, texts in given.items()
        if instruct(prompt(*MIXED), seed) in texts
    )
    assert set(drawn) == {"subtraction", "multiplication"}
    assert sum(drawn.values()) == 400
    assert min(drawn.values()) > 150


def test_without_a_failure_every_family_comes_up() -> None:
    texts = {instruct(prompt(example("1+2=?", 1.0)), seed).split()[0] for seed in range(100)}
    assert texts == {"Add", "Sum", "Subtract", "Take", "Multiply", "Scale"}


def test_the_same_seed_gives_the_same_instruction() -> None:
    assert len({instruct(prompt(*MIXED), 7) for _ in range(5)}) == 1
    assert len({instruct(prompt(*MIXED), seed) for seed in range(50)}) > 5


def test_a_teacher_who_seldom_knows_what_helps() -> None:
    """Of 1,000 replies about 100 name a method; the others are many different ones, so that they are worth trying."""
    replies = [instruct(prompt(*MIXED), seed, 0.1) for seed in range(1000)]
    named = set().union(*(precise_instructions(family) for family in FAMILIES))
    idle = [reply for reply in replies if reply not in named]
    assert 70 <= 1000 - len(idle) <= 130
    assert all(any(reply.startswith(text) for text in NEUTRAL) for reply in idle)
    assert len(set(idle)) > 300


def test_the_share_is_in_the_name() -> None:
    request = {"messages": MESSAGES, "seed": 3, "model": f"{MODEL}-0.05"}
    texts = Counter(
        extract_template(answer({**request, "seed": seed})["choices"][0]["message"]["content"], "whole")
        == instruct(MESSAGES[-1]["content"], seed, 0.05)
        for seed in range(50)
    )
    assert texts == {True: 50}
    with pytest.raises(InputError, match="simulated-teacher-2"):
        answer({**request, "model": f"{MODEL}-2"})


def test_served_to_the_reflector_of_the_prompt_step() -> None:
    with Teacher() as teacher:
        config = ReflectionConfig(
            kind="openai",
            endpoint={"model": MODEL, "base_url": teacher.url, "api_key_env": "P2O_NO_KEY"},
        )
        request = ReflectionRequest(render_reflection("tiny", "", MIXED), 5)
        replies = list(OpenAIReflector(config)([request] * 20))
    texts = [extract_template(reply.text, "whole") for reply in replies]
    assert texts == [instruct(request.messages[-1]["content"], 5)] * 20
    assert [reply.finish_reason for reply in replies] == ["stop"] * 20
    # One token a character and one for the end, as the tiny model would have needed.
    assert all(reply.tokens == len(reply.text) + 1 for reply in replies)


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", json.dumps({"messages": []}).encode()])
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with Teacher() as teacher, pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(f"{teacher.url}/chat/completions", body))
    assert refused.value.code == 400
    refused.value.close()
