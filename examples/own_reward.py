"""A reward function and problems of your own, in memory: partial credit for answers that are near.

pip install "p2o-rl[train]"
python own_reward.py
"""

from __future__ import annotations

import re
from typing import Any

import p2o


def near(problem: p2o.Problem, completion: str) -> float:
    """1 for the right answer, half for one of the same size, else 0. Rewards lie in [0, 1]."""
    if p2o.verify(completion, problem.gold).correct:
        return 1.0
    numbers = re.findall(r"\d+", completion)
    close = bool(numbers) and abs(int(numbers[-1]) - int(problem.gold)) <= 0.1 * int(problem.gold)
    return 0.5 * close


PROBLEMS = [
    {"problem": f"{a}+{b}=?", "answer": str(a + b)} for a in range(110, 990, 60) for b in range(125, 1000, 70)
]


def main(**overrides: Any) -> p2o.Result:
    """Trains the model that ships with p2o, and prints what the command prints."""
    settings = {"run.epochs": 2, "run.output": "runs/own-reward", "data.evaluation_size": 40}
    result = p2o.train(
        "quickstart", problems=PROBLEMS, reward=near, overrides={**settings, **overrides}, quiet=False
    )
    print(f"mean reward {result.accuracy_before:.2f} -> {result.accuracy_after:.2f}; model: {result.model}")
    return result


if __name__ == "__main__":
    main()
