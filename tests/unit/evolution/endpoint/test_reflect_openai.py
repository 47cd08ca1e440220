"""The API client against a server in this process: what it sends, what it bears, and where it gives up."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from datetime import date
from typing import Any

import httpx
import pytest
from chat_server import Server, completion
from pydantic import ValidationError

from p2o.config import load_config
from p2o.errors import ConfigError, ModelError, ReflectionError
from p2o.evolution import (
    EvaluationRequest,
    EvolveConfig,
    ReflectionConfig,
    ReflectionReply,
    ReflectionRequest,
    evolve,
)
from p2o.evolution.config import EvaluatedModelConfig
from p2o.evolution.endpoint import OpenAIEvaluator, OpenAIReflector
from p2o.evolution.endpoint.address import ElsewhereError, stay_here
from p2o.evolution.engine import split
from p2o.reflection import by_endpoint
from p2o.templates import make_template
from p2o.track.run_directory import RunDirectory, require_resumable
from p2o.track.run_paths import resumed_config
from p2o.types import Message, Problem


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr("p2o.evolution.endpoint.chat.BACKOFF_S", 0.0)
    server = Server()
    yield server
    server.close()


def reflector(server: Server, **options: Any) -> OpenAIReflector:
    asked = {name: options.pop(name) for name in ReflectionConfig.model_fields if name in options}
    endpoint = {"model": "m", "base_url": server.url, **options}
    return OpenAIReflector(ReflectionConfig(kind="openai", endpoint=endpoint, **asked))


def ask(content: str, seed: int = 5) -> ReflectionRequest:
    return ReflectionRequest((Message(role="user", content=content),), seed)


def test_requests_carry_model_sampling_seed_and_messages(server):
    server.answer = lambda body: completion("```\nnew\n```", "length")
    options = {"temperature": 0.5, "max_tokens": 99, "extra_body": {"top_k": 3}}
    (reply,) = reflector(server, prices=(2.0, 8.0), **options)([ask("q")])
    assert server.bodies == [
        {
            "model": "m",
            "temperature": 0.5,
            "max_tokens": 99,
            "messages": [{"role": "user", "content": "q"}],
            "seed": 5,
            "top_k": 3,
        }
    ]
    assert (reply.text, reply.finish_reason, reply.tokens) == ("```\nnew\n```", "length", 20)
    assert reply.cost == pytest.approx((10 * 2 + 20 * 8) / 1e6)


def test_requests_adapt_to_what_the_server_knows(server):
    """As OpenAI words it for its reasoning models, and a server whose fields pydantic checks: each is told once."""
    renamed = "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."
    forbidden = [
        {"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}
    ]

    def answer(body):
        if "max_tokens" in body:
            return 400, {
                "error": {"message": renamed, "param": "max_tokens", "code": "unsupported_parameter"}
            }
        return (422, {"detail": forbidden}) if "seed" in body else completion(str(len(server.bodies)))

    server.answer = answer
    replies = reflector(server, concurrency=1)([ask("q"), ask("r")])
    assert [reply.text for reply in replies] == ["3", "4"], "the second request is right at once"
    assert [sorted(set(body) - {"model", "messages", "temperature"}) for body in server.bodies] == [
        ["max_tokens", "seed"],
        ["max_completion_tokens", "seed"],
        ["max_completion_tokens"],
        ["max_completion_tokens"],
    ]
    assert server.bodies[-1]["max_completion_tokens"] == 2048


def test_a_server_that_refuses_the_value_of_a_field_is_not_asked_again(server):
    server.answer = lambda body: (400, {"error": {"message": "max_tokens must be at most 1024"}})
    with pytest.raises(ReflectionError, match=r"answers 400: .*max_tokens must be at most 1024"):
        list(reflector(server)([ask("q")]))
    assert len(server.bodies) == 1


def test_replies_come_in_order_with_limited_concurrency(server):
    gate = threading.Barrier(4, timeout=30)

    def answer(body):
        gate.wait()  # passes only when four requests are in flight at once
        return completion(body["messages"][0]["content"])

    server.answer = answer
    replies = reflector(server, concurrency=4)([ask(str(i)) for i in range(12)])
    assert [reply.text for reply in replies] == [str(i) for i in range(12)]
    assert server.most_open == 4


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_errors_that_may_pass_are_retried(server, status):
    answers = iter([(status, {"error": {"message": "busy"}}), (status, {}), completion("at last")])
    server.answer = lambda body: next(answers)
    (reply,) = reflector(server)([ask("q")])
    assert reply.text == "at last"
    assert len(server.bodies) == 3


def test_retries_are_bounded(server):
    server.answer = lambda body: (503, {"error": {"message": "overloaded"}})
    with pytest.raises(
        ReflectionError, match=r"model m at http://127.* failed 5 times, last: .*503.*overloaded"
    ):
        list(reflector(server)([ask("q")]))
    assert len(server.bodies) == 5


def test_there_is_no_wait_after_the_last_attempt(server, monkeypatch):
    waits = []

    async def record(seconds):
        waits.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", record)
    server.answer = lambda body: (503, {}, {"retry-after": "5"})
    with pytest.raises(ReflectionError, match="failed 5 times"):
        list(reflector(server)([ask("q")]))
    assert waits == [5.0] * 4


def test_each_rollout_has_a_seed_of_its_own(server):
    evaluator = OpenAIEvaluator(EvaluatedModelConfig(model="p", base_url=server.url, verify="exact"), seed=1)
    problems = [Problem(name, (Message(role="user", content="q"),), "1") for name in "ab"]
    requests = [
        EvaluationRequest(problem, make_template(text), index)
        for problem in problems
        for text in ("", "t")
        for index in range(2)
    ]
    list(evaluator(requests))
    assert len({body["seed"] for body in server.bodies}) == 8
    of_first = sorted(body["seed"] for body in server.bodies)
    server.bodies.clear()
    list(
        OpenAIEvaluator(EvaluatedModelConfig(model="p", base_url=server.url, verify="exact"), seed=2)(
            requests
        )
    )
    assert not {body["seed"] for body in server.bodies} & set(of_first)


def test_the_server_says_when_to_come_back(server, monkeypatch):
    monkeypatch.setattr("p2o.evolution.endpoint.chat.BACKOFF_S", 1.0)
    waits = []
    sleep = asyncio.sleep

    async def record(seconds):
        waits.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", record)
    answers = iter(
        [(429, {}, {"retry-after": "7"}), (429, {}, {"retry-after": "900"}), (500, {}), completion("x")]
    )
    server.answer = lambda body: next(answers)
    list(reflector(server)([ask("q")]))
    assert waits[:2] == [7.0, 60.0]
    # The third wait backs off by itself: 1 s doubled twice, times 0.5 to 1.5.
    assert 2.0 <= waits[2] <= 6.0


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, {"message": "no such field"}),
        (401, {"message": "bad key"}),
        (404, {"message": "no such model"}),
        (429, {"message": "pay first", "code": "insufficient_quota"}),
    ],
)
def test_a_permanent_error_ends_the_batch_at_once(server, status, error):
    server.answer = lambda body: (status, {"error": error})
    with pytest.raises(ReflectionError, match=rf"answers {status}: .*{error['message']}") as caught:
        list(reflector(server, concurrency=1)([ask(str(i)) for i in range(5)]))
    assert "\n" not in str(caught.value)
    assert len(server.bodies) == 1


def test_replies_before_a_permanent_error_are_kept(server):
    server.answer = lambda body: (
        completion("fine") if body["messages"][0]["content"] == "0" else (400, {"error": {"message": "no"}})
    )
    replies = reflector(server, concurrency=1)([ask("0"), ask("1")])
    assert next(replies).text == "fine"
    with pytest.raises(ReflectionError):
        next(replies)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, {"message": "too many", "code": "context_length_exceeded"}),
        (
            400,
            {"message": "This model's maximum context length is 2048 tokens. Yours has 3000.", "code": 400},
        ),
        (400, {"message": "the request exceeds the available context size"}),
        (413, {"message": "prompt is too long: 9 tokens > 8"}),
    ],
)
def test_a_request_that_is_too_long_costs_no_other(server, status, error):
    def answer(body):
        return (status, {"error": error}) if body["messages"][0]["content"] == "1" else completion("fine")

    server.answer = answer
    replies = list(reflector(server)([ask(str(i)) for i in range(3)]))
    assert [(reply.text, reply.finish_reason, reply.tokens, reply.cost) for reply in replies] == [
        ("fine", "stop", 20, 0.0),
        ("", "prompt_too_long", 0, 0.0),
        ("fine", "stop", 20, 0.0),
    ]
    assert len(server.bodies) == 3


def test_an_unreachable_server_is_named(monkeypatch):
    monkeypatch.setattr("p2o.evolution.endpoint.chat.RETRIES", 1)
    server = Server()
    server.close()
    with pytest.raises(
        ReflectionError, match=r"model m at http://127.* failed 2 times, last: Connection error"
    ):
        list(reflector(server)([ask("q")]))


def test_a_slow_server_counts_as_failed(server, monkeypatch):
    monkeypatch.setattr("p2o.evolution.endpoint.chat.RETRIES", 0)
    release = threading.Event()
    server.answer = lambda body: (release.wait(30), completion("late"))[1]
    try:
        with pytest.raises(ReflectionError, match="failed 1 times, last: Request timed out"):
            list(reflector(server, timeout_s=0.05)([ask("q")]))
    finally:
        release.set()


def test_a_closed_iterator_cancels_what_is_open(server):
    release = threading.Event()
    server.answer = lambda body: (
        completion("first")
        if body["messages"][0]["content"] == "0"
        else (release.wait(30), completion("no"))[1]
    )
    replies = reflector(server, concurrency=2)([ask(str(i)) for i in range(50)])
    try:
        assert next(replies).text == "first"
        replies.close()
        assert len(server.bodies) <= 4
    finally:
        release.set()


def test_an_empty_message_is_an_empty_reply_and_no_choice_an_error(server):
    server.answer = lambda body: completion(None)
    assert next(reflector(server)([ask("q")])).text == ""
    server.answer = lambda body: (200, {**completion("x")[1], "choices": []})
    with pytest.raises(ReflectionError, match="without a choice"):
        list(reflector(server)([ask("q")]))


@pytest.mark.parametrize(
    "body",
    [
        "<html>please log in</html>",
        b"<html>please log in</html>",
        ["a", "list"],
        {"choices": [None]},
        {"choices": [{"index": 0, "finish_reason": "stop"}]},
        {"choices": [{"index": 0, "finish_reason": "stop", "message": {"content": [{"text": "part"}]}}]},
    ],
)
def test_what_is_no_completion_ends_the_step_and_not_the_run(server, body):
    server.answer = lambda _: (200, body)
    with pytest.raises(ReflectionError, match=f"{server.url} answers with something else"):
        list(reflector(server)([ask("q")]))


def test_replies_do_not_depend_on_how_the_model_is_reached(server):
    """A journal is taken up under another address or time limit, and not with another model or temperature."""
    first = reflector(server).answers_for
    assert (
        reflector(server, base_url="http://elsewhere/v1", timeout_s=1.0, concurrency=2).answers_for == first
    )
    for change in ({"model": "other"}, {"temperature": 0.5}, {"extra_body": {"top_k": 1}}):
        assert reflector(server, **change).answers_for != first


def test_a_server_may_leave_its_counts_empty(server):
    status, content = completion("ok")
    content["usage"] = {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None}
    server.answer = lambda _: (status, content)
    (reply,) = reflector(server, prices=(0.0, 1.0))([ask("q")])
    assert (reply.text, reply.tokens, reply.cost) == ("ok", 0, 0.0)


def test_it_works_inside_a_running_event_loop(server):
    async def inside():
        return [reply.text for reply in reflector(server)([ask("q")])]

    assert asyncio.run(inside()) == ["ok"]


def test_the_key_comes_from_the_environment_and_is_asked_for_early(server, monkeypatch):
    monkeypatch.setenv("MY_KEY", "secret")
    list(reflector(server, api_key_env="MY_KEY")([ask("q")]))
    assert server.headers[0]["authorization"] == "Bearer secret"
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="OPENAI_API_KEY is not set"):
        OpenAIReflector(ReflectionConfig(kind="openai", endpoint={"model": "m"}))


@pytest.mark.parametrize("key", ["", None])
def test_a_key_that_is_empty_is_not_set(key, monkeypatch):
    monkeypatch.delenv("MY_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("MY_KEY", key)
    with pytest.raises(ConfigError, match="MY_KEY is not set"):
        OpenAIReflector(ReflectionConfig(kind="openai", endpoint={"model": "m", "api_key_env": "MY_KEY"}))


@pytest.mark.parametrize("key", ["two\nlines", "schlüssel", "tab\t"])
def test_a_key_that_no_header_could_carry_is_told_early(server, key, monkeypatch):
    monkeypatch.setenv("MY_KEY", key)
    with pytest.raises(ConfigError, match="MY_KEY holds characters that no API key has"):
        reflector(server, api_key_env="MY_KEY")


def test_a_server_of_ones_own_needs_no_key(server, monkeypatch):
    monkeypatch.setenv("MY_KEY", "")
    list(reflector(server, api_key_env="MY_KEY")([ask("q")]))
    assert server.headers[0]["authorization"] == "Bearer none"


@pytest.mark.parametrize("address", ["localhost:8000/v1", "", "ftp://h/v1"])
def test_an_address_without_a_protocol_is_refused_with_the_settings(address):
    with pytest.raises(ValidationError, match="must begin with http:// or https://"):
        ReflectionConfig(kind="openai", endpoint={"model": "m", "base_url": address})


@pytest.mark.parametrize(
    "address", ["http://", "http:///v1", "http://[::1/v1", "http://h:port/v1", "http://h\n/v1"]
)
def test_an_address_that_cannot_be_called_is_refused_with_the_settings(address):
    with pytest.raises(ValidationError, match="names no host and port"):
        ReflectionConfig(kind="openai", endpoint={"model": "m", "base_url": address})


def test_why_a_connection_failed_is_told(server):
    """The server speaks no TLS; the client's own words are `Connection error.` whatever the cause."""
    address = server.url.replace("http:", "https:")
    with pytest.raises(ReflectionError, match=r"last: Connection error\. \(.*SSL"):
        list(reflector(server, base_url=address)([ask("q")]))


@pytest.mark.parametrize("header", ["nan", "inf", "Wed, 21 Oct 2026 07:28:00 GMT", "-3"])
def test_a_wait_that_is_no_number_of_seconds_is_passed_over(server, header, monkeypatch):
    waits = []

    async def record(seconds):
        waits.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", record)
    answers = iter([(429, {}, {"retry-after": header}), completion("x")])
    server.answer = lambda body: next(answers)
    assert next(reflector(server)([ask("q")])).text == "x"
    assert waits == [0.0], "the back-off of these settings"


def test_half_a_surrogate_pair_is_replaced(server):
    """Sent on in a reflection prompt it could not be encoded."""
    server.answer = lambda body: completion("a\ud800b")
    assert next(reflector(server)([ask("q")])).text == "a?b"


def test_the_policy_is_asked_with_its_template_and_verified(server):
    server.answer = lambda body: completion(f"thinking\n{body['messages'][-1]['content'].count('digit')}")
    evaluator = OpenAIEvaluator(
        EvaluatedModelConfig(model="p", base_url=server.url, verify="exact", top_p=0.9)
    )
    problem = Problem("a", (Message(role="system", content="s"), Message(role="user", content="2+2?")), "1")
    template = make_template("Go digit by digit.")
    results = list(
        evaluator(
            [EvaluationRequest(problem, template, 0), EvaluationRequest(problem, make_template("x"), 1)]
        )
    )
    contents = sorted(body["messages"][-1]["content"] for body in server.bodies)
    assert contents == ["Go digit by digit.\n\n2+2?", "x\n\n2+2?"]
    assert {body["top_p"] for body in server.bodies} == {0.9}
    assert len({body["seed"] for body in server.bodies}) == 2
    # "digit" occurs twice in the first template and not at all in the second: the gold is 1.
    assert [(result.reward, result.tokens) for result in results] == [(0.0, 20), (0.0, 20)]
    server.answer = lambda body: completion("so\n 1 ")
    assert next(evaluator([EvaluationRequest(problem, template, 0)])).reward == 1.0


def test_a_prompt_that_the_policy_does_not_take_earns_nothing(server):
    """Unless none is taken, plain: then it is the setting that is wrong, and nothing is answered."""

    def answer(body):
        if len(body["messages"][0]["content"]) > 9:
            return 400, {"error": {"message": "maximum context length is 9 tokens"}}
        return completion("1")

    server.answer = answer
    short = Problem("a", (Message(role="user", content="q"),), "1")
    long = Problem("b", (Message(role="user", content="a question"),), "1")
    plain, template = make_template(""), make_template("long template")

    def evaluate(evaluator, *pairs):
        results = evaluator([EvaluationRequest(problem, text, 0) for problem, text in pairs])
        return [(result.reward, result.feedback) for result in results]

    def fresh():
        return OpenAIEvaluator(EvaluatedModelConfig(model="p", base_url=server.url, verify="exact"))

    with_template = (0.0, "The prompt is too long with this instruction.")
    alone = (0.0, "The prompt is too long.")
    evaluator = fresh()
    mixed = [(long, plain), (short, template), (short, plain), (long, plain)]
    assert evaluate(evaluator, *mixed) == [alone, with_template, (1.0, ""), alone]
    assert evaluate(evaluator, (long, plain)) == [alone]
    assert evaluate(fresh(), mixed[1]) == [with_template]
    results = fresh()([EvaluationRequest(long, plain, index) for index in range(2)])
    with pytest.raises(
        ModelError, match=r"not one of 2 plain prompts beside policy\.max_tokens = 4096: lower"
    ):
        next(results)


def test_an_unusable_policy_is_a_model_error(server):
    server.answer = lambda body: (404, {"error": {"message": "no such model"}})
    evaluator = OpenAIEvaluator(EvaluatedModelConfig(model="p", base_url=server.url, verify="exact"))
    problem = Problem("a", (Message(role="user", content="q"),), "1")
    with pytest.raises(ModelError, match=r"model p at .* answers 404"):
        list(evaluator([EvaluationRequest(problem, make_template("t"), 0)]))


def evaluator_of(server: Server, **options: Any) -> OpenAIEvaluator:
    return OpenAIEvaluator(EvaluatedModelConfig(model="p", base_url=server.url, verify="exact", **options))


def rolled_out(evaluator: OpenAIEvaluator, *contents: str) -> list[tuple[float, str]]:
    problems = [Problem(text, (Message(role="user", content=text),), "ok") for text in contents]
    requests = [EvaluationRequest(problem, make_template(""), 0) for problem in problems]
    return [(result.reward, result.feedback) for result in evaluator(requests)]


REFUSALS = [
    (400, {"error": {"message": "The response was filtered", "code": "content_filter"}}),
    (400, {"error": {"message": "Invalid prompt: it was flagged as potentially violating our policy"}}),
    (403, {"error": {"message": "Your input was flagged", "code": 403}}),
    (422, {"error": {"message": "cannot process this"}}),
    (200, {**completion("x")[1], "choices": []}),
    (200, {"error": {"message": "blocked by content management policy", "code": 400}}),
    completion(None, "content_filter"),
    completion("half of", "content_filter"),
]


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("place", [0, 2])
def test_a_problem_that_the_server_refuses_costs_its_rollout_and_is_named(server, refusal, place, caplog):
    names = ["a", "b", "c"]
    names[place] = "bad"
    server.answer = lambda body: refusal if body["messages"][0]["content"] == "bad" else completion("ok")
    evaluator = evaluator_of(server)
    wanted = [(1.0, "")] * 3
    wanted[place] = (0.0, "The server refuses this prompt.")
    for _ in range(2):
        assert rolled_out(evaluator, *names) == wanted
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["problem bad"]
    assert len(server.bodies) == 6, "nothing is asked twice"
    assert rolled_out(evaluator, "bad") == [wanted[place]]


def test_what_a_server_says_steers_no_terminal(server, caplog):
    said = {"error": {"message": "flagged \x1b]0;x\x07\x9b31m\u202e by a content filter"}}
    server.answer = lambda body: completion("ok") if body["messages"][0]["content"] == "a" else (400, said)
    rolled_out(evaluator_of(server), "a", "bad")
    (record,) = caplog.records
    assert record.getMessage().isprintable()
    assert "flagged \ufffd]0;x\ufffd\ufffd31m\ufffd by" in record.getMessage()


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_server_that_takes_nothing_is_told(server, refusal):
    server.answer = lambda body: refusal
    with pytest.raises(ModelError, match=r"model p at http://127.* answers"):
        rolled_out(evaluator_of(server), "a", "b")


def test_a_server_that_takes_nothing_any_longer_has_judged_no_problem(server):
    """A model that was unloaded, say: its refusals are no failed rollouts."""
    names = [str(i) for i in range(30)]
    server.answer = lambda body: (
        completion("ok")
        if int(body["messages"][0]["content"]) < 12
        else (400, {"error": {"message": "gone"}})
    )
    evaluator = evaluator_of(server)
    problems = [Problem(name, (Message(role="user", content=name),), "ok") for name in names]
    results = evaluator([EvaluationRequest(problem, make_template(""), 0) for problem in problems])
    assert [next(results).reward for _ in range(12)] == [1.0] * 12
    with pytest.raises(ModelError, match=r"answers 400: .*gone"):
        next(results)


@pytest.mark.parametrize(
    "refusal", [REFUSALS[0], (400, {"error": {"message": "too long", "code": "context_length_exceeded"}})]
)
def test_a_killed_step_goes_on_where_only_refused_requests_are_left(server, tmp_path, refusal):
    """What the journal holds was served: the server has judged the request, and not none of them."""
    problems = [Problem(f"p{n:02}", (Message(role="user", content=f"{n}?"),), "ok") for n in range(20)]
    dev, _ = split(problems, 10, 0)
    bad = dev[-1].messages[0]["content"]

    def answer(body):
        asked = body["messages"][-1]["content"]
        if asked == bad:
            return refusal
        return completion("```\nThink.\n```" if "Think" in asked or len(asked) > 50 else "no")

    def life(journal):
        settings = EvolveConfig(dev_size=10, budget=60, parents=2)
        return evolve(
            problems, evaluator_of(server), reflector(server), settings, journal=journal, max_rounds=1
        )

    server.answer = answer
    straight = life(tmp_path / "straight.jsonl")
    lines = (tmp_path / "straight.jsonl").read_text().splitlines(keepends=True)
    assert bad[:-1] in lines[10]
    for kept in (9, 10, 11):
        (tmp_path / "killed.jsonl").write_text("".join(lines[:kept]))
        assert life(tmp_path / "killed.jsonl") == straight


def test_a_reflection_model_that_was_served_before_the_kill_may_refuse_what_is_left(server):
    server.answer = lambda body: REFUSALS[0]
    asked = reflector(server)
    asked.recall(ReflectionReply("", "refused"))
    with pytest.raises(ReflectionError, match="answers 400"):
        list(asked([ask("bad")]))
    asked.recall(ReflectionReply("```\nnew\n```"))
    assert [reply.finish_reason for reply in asked([ask("bad")])] == ["refused"]


@pytest.mark.parametrize(
    ("setting", "secret"),
    [("base_url", '"http://me:pass@127.0.0.1:1/v1"'), ("extra_body", '{api_key = "sekret", n = 1}')],
)
def test_a_run_is_not_resumed_by_the_mask_of_a_secret(tmp_path, setting, secret):
    """The server would refuse it, and each prompt step after the resume end without a word but its reason."""
    given = f"reflection.endpoint.{setting}={secret}"
    local = 'reflection.endpoint.base_url="http://127.0.0.1:1/v1"'
    settings = ['reflection.kind="openai"', 'reflection.endpoint.model="m"', local, given]
    RunDirectory.create(tmp_path / "run", load_config("quickstart", settings), {}).unlock()
    assert "***" in (tmp_path / "run" / "config.toml").read_text()
    with pytest.raises(
        ConfigError, match=r"^model m: base_url or extra_body holds \*\*\* in place of a secret"
    ):
        by_endpoint(resumed_config(tmp_path / "run"))
    again = resumed_config(tmp_path / "run", [given])
    assert not require_resumable(tmp_path / "run", again)
    by_endpoint(again)


def test_fields_that_cannot_be_sent_are_refused_with_the_settings():
    with pytest.raises(ValidationError, match="JSON has no form for"):
        EvaluatedModelConfig(model="m", extra_body={"day": date(2026, 1, 1)})


def test_a_refused_reflection_costs_its_proposal(server):
    server.answer = lambda body: (
        REFUSALS[0] if body["messages"][0]["content"] == "bad" else completion("fine")
    )
    replies = list(reflector(server)([ask("bad"), ask("good")]))
    assert [(reply.text, reply.finish_reason) for reply in replies] == [("", "refused"), ("fine", "stop")]


@pytest.mark.parametrize(
    "broken",
    [
        b'{"choices": [{"mess',
        b'{"id": "\xff\xfe"}',
        b"<html>bad gateway</html>",
        {"error": {"message": "overloaded", "code": 529}},
        {"object": "chat.completion", "choices": None},
        {"choices": [{"index": 0, "finish_reason": "stop", "message": {"content": 7}}]},
        b"[" * 100_000 + b"]" * 100_000,
    ],
)
def test_a_broken_reply_is_asked_for_again(server, broken):
    answers = iter([(200, broken), (200, broken), completion("at last")])
    server.answer = lambda body: next(answers)
    (reply,) = reflector(server)([ask("q")])
    assert reply.text == "at last"
    assert len(server.bodies) == 3
    server.answer = lambda body: (200, broken)
    with pytest.raises(ReflectionError, match=r"model m at .* answers with") as caught:
        list(reflector(server)([ask("q")]))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ([{"type": "text", "text": "one "}, {"type": "text", "text": "two"}], "one two"),
        ([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "two"}], "two"),
        ([], ""),
    ],
)
def test_the_text_parts_of_a_reply_are_joined(server, parts, text):
    server.answer = lambda body: completion(parts)
    assert next(reflector(server)([ask("q")])).text == text


@pytest.mark.parametrize(
    "usage",
    [
        "much",
        [1, 2],
        {"prompt_tokens": "ten", "completion_tokens": [3]},
        {"prompt_tokens": -5, "completion_tokens": 1e400},
        {"prompt_tokens": True, "completion_tokens": {"n": 3}},
    ],
)
def test_counts_that_are_none_are_passed_over(server, usage):
    server.answer = lambda body: (200, {**completion("fine")[1], "usage": usage})
    (reply,) = reflector(server, prices=(1.0, 1.0))([ask("q")])
    assert (reply.text, reply.tokens, reply.cost) == ("fine", 0, 0.0)
    with pytest.raises(
        ReflectionError, match=r"no token counts, so that reflection\.max_cost cannot be kept"
    ):
        list(reflector(server, prices=(1.0, 1.0), max_cost=0.1)([ask("q")]))


def test_an_empty_reply_has_a_count(server):
    usage = {"prompt_tokens": 3, "completion_tokens": 0}
    server.answer = lambda body: (200, {**completion("")[1], "usage": usage})
    (reply,) = reflector(server, prices=(2.0, 8.0), max_cost=0.1)([ask("q")])
    assert (reply.tokens, reply.cost) == (0, pytest.approx(6e-6))


def test_a_proxy_is_not_told_what_this_machine_says_to_itself(server, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody answers there
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert [reply.text for reply in reflector(server)([ask("q")])] == ["ok"]


def test_a_cost_that_no_price_adds_up_to_is_refused_at_once(server):
    with pytest.raises(ConfigError, match=r"reflection\.max_cost = 2\.0 is never reached at prices of 0"):
        reflector(server, max_cost=2.0)
    assert not server.bodies


def test_an_end_that_is_an_object_is_none(server):
    status, content = completion("fine")
    content["choices"][0]["finish_reason"] = {"type": "stop"}
    server.answer = lambda body: (status, content)
    assert next(reflector(server)([ask("q")])).finish_reason == "stop"


def test_a_server_that_drips_bytes_fails_after_the_time_of_an_attempt(monkeypatch):
    """Each byte comes within the time: it is the whole attempt that must not take longer."""
    monkeypatch.setattr("p2o.evolution.endpoint.chat.RETRIES", 0)
    over = threading.Event()

    def drip(listener):
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
            while not over.wait(0.02):
                connection.sendall(b" ")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,))
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        config = ReflectionConfig(kind="openai", endpoint={"model": "m", "base_url": url, "timeout_s": 0.3})
        try:
            with pytest.raises(ReflectionError, match="failed 1 times, last: Request timed out"):
                list(OpenAIReflector(config)([ask("q")]))
        finally:
            over.set()
            thread.join()


def test_a_key_goes_to_its_own_address_only(server, monkeypatch):
    """That of OpenAI is in many environments; another server gets it only if it is named."""
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, f"secret-{name}")
    list(reflector(server)([ask("q")]))
    rolled_out(evaluator_of(server), "a")
    for headers in server.headers:
        assert "secret-" not in str(headers)
    list(reflector(server, api_key_env="OPENAI_API_KEY")([ask("q")]))
    assert server.headers[-1]["authorization"] == "Bearer secret-OPENAI_API_KEY"


@pytest.mark.parametrize(
    ("here", "location", "followed"),
    [
        ("http://a:1/v1", "/v2", True),
        ("http://a:1/v1", "http://a:1/v2", True),
        ("http://a/v1", "https://a/v1", True),
        ("https://a/v1", "https://a:8443/v1", True),
        ("http://a:1/v1", "http://a:2/v1", False),
        ("https://a/v1", "http://a/v1", False),
        ("http://a/v1", "https://b/v1", False),
        ("https://a/v1", "https://b/v1", False),
        ("https://a/v1", "//b/v1", False),
    ],
)
def test_a_redirect_stays_on_its_host_and_gives_up_no_encryption(here, location, followed):
    response = httpx.Response(307, headers={"location": location}, request=httpx.Request("POST", here))
    with contextlib.nullcontext() if followed else pytest.raises(ElsewhereError, match="to another host"):
        asyncio.run(stay_here(response))


def test_a_redirect_to_another_host_is_refused(server):
    elsewhere = Server()
    try:
        there = elsewhere.url.replace("127.0.0.1", "localhost")
        server.answer = lambda body: (307, {}, {"location": f"{there}/chat/completions"})
        with pytest.raises(ReflectionError, match=r"redirects to another host, http://localhost:\d+/v1/chat"):
            list(reflector(server)([ask("q")]))
        assert len(server.bodies) == 1
        assert not elsewhere.bodies
    finally:
        elsewhere.close()


def test_errors_tell_no_secret(server, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sesame-open-up")
    address = server.url.replace("http://", "http://me:pass-word-1@") + "?api-key=query%2Bkey"
    refusal = "sesame-open-up, query+key, query%2Bkey and field-key-2: no such key"
    server.answer = lambda body: (401, {"error": {"message": refusal}})
    options = {"base_url": address, "api_key_env": "MY_KEY", "extra_body": {"api_key": "field-key-2"}}
    with pytest.raises(ReflectionError, match="answers 401") as caught:
        list(reflector(server, **options)([ask("q")]))
    for secret in ("sesame", "pass-word-1", "field-key-2", "query"):
        assert secret not in str(caught.value)
    assert "***@127.0.0.1" in str(caught.value)
