"""From groups to scored rows: the plain view, advantages within a group, and which prompt each score is under."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from p2o.policy.config import ContextConfig, CorrectionConfig, LossConfig
from p2o.policy.rows import Row, make_rows, needs_forward, score_rows
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


def rows_of(groups: Sequence[Group], mode: str = "hard", **loss: Any) -> list[Row]:
    return make_rows(
        groups, lambda _: PLAIN_PROMPT, LossConfig(**loss), ContextConfig(mode=mode), max_tokens=16
    )


@pytest.mark.parametrize("mode", ["hard", "soft", "truncated", "none"])
def test_the_update_never_sees_the_template(mode: str) -> None:
    rows = rows_of([group(rollout(1, template="z"), rollout(0), rollout(0, template="z2"))], mode)
    assert [tuple(row.prompt_ids) for row in rows] == [PLAIN_PROMPT] * 3


def test_without_distillation_the_template_stays() -> None:
    rows = rows_of([group(rollout(1, template="z"), rollout(0))], "no-distill")
    assert [tuple(row.prompt_ids) for row in rows] == [TEMPLATED_PROMPT, PLAIN_PROMPT]


def test_advantages_are_within_groups() -> None:
    """(1, 0): mean 1/2, sample deviation sqrt(1/2). A constant added to the other group's rewards changes nothing."""
    first = group(rollout(1), rollout(0))
    scale = 0.5 / (np.sqrt(0.5) + 1e-6)
    for other in (
        group(rollout(0), rollout(0)),
        group(rollout(1), rollout(1)),
        group(rollout(1), rollout(0)),
    ):
        rows = rows_of([first, other])
        assert [row.advantage for row in rows[:2]] == pytest.approx([scale, -scale])
    uniform = rows_of([first, group(rollout(1), rollout(1))])[2:]
    assert [row.advantage for row in uniform] == [0.0, 0.0]


def test_uniform_groups_are_counted_or_dropped() -> None:
    groups = [group(rollout(1), rollout(1)), group(rollout(1), rollout(0))]
    assert len(rows_of(groups)) == 4
    assert len(rows_of(groups, zero_variance="drop")) == 2


def test_the_soft_punishment_of_long_responses_is_in_the_advantages() -> None:
    """Of 16 tokens the last 8 are the buffer: 12 tokens cost half the penalty, 16 all of it. Rewards 1, 1/2, 0."""
    long = group(rollout(1, response=[5] * 8), rollout(1, response=[5] * 12), rollout(1, response=[5] * 16))
    settings = {"overlong_buffer": 8}
    centered = [row.advantage for row in rows_of([long], std_normalize=False, **settings)]
    assert centered == pytest.approx([0.5, 0.0, -0.5])
    divided = [row.advantage for row in rows_of([long], **settings)]
    assert divided == pytest.approx([1.0, 0.0, -1.0], abs=1e-5)
    # Equal rewards, but not once they are punished: the group has a signal and stays.
    assert len(rows_of([long], zero_variance="drop", **settings)) == 3
    assert rows_of([long], zero_variance="drop") == []


def test_only_rows_with_a_gradient_need_a_forward_pass() -> None:
    signal, nothing = rows_of([group(rollout(1), rollout(0)), group(rollout(0), rollout(0))])[1:3]
    assert needs_forward(signal, LossConfig(), ContextConfig())
    assert not needs_forward(nothing, LossConfig(), ContextConfig())
    assert needs_forward(nothing, LossConfig(kl_coef=0.1), ContextConfig())
    assert needs_forward(nothing, LossConfig(), ContextConfig(renormalize=True))


def test_truncated_rollouts_leave_the_loss_only_if_asked() -> None:
    groups = [group(rollout(1), rollout(0, finish_reason="length"))]
    assert [row.counted for row in rows_of(groups)] == [True, True]
    assert [row.counted for row in rows_of(groups, mask_truncated=True)] == [True, False]


class RecordedScore:
    """Scores that tell by their value which prompt they were computed under."""

    def __init__(self, plain: float, templated: float) -> None:
        self.by_prompt = {PLAIN_PROMPT: plain, TEMPLATED_PROMPT: templated}
        self.calls: list[list[tuple[int, ...]]] = []

    def __call__(self, sequences: Any) -> list[np.ndarray]:
        self.calls.append([tuple(prompt) for prompt, _ in sequences])
        return [
            np.full(len(response), self.by_prompt[tuple(prompt)], np.float32)
            for prompt, response in sequences
        ]


def test_each_ratio_is_under_its_own_prompt() -> None:
    """old = plain score; context = plain / templated; engine = templated / sampler. Worked by hand."""
    plain, templated, sampler = np.log(0.1), np.log(0.4), np.log(0.5)
    score = RecordedScore(plain, templated)
    rows = rows_of(
        [group(rollout(1, template="z", logprobs=[sampler] * 2), rollout(0, logprobs=[sampler] * 2))]
    )
    scored, statistics = score_rows(
        rows, score, None, ContextConfig(mode="truncated"), CorrectionConfig(mode="token")
    )
    assert score.calls == [[PLAIN_PROMPT, PLAIN_PROMPT], [TEMPLATED_PROMPT]], (
        "two passes, templated rows only"
    )
    under_template, under_plain = scored
    np.testing.assert_allclose(under_template.old_logp_T, plain, rtol=1e-6)
    np.testing.assert_allclose(under_template.context_weight_T, 0.1 / 0.4, rtol=1e-5)
    np.testing.assert_allclose(under_template.engine_weight_T, 0.4 / 0.5, rtol=1e-5)
    np.testing.assert_array_equal(under_plain.context_weight_T, 1.0)
    np.testing.assert_allclose(under_plain.engine_weight_T, 0.1 / 0.5, rtol=1e-5)
    assert statistics["context_ratio/mean"] == pytest.approx(0.25)


def test_without_distillation_there_is_no_second_pass() -> None:
    score = RecordedScore(-1.0, -2.0)
    scored, _ = score_rows(
        rows_of([group(rollout(1, template="z"), rollout(0))], "no-distill"),
        score,
        None,
        ContextConfig(mode="no-distill"),
        CorrectionConfig(),
    )
    assert [len(call) for call in score.calls] == [2, 0]
    np.testing.assert_array_equal(scored[0].old_logp_T, -2.0)
    np.testing.assert_array_equal(scored[0].context_weight_T, 1.0)


def test_the_reference_scores_the_updates_prompt() -> None:
    score, reference = RecordedScore(-1.0, -2.0), RecordedScore(-3.0, -4.0)
    rows = rows_of([group(rollout(1, template="z"), rollout(0))])
    scored, _ = score_rows(rows, score, reference, ContextConfig(), CorrectionConfig())
    assert [row.ref_logp_T.tolist() for row in scored if row.ref_logp_T is not None] == [[-3.0, -3.0]] * 2


def test_asymmetric_looks_at_the_rows_own_advantage() -> None:
    """Both rows have context ratio 0.001: the right one keeps its tokens, the wrong one loses them."""
    score = RecordedScore(np.log(0.0005), np.log(0.5))
    rows = rows_of([group(rollout(1, template="z"), rollout(0, template="z"))], "asymmetric")
    context = ContextConfig(mode="asymmetric")
    scored, statistics = score_rows(rows, score, None, context, CorrectionConfig())
    assert [row.context_weight_T.tolist() for row in scored] == [[1.0, 1.0], [0.0, 0.0]]
    assert statistics["context_mask/low"] == 1.0, "tokens below the bound, whatever became of them"
