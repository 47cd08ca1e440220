"""From groups to the rows of an update: the plain view, advantages within a group, which prompt each score is under."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from p2o.config import build_config
from p2o.packing import Rows
from p2o.policy.rows import enters_update, prepare
from p2o.policy.streams import GlobalCounts
from p2o.types import Group, Problem, Rollout

PLAIN_PROMPT = (1, 2, 3)
TEMPLATED_PROMPT = (9, 9, 1, 2, 3)


def rollout(
    reward: float, *, template: str = "plain", response: Sequence[int] = (5, 6), **more: Any
) -> Rollout:
    return Rollout(
        problem_id=more.pop("problem_id", "p"),
        template_id=template,
        index=0,
        prompt_ids=PLAIN_PROMPT if template == "plain" else TEMPLATED_PROMPT,
        response_ids=list(response),
        sampler_logprobs=more.pop("logprobs", [-0.5] * len(response)),
        finish_reason=more.pop("finish_reason", "stop"),
        text="",
        reward=reward,
    )


def group(*rollouts: Rollout) -> Group:
    return Group(Problem("p", ({"role": "user", "content": "x"},), "1"), rollouts)


class RecordedScore:
    """Scores that tell by their value which prompt they were computed under."""

    def __init__(self, plain: float = -1.0, templated: float = -2.0) -> None:
        self.by_prompt = {PLAIN_PROMPT: plain, TEMPLATED_PROMPT: templated}
        self.calls: list[list[tuple[int, ...]]] = []

    def __call__(self, sequences: Any) -> list[np.ndarray]:
        self.calls.append([tuple(prompt) for prompt, _ in sequences])
        return [
            np.full(len(response), self.by_prompt[tuple(prompt)], np.float32)
            for prompt, response in sequences
        ]


def prepared(
    groups: Sequence[Group], score: Any = None, reference: Any = None, **sections: Any
) -> tuple[Rows, GlobalCounts, dict[str, float]]:
    config = build_config(
        {"model": {"source": "x"}, "data": {"kind": "tiny"}, "rollout": {"max_tokens": 16}, **sections}
    )
    entering = [one for one in groups if enters_update(one, config.loss, 16)]
    ready = prepare(entering, lambda _: PLAIN_PROMPT, score or RecordedScore(), reference, config)
    return ready.rows, ready.counts, ready.metrics | ready.engine.metrics("engine")


def prompts(rows: Rows) -> list[tuple[int, ...]]:
    return [
        tuple(rows.tokens[start : start + length].tolist())
        for start, length in zip(rows.offsets, rows.prompt_lengths, strict=False)
    ]


def by_row(rows: Rows, stream: str) -> list[list[float]]:
    return [part.tolist() for part in np.split(rows.streams[stream], rows.response_offsets[1:-1])]


@pytest.mark.parametrize("mode", ["hard", "soft", "truncated", "none"])
def test_the_update_never_sees_the_template(mode: str) -> None:
    groups = [group(rollout(1, template="z"), rollout(0), rollout(0, template="z2"))]
    rows, _, _ = prepared(groups, context={"mode": mode})
    assert prompts(rows) == [PLAIN_PROMPT] * 3


def test_advantages_are_within_groups() -> None:
    """(1, 0): mean 1/2, sample deviation sqrt(1/2). A constant added to the other group's rewards changes nothing."""
    first = group(rollout(1), rollout(0))
    scale = 0.5 / (np.sqrt(0.5) + 1e-6)
    for other in (
        group(rollout(0), rollout(0)),
        group(rollout(1), rollout(1)),
        group(rollout(1), rollout(0)),
    ):
        rows, _, _ = prepared([first, other])
        assert rows.advantages[:2].tolist() == pytest.approx([scale, -scale])
    rows, _, _ = prepared(
        [first, group(rollout(1), rollout(1))], RecordedScore(), RecordedScore(), loss={"kl_coef": 0.1}
    )
    assert rows.advantages[2:].tolist() == [0.0, 0.0]


def test_the_soft_punishment_of_long_responses_is_in_the_advantages() -> None:
    """Of 16 tokens the last 8 are the buffer: 12 tokens cost half the penalty, 16 all of it. Rewards 1, 1/2, 0."""
    long = group(rollout(1, response=[5] * 8), rollout(1, response=[5] * 12), rollout(1, response=[5] * 16))
    settings = {"overlong_buffer": 8}

    def advantages(**loss: Any) -> dict[int, float]:
        rows, _, _ = prepared([long], loss=loss)
        return dict(zip(rows.response_lengths.tolist(), rows.advantages.tolist(), strict=True))

    assert advantages(advantage="dr_grpo", **settings) == pytest.approx({8: 0.5, 16: -0.5})
    assert advantages(**settings) == pytest.approx({8: 1.0, 16: -1.0}, abs=1e-5)
    # Equal rewards, but not once they are punished: the group has a signal and stays.
    assert prepared([long], loss={"zero_variance": "drop", **settings})[1].sequences == 3
    assert prepared([long], loss={"zero_variance": "drop"})[1].sequences == 0


def test_only_rows_with_a_gradient_need_a_forward_pass() -> None:
    groups = [group(rollout(1), rollout(0)), group(rollout(0), rollout(0))]
    own = {"name": "elsewhere:with_an_entropy_bonus"}  # it may have a gradient where the advantage is 0
    for loss, expected in [({}, 2), ({"kl_coef": 0.1}, 4), (own, 4)]:
        score = RecordedScore()
        rows, counts, _ = prepared(groups, score, RecordedScore() if "kl_coef" in loss else None, loss=loss)
        assert len(score.calls[0]) == len(rows.lengths) == expected
        assert counts.sequences == 4, "the others count all the same"


@pytest.mark.parametrize(
    ("loss", "tokens", "sequences"),
    [
        ({}, 3 + 5 + 7 + 11, 4),  # groups without a signal are in the denominators
        ({"zero_variance": "drop"}, 3 + 5, 2),
        ({"mask_truncated": True}, 3 + 7 + 11, 3),
    ],
)
def test_the_denominators_count_what_the_settings_say(
    loss: dict[str, Any], tokens: int, sequences: int
) -> None:
    groups = [
        group(rollout(1, response=[5] * 3), rollout(0, response=[5] * 5, finish_reason="length")),
        group(rollout(0, response=[5] * 7), rollout(0, response=[5] * 11)),  # no signal
    ]
    rows, counts, _ = prepared(groups, loss=loss)
    assert counts == GlobalCounts(tokens, sequences, 16)
    assert rows.response_lengths.tolist() == ([3] if loss.get("mask_truncated") else [3, 5])


def test_what_was_never_drawn_has_no_part_in_the_update() -> None:
    """A template that does not fit has failed, but there is no response: the others are compared among themselves."""
    missing = rollout(0, template="z", response=[], finish_reason="prompt_too_long")
    drawn = [rollout(1, template="z"), rollout(0)]
    rows, counts, _ = prepared([group(missing, *drawn)])
    expected, expected_counts, _ = prepared([group(*drawn)])
    assert rows.advantages.tolist() == expected.advantages.tolist()
    assert counts == expected_counts
    # A lone success beside nothing drawn is no signal, and a group of which nothing was drawn is left out.
    for zero_variance in ("keep", "drop"):
        rows, counts, _ = prepared(
            [group(missing, rollout(1)), group(missing, missing)], loss={"zero_variance": zero_variance}
        )
        assert len(rows.lengths) == 0
        assert counts.sequences == (1 if zero_variance == "keep" else 0)


def test_each_ratio_is_under_its_own_prompt() -> None:
    """old = plain score; context = plain / templated; engine = templated / sampler. Worked by hand."""
    plain, templated, sampler = np.log(0.1), np.log(0.4), np.log(0.5)
    score = RecordedScore(plain, templated)
    groups = [group(rollout(1, template="z", logprobs=[sampler] * 2), rollout(0, logprobs=[sampler] * 2))]
    rows, _, statistics = prepared(groups, score, context={"mode": "truncated"}, correction={"mode": "token"})
    assert score.calls == [[PLAIN_PROMPT, PLAIN_PROMPT], [TEMPLATED_PROMPT]], (
        "two passes, templated rows only"
    )
    np.testing.assert_allclose(rows.streams["old_logp"], plain, rtol=1e-6)
    under_template, under_plain = by_row(rows, "context_weight")
    np.testing.assert_allclose(under_template, 0.1 / 0.4, rtol=1e-5)
    assert under_plain == [1.0, 1.0]
    under_template, under_plain = by_row(rows, "engine_weight")
    np.testing.assert_allclose(under_template, 0.4 / 0.5, rtol=1e-5)
    np.testing.assert_allclose(under_plain, 0.1 / 0.5, rtol=1e-5)
    assert statistics["context_ratio/mean"] == pytest.approx(0.25)


def test_each_template_has_a_context_ratio_of_its_own() -> None:
    """Plain 0.1 over templated 0.4 on 2 and 3 tokens of z, the wrong ones masked; y has one token; plain has none."""
    score = RecordedScore(np.log(0.1), np.log(0.4))
    groups = [
        group(rollout(1, template="z"), rollout(0, template="z", response=[5] * 3), rollout(0)),
        group(rollout(1, template="y", response=[5]), rollout(0)),
    ]
    config = build_config(
        {"model": {"source": "x"}, "data": {"kind": "tiny"}, "context": {"mode": "asymmetric", "c_low": 0.5}}
    )
    by_template = prepare(groups, lambda _: PLAIN_PROMPT, score, None, config).by_template
    found = {name: (ratio.tokens, ratio.masked, ratio.log_sum) for name, ratio in by_template.items()}
    assert found == {
        "z": (5, 3, pytest.approx(5 * np.log(0.25))),
        "y": (1, 0, pytest.approx(np.log(0.25))),
    }


def test_on_the_sampled_prompt_the_template_stays_and_there_is_no_second_pass() -> None:
    score = RecordedScore(-1.0, -2.0)
    rows, _, statistics = prepared(
        [group(rollout(1, template="z"), rollout(0))], score, context={"distillation": "none", "mode": "hard"}
    )
    assert prompts(rows) == [TEMPLATED_PROMPT, PLAIN_PROMPT]
    assert [len(call) for call in score.calls] == [2, 0]
    assert by_row(rows, "old_logp") == [[-2.0, -2.0], [-1.0, -1.0]]
    assert by_row(rows, "context_weight") == [[1.0, 1.0]] * 2
    assert not any("context" in name for name in statistics)


def test_the_reference_scores_the_updates_prompt() -> None:
    score, reference = RecordedScore(-1.0, -2.0), RecordedScore(-3.0, -4.0)
    groups = [group(rollout(1, template="z"), rollout(0))]
    assert by_row(prepared(groups, score, reference)[0], "ref_logp") == [[-3.0, -3.0]] * 2
    assert "ref_logp" not in prepared(groups, score)[0].streams


def test_asymmetric_looks_at_the_rows_own_advantage() -> None:
    """Both rows have context ratio 0.001: the right one keeps its tokens, the wrong one loses them."""
    score = RecordedScore(np.log(0.0005), np.log(0.5))
    groups = [group(rollout(1, template="z"), rollout(0, template="z"))]
    rows, _, statistics = prepared(groups, score, context={"mode": "asymmetric"})
    assert by_row(rows, "context_weight") == [[1.0, 1.0], [0.0, 0.0]]
    assert statistics["context_mask/low"] == 1.0, "tokens below the bound, whatever became of them"
    assert statistics["context_mask/frac"] == 0.5, "tokens of weight 0"


@pytest.mark.parametrize(
    ("correction", "low", "masked"),
    [
        (
            {"mode": "sequence"},
            0.0,
            1.0,
        ),  # ratio 0.61: inside the bound of a token, outside a sequence's
        ({"mode": "sequence", "bounds": [0.5, 2.0]}, 0.0, 0.0),
        ({"mode": "token"}, 0.0, 0.0),
        ({"mode": "none"}, 0.0, 0.0),
    ],
)
def test_the_engine_mask_counts_what_sequences_lose(
    correction: dict[str, Any], low: float, masked: float
) -> None:
    rows, _, statistics = prepared([group(rollout(1), rollout(0))], correction=correction)
    assert statistics["engine_mask/frac"] == masked
    assert statistics["engine_mask/low"] == low
    assert by_row(rows, "engine_weight")[0] == pytest.approx(
        [0.0 if masked else np.exp(-0.5) if correction["mode"] == "token" else 1.0] * 2
    )


def test_a_rule_of_ones_own_is_counted_where_it_masks() -> None:
    groups = [group(rollout(1, template="z"), rollout(0, template="z"))]
    _, _, statistics = prepared(groups, context={"mode": f"{__name__}:only_rewarded"})
    assert statistics["context_mask/frac"] == 0.5
    assert statistics["context_mask/low"] == 0.0


def only_rewarded(log_ratio: Any, advantage: Any, low: float, high: float) -> Any:
    return advantage > 0
