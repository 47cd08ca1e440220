"""The reward in TRL's own trainer, and beside TRL's `accuracy_reward`, which asks Math-Verify."""

from __future__ import annotations

import copy
import pickle
import random
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import p2o
from p2o.errors import InputError
from p2o.rewards import make_trl_reward, trl_reward
from p2o.tiny import MODEL_PATH
from p2o.tiny.world import FAMILIES

pytestmark = [
    pytest.mark.filterwarnings("ignore:TRL currently supports vLLM versions:UserWarning"),
    pytest.mark.filterwarnings(
        "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"
    ),  # TRL asks so
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning"),
]

PAGE = Path(__file__).parents[2] / "docs" / "verifier.md"

METHOD = FAMILIES[0].instruction(random.Random(0), precise=True) + "\n\n"
"""With it the tiny model gets sums right; without it, seldom."""

SUMS = (
    (f"{METHOD}123+456=?", "579"),
    (f"{METHOD}640+17=?", "657"),
    ("765+970=?", "1735"),
    ("91+937=?", "1028"),
)


class Recorder:
    """Passes calls on to a reward and keeps what went in and came out."""

    __name__ = "verify_reward"

    def __init__(self, reward: Any) -> None:
        self.reward = reward
        self.calls: list[tuple[dict[str, Any], list[float | None]]] = []

    def __call__(self, **arguments: Any) -> list[float | None]:
        rewards: list[float | None] = self.reward(**arguments)
        self.calls.append((arguments, rewards))
        return rewards


def run_trainer(
    reward: Any | None, shipped: tuple[Any, Any], rows: list[dict[str, Any]], folder: Path
) -> list[dict[str, Any]]:
    """The log of two steps of TRL's trainer, each over all rows with four completions.

    Without a reward, the trainer is made as on the page about the verifier.
    """
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    shipped_model, tokenizer = shipped
    model, dataset = copy.deepcopy(shipped_model), Dataset.from_list(rows)
    # Its name since transformers 5.24, and the one before.
    names = {field.name for field in fields(GRPOConfig)}
    checkpointing = (
        "activation_checkpointing" if "activation_checkpointing" in names else "gradient_checkpointing"
    )
    args = GRPOConfig(
        output_dir=str(folder),
        max_steps=2,
        per_device_train_batch_size=4 * len(rows),
        num_generations=4,
        max_completion_length=64,
        learning_rate=1e-4,
        logging_steps=1,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        bf16=False,
        **{checkpointing: False},
        disable_tqdm=True,
        seed=3,
    )
    if reward is None:
        model.config._name_or_path = str(MODEL_PATH)  # from where the trainer takes the tokenizer
        names = {"model": model, "args": args, "dataset": dataset}
        exec(documented_call(), names)
        trainer: Any = names["trainer"]
    else:
        trainer = GRPOTrainer(
            model=model, args=args, train_dataset=dataset, reward_funcs=reward, processing_class=tokenizer
        )
    trainer.train()
    return [record for record in trainer.state.log_history if "reward" in record]


def documented_call() -> str:
    """The call of TRL's trainer on the page about the verifier."""
    found = re.search(r"```python\n(from trl import GRPOTrainer\n.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def texts_of(completions: list[Any]) -> list[str]:
    return [text if isinstance(text, str) else text[0]["content"] for text in completions]


@pytest.mark.parametrize("chat", [True, False])
def test_a_run_of_the_trainer(shipped_tiny: tuple[Any, Any], tmp_path: Path, chat: bool) -> None:
    """Each completion is judged by the gold of its own row, and the trainer logs those verdicts."""
    _, tokenizer = shipped_tiny
    chats = [[{"role": "user", "content": text}] for text, _ in SUMS]
    rows = [
        {
            "prompt": messages
            if chat
            else tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True),
            "answer": gold,
            "number": number,
        }
        for number, (messages, (_, gold)) in enumerate(zip(chats, SUMS, strict=True))
    ]
    reward = Recorder(trl_reward)
    steps = run_trainer(reward, shipped_tiny, rows, tmp_path)

    assert len(reward.calls) == len(steps) == 2
    for (arguments, rewards), step in zip(reward.calls, steps, strict=True):
        numbers = arguments["number"]
        assert sorted(numbers) == sorted([0, 1, 2, 3] * 4)
        assert arguments["answer"] == [rows[number]["answer"] for number in numbers]
        assert arguments["prompts"] == [rows[number]["prompt"] for number in numbers]
        texts = texts_of(arguments["completions"])
        verdicts = [p2o.verify(text, SUMS[number][1]) for text, number in zip(texts, numbers, strict=True)]
        assert rewards == [float(verdict.correct) for verdict in verdicts]
        assert step["reward"] == step["rewards/verify_reward/mean"] == pytest.approx(sum(rewards) / 16)
        unanswered = sum(verdict.status == "no_answer" for verdict in verdicts) / 16
        assert step["verify/no_answer"] == pytest.approx(unanswered)
        assert step["verify/gold_unparsable"] == step["verify/timeout"] == 0.0
    seen = {given for _, rewards in reward.calls for given in rewards}
    assert seen == {0.0, 1.0}, "the model gets some of the sums right and some wrong"


def test_the_documented_call_trains_alike(shipped_tiny: tuple[Any, Any], tmp_path: Path) -> None:
    rows = [{"prompt": [{"role": "user", "content": text}], "solution": gold} for text, gold in SUMS]
    documented = run_trainer(None, shipped_tiny, rows, tmp_path)
    expected = run_trainer(trl_reward, shipped_tiny, rows, tmp_path)
    for record, other in zip(documented, expected, strict=True):
        assert 0 < record["reward"] < 1
        assert record["rewards/verify_reward/mean"] == other["rewards/verify_reward/mean"]


def test_rows_without_a_readable_gold_are_left_out(shipped_tiny: tuple[Any, Any], tmp_path: Path) -> None:
    """As with TRL's own `accuracy_reward`: None, and no part in the mean."""
    rows = [
        {"prompt": [{"role": "user", "content": text}], "solution": gold, "number": number}
        for number, (text, gold) in enumerate([*SUMS[:2], ("5+5=?", r"\frac{1}{"), ("6+6=?", None)])
    ]
    reward = Recorder(trl_reward)
    steps = run_trainer(reward, shipped_tiny, rows, tmp_path)
    for (arguments, rewards), step in zip(reward.calls, steps, strict=True):
        for number, given in zip(arguments["number"], rewards, strict=True):
            assert (given is None) == (number >= 2)
        assert step["verify/gold_unparsable"] == 0.5
        judged = [given for given in rewards if given is not None]
        assert step["rewards/verify_reward/mean"] == pytest.approx(sum(judged) / 8)


BOXED = (
    (r"$\frac{1}{3}$", r"\frac{1}{3}"),
    (r"$\frac{1}{3}$", r"\frac{1}{2}"),
    (r"$\frac{1}{3}$", r"\dfrac{2}{6}"),
    ("$0.5$", r"\frac{1}{2}"),
    ("$4$", "4.0"),
    ("$4$", "-4"),
    ("$1234$", "1,234"),
    (r"$\sqrt{8}$", r"2\sqrt{2}"),
    (r"$\sqrt{8}$", r"2\sqrt{3}"),
    ("$(1,2)$", "(1, 2)"),
    ("$(1,2)$", "(2, 1)"),
    (r"$\{1,2\}$", r"\{2,1\}"),
    ("$[0,1)$", "[0,1)"),
    ("$[0,1)$", "[0,1]"),
    ("$x^2+2x+1$", "(x+1)^2"),
    ("$x^2+2x+1$", "(x-1)^2"),
    ("$x=5$", "5"),
    (r"$10\%$", "10"),
    (r"$\pi$", r"\pi"),
    (r"$\text{east}$", r"\text{east}"),
    ("$2^{10}$", "1024"),
    ("$2^{10}$", "1025"),
)


@pytest.mark.parametrize("frame", [r"So it is $\boxed{%s}$.", r"First $\boxed{99}$, no. So \[\boxed{%s}\]"])
def test_boxed_answers_earn_what_accuracy_reward_gives(frame: str) -> None:
    from trl.rewards import accuracy_reward

    completions = [[{"role": "assistant", "content": frame % answer}] for _, answer in BOXED]
    golds = [gold for gold, _ in BOXED]
    expected = accuracy_reward(completions, golds)
    assert {0.0, 1.0} == set(expected)
    assert trl_reward(prompts=[], completions=completions, solution=golds) == expected


@pytest.mark.parametrize(
    ("completion", "gold", "theirs", "ours", "boxed"),
    [
        ("", "$4$", 0.0, 0.0, 0.0),
        ("I do not know.", "$4$", 0.0, 0.0, 0.0),
        (r"\boxed{4}", r"We add: $2+2$, so the sum is $\boxed{4}$.", 1.0, 1.0, 1.0),
        (r"\boxed{4}", r"\frac{1}{", None, None, None),
        ("The final answer is $4$.", "$4$", 1.0, 1.0, 0.0),
        # Ours reads these: an answer without a box, the last of several boxes outside of mathematics, \\frac43.
        ("The answer is 4.", "$4$", 0.0, 1.0, 0.0),
        ("Thus $4$", "$4$", 0.0, 1.0, 0.0),
        (r"Not \boxed{5} but \boxed{4}", "$4$", 0.0, 1.0, 1.0),
        (r"\boxed{\frac43}", r"$\frac43$", 0.0, 1.0, 1.0),
    ],
)
def test_where_accuracy_reward_differs(
    completion: str, gold: str, theirs: float | None, ours: float | None, boxed: float | None
) -> None:
    """Rewards of `accuracy_reward`, of ours, and of ours with a box required."""
    from trl.rewards import accuracy_reward

    columns = {"completions": [[{"role": "assistant", "content": completion}]], "solution": [gold]}
    assert accuracy_reward(**columns) == [theirs]
    assert trl_reward(**columns) == [ours]
    assert make_trl_reward(require_boxed=True)(**columns) == [boxed]


def test_messages_of_tools_are_not_the_answer() -> None:
    messages = [
        {"role": "assistant", "content": "", "tool_calls": [{"type": "function"}]},
        {"role": "tool", "content": r"\boxed{4}"},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": r"It is \boxed{"}, {"type": "text", "text": "5}"}],
        },
    ]
    assert trl_reward(completions=[messages] * 2, answer=["4", "5"]) == [0.0, 1.0]


def test_the_answer_column_goes_before_the_solution() -> None:
    reward = trl_reward(completions=[r"\boxed{4}"], answer=["4"], solution=["5"])
    assert reward == [1.0]
    with pytest.raises(InputError, match=r"no column 'answer' or 'solution' .* it has: gold"):
        trl_reward(completions=["4"], gold=["4"])


def test_trl_can_send_it_to_another_process_and_name_it() -> None:
    """TRL's rollout workers are spawned with the pickled reward function."""
    from trl.trainer.utils import get_callable_name, is_async_callable

    reward = pickle.loads(pickle.dumps(make_trl_reward("gold", require_boxed=True)))
    assert reward(completions=["4", r"\boxed{4}"], gold=["4", "4"]) == [0.0, 1.0]
    assert get_callable_name(reward) == "verify_reward"
    assert not is_async_callable(reward)


def test_a_wrong_option_is_refused_at_once() -> None:
    with pytest.raises(InputError, match="'requires_boxed'"):
        make_trl_reward(requires_boxed=True)  # type: ignore[call-arg]
