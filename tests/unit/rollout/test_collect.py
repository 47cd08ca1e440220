"""Collecting rollouts: what is drawn, what a template that does not fit becomes, and the version of the weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from judged import TenthReward
from tokenizer_families import FAMILIES, make

from p2o.distributed import Processes
from p2o.errors import ConfigError, DataError
from p2o.evolution.types import ReflectionRequest
from p2o.reflection import SelfReflection
from p2o.rollout.collect import Collector, RolloutRequest, in_pieces
from p2o.rollout.encode import PromptEncoder
from p2o.rollout.rollouts import generated_tokens
from p2o.rollout.sampler import Progress, Sample, Sampler, SampleRequest, SamplingParams
from p2o.templates import PLAIN, make_template
from p2o.types import Problem

SHORT, LONG = make_template("Add."), make_template("Add. " * 20)


class Encoder:
    """A token a character."""

    def encode(self, messages: Any) -> tuple[int, ...]:
        return tuple(ord(c) for message in messages for c in message["content"])

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(map(chr, ids))


class Engine(Sampler):
    """Answers each request by its seed."""

    def __init__(self) -> None:
        self.requests: list[SampleRequest] = []
        self.given: list[Any] = []

    def sample(
        self, requests: Sequence[SampleRequest], params: SamplingParams, progress: Progress | None = None
    ) -> list[Sample]:
        self.requests += requests
        if progress is not None:
            progress(len(requests))
        return [Sample([48 + request.seed], [-1.0], "stop") for request in requests]

    def sync(self, policy: Any) -> None:
        self.given.append(policy)


PROBLEM = Problem("p", ({"role": "user", "content": "1+1"},), "2")


def collector_of(engine: Engine, longest: int = 30) -> Collector:
    return Collector(engine, Encoder(), TenthReward(), max_prompt_tokens=longest)  # type: ignore[arg-type]


def test_a_template_that_does_not_fit_has_failed_without_a_response() -> None:
    engine = Engine()
    asked = [RolloutRequest(PROBLEM, template, i, i + 1) for i, template in enumerate([SHORT, LONG, PLAIN])]
    done: list[int] = []
    short, long, plain = collector_of(engine).collect(asked, SamplingParams(4), done.append)
    assert [request.seed for request in engine.requests] == [1, 3]
    assert (long.template_id, long.index, long.reward, long.text) == (LONG.id, 1, 0.0, "")
    assert (list(long.response_ids), long.finish_reason) == ([], "prompt_too_long")
    assert (short.template_id, short.reward, plain.template_id, plain.reward) == (
        SHORT.id,
        0.1,
        PLAIN.id,
        0.3,
    )
    assert generated_tokens([short, long, plain]) == 2
    assert sum(done) == 3, "it is done with as well"


def test_a_template_that_the_tokenizer_cannot_read_is_refused() -> None:
    """One whose vocabulary has the control token itself, so that no way of splitting the text avoids it."""
    encoder = PromptEncoder(make(FAMILIES["base, unigram"]))
    collector = Collector(Engine(), encoder, TenthReward(), max_prompt_tokens=99)  # type: ignore[arg-type]
    good, bad = make_template("Think, then answer."), make_template("End with </s> and no more.")
    assert collector.reads(PROBLEM, good)
    assert not collector.reads(PROBLEM, bad)
    collector.check_templates([good], [PROBLEM], "evolve.templates = 'own.txt'")
    with pytest.raises(
        ConfigError,
        match=r"^evolve\.templates = 'own\.txt': the template that begins 'End with </s> and no more\.' \(number 2\) "
        r"cannot be used: the tokenizer takes '</s>' in a message for a control token",
    ):
        collector.check_templates([good, bad], [PROBLEM], "evolve.templates = 'own.txt'")
    # Nor can it be shown an example that holds it: the proposal is left out, and the run goes on.
    reflect = SelfReflection(Engine(), encoder, SamplingParams(4))  # type: ignore[arg-type]
    asked = [ReflectionRequest(({"role": "user", "content": text},), 0) for text in ("fine", "</s>")]
    assert [reply.finish_reason for reply in reflect(asked)] == ["stop", "prompt_too_long"]


def test_a_template_is_of_use_if_it_fits_the_shortest_problem() -> None:
    long = Problem("q", ({"role": "user", "content": "1" * 20},), "2")
    collector = collector_of(Engine())
    fits = make_template("x" * (30 - len("\n\n1+1")))
    assert len(collector.prompt_ids(PROBLEM, fits)) == 30 < len(collector.prompt_ids(long, fits))
    collector.check_templates([fits], [long, PROBLEM], "evolve.templates")
    with pytest.raises(ConfigError, match=r"\(number 2\) makes 31 tokens of the shortest problem"):
        collector.check_templates([fits, make_template(fits.text + "x")], [PROBLEM, long], "evolve.templates")


def test_ranks_that_hold_an_engine_together_draw_as_one() -> None:
    engine = Engine()
    engine.ranks_per_engine = 2
    collector = Collector(
        engine,
        Encoder(),  # type: ignore[arg-type]
        TenthReward(),
        max_prompt_tokens=30,
        processes=Processes(size=4),
    )
    assert collector.teams == 2


def test_a_problem_that_is_too_long_is_refused() -> None:
    with pytest.raises(DataError, match=r"problem 'p' takes 3 tokens, over rollout\.max_prompt_tokens = 2"):
        collector_of(Engine(), 2).collect([RolloutRequest(PROBLEM, PLAIN, 0, 1)], SamplingParams(4))


def test_a_rollout_carries_the_version_of_the_weights_it_was_drawn_with() -> None:
    engine = Engine()
    collector = collector_of(engine)
    versions = []
    for version in (0, 7):
        collector.publish(f"weights {version}", version)  # type: ignore[arg-type]
        versions += [
            r.version for r in collector.collect([RolloutRequest(PROBLEM, SHORT, 0, 1)], SamplingParams(4))
        ]
    assert versions == [0, 7]
    assert engine.given == ["weights 0", "weights 7"]


@pytest.mark.parametrize("refills", [False, True])
def test_pieces_are_equal_shares_where_all_requests_begin_at_once(refills: bool) -> None:
    for requests, ranks, at_once in ((17, 3, 6), (17, 3, 99), (2, 4, 8), (0, 2, 1), (12, 1, 5)):
        expected = [range(requests * k // ranks, requests * (k + 1) // ranks) for k in range(ranks)]
        assert in_pieces(requests, ranks, at_once, refills=refills) == expected


def test_later_pieces_are_single_requests_or_batches() -> None:
    single = [range(i, i + 1) for i in range(10, 13)]
    assert in_pieces(13, 2, 5, refills=True) == [range(5), range(5, 10), *single]
    assert in_pieces(13, 2, 5, refills=False) == [range(4), range(4, 8), range(8, 13)]
