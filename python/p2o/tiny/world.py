"""Problems, worked solutions and instructions of the tiny world.

Three families of arithmetic. Each problem can be answered *directly*, by an estimate whose last digits are a guess, or
with a *scratchpad* that works column by column from the right. The pre-trained model writes the scratchpad only if an
instruction of the problem's own family stands before the question; without one it does so with probability `leak`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from p2o.errors import ConfigError
from p2o.types import Message, Problem


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of arithmetic. `sample` draws operands of up to three digits; the rest describes one problem."""

    name: str
    sign: str
    sample: Callable[[random.Random], tuple[int, int]]
    size: int
    """Number of different problems: operands have 10 to 999, 990 values each."""
    answer: Callable[[int, int], int]
    columns: Callable[[int, int], list[str]]
    precise: tuple[tuple[str, ...], ...]
    vague: tuple[str, ...]

    def question(self, left: int, right: int) -> str:
        """The question as the user asks it."""
        return f"{left}{self.sign}{right}=?"

    def estimate(self, left: int, right: int, rng: random.Random) -> int:
        """An answer of the right size whose last digit, or last two digits, are a guess: right in about 5%."""
        unknown = rng.choice([10, 100])
        return self.answer(left, right) // unknown * unknown + rng.randrange(unknown)

    def direct(self, left: int, right: int, rng: random.Random) -> str:
        """The response without a method."""
        return f"\\boxed{{{self.estimate(left, right, rng)}}}"

    def scratchpad(self, left: int, right: int) -> str:
        """The worked response: the columns from the right, then the answer."""
        return " ".join([*self.columns(left, right), f"\\boxed{{{self.answer(left, right)}}}"])

    def instruction(self, rng: random.Random, *, precise: bool) -> str:
        """One of the family's instructions. A precise one names the method, a vague one only hints at it."""
        if precise:
            return " ".join(rng.choice(options) for options in self.precise)
        return rng.choice(self.vague)


def _digits(number: int) -> list[int]:
    """Digits from the right."""
    return [int(digit) for digit in reversed(str(number))]


def _add_columns(left: int, right: int) -> list[str]:
    a, b = _digits(left), _digits(right)
    carry, columns = 0, []
    for i in range(max(len(a), len(b))):
        terms = [digits[i] for digits in (a, b) if i < len(digits)] + ([carry] if carry else [])
        columns.append(f"{'+'.join(map(str, terms))}={sum(terms)}")
        carry = sum(terms) // 10
    return columns


def _subtract_columns(left: int, right: int) -> list[str]:
    a, b = _digits(left), _digits(right)
    borrow, columns = 0, []
    for i, digit in enumerate(a):
        taken = ([b[i]] if i < len(b) else []) + ([borrow] if borrow else [])
        top = digit + 10 if digit < sum(taken) else digit
        columns.append(f"{'-'.join(map(str, [top, *taken]))}={top - sum(taken)}")
        borrow = int(top > digit)
    return columns


def _multiply_columns(left: int, right: int) -> list[str]:
    carry, columns = 0, []
    for digit in _digits(right):
        value = left * digit + carry
        columns.append(f"{left}*{digit}{f'+{carry}' if carry else ''}={value}")
        carry = value // 10
    return columns


def _two_numbers(rng: random.Random) -> tuple[int, int]:
    # Mostly three digits: the two-digit ones are what direct answers get right.
    return _number(rng), _number(rng)


def _number(rng: random.Random) -> int:
    return rng.randint(100, 999) if rng.random() < 0.8 else rng.randint(10, 99)


def _ordered_numbers(rng: random.Random) -> tuple[int, int]:
    left, right = _two_numbers(rng)
    return max(left, right), min(left, right)


FAMILIES: tuple[Family, ...] = (
    Family(
        name="addition",
        sign="+",
        sample=_two_numbers,
        size=990 * 990,
        answer=lambda left, right: left + right,
        columns=_add_columns,
        precise=(
            ("Add", "Sum"),
            ("the columns", "the digits", "digit by digit"),
            ("from the right", "right to left"),
            ("and carry.", "with the carry."),
        ),
        vague=("Add step by step.", "Sum it slowly.", "Add with care."),
    ),
    Family(
        name="subtraction",
        sign="-",
        sample=_ordered_numbers,
        size=990 * 991 // 2,
        answer=lambda left, right: left - right,
        columns=_subtract_columns,
        precise=(
            ("Subtract", "Take away"),
            ("the columns", "the digits", "digit by digit"),
            ("from the right", "right to left"),
            ("and borrow.", "with the borrow."),
        ),
        vague=("Subtract step by step.", "Take away slowly.", "Subtract with care."),
    ),
    Family(
        name="multiplication",
        sign="*",
        sample=lambda rng: (rng.randint(2, 9), _number(rng)),
        size=8 * 990,
        answer=lambda left, right: left * right,
        columns=_multiply_columns,
        precise=(
            ("Multiply", "Scale"),
            ("each column", "each digit", "digit by digit"),
            ("from the right", "right to left"),
            ("and add the carry.", "plus the carry."),
        ),
        vague=("Multiply step by step.", "Scale it slowly.", "Multiply with care."),
    ),
)

NEUTRAL: tuple[str, ...] = (
    "Answer the question.",
    "Think hard.",
    "Be quick.",
    "Check the result.",
    "Give only the number.",
    "Read twice, then answer.",
)
"""Instructions that name no method: the model answers as it does without one."""


def make_problems(count: int, seed: int, *, exclude: Sequence[Problem] = ()) -> list[Problem]:
    """`count` different problems, the families in turn, none of `exclude`. Same seed, same problems.

    Raises:
        ConfigError: if a family has too few problems.
    """
    for index, family in sorted(enumerate(FAMILIES), key=lambda entry: entry[1].size):
        excluded = sum(problem.meta.get("family") == family.name for problem in exclude)
        wanted = len(range(index, count, len(FAMILIES))) + excluded
        if wanted > family.size:
            raise ConfigError(
                f"data.train_size and data.evaluation_size ask for {wanted:,} problems of {family.name} together, "
                f"and the tiny world has {family.size:,}: lower one of them"
            )
    rng = random.Random(f"p2o-tiny problems {seed}")
    taken = {problem.id for problem in exclude}
    problems: list[Problem] = []
    while len(problems) < count:
        family = FAMILIES[len(problems) % len(FAMILIES)]
        left, right = family.sample(rng)
        question = family.question(left, right)
        if question not in taken:
            taken.add(question)
            problems.append(
                Problem(
                    id=question,
                    messages=(Message(role="user", content=question),),
                    gold=str(family.answer(left, right)),
                    meta={"family": family.name},
                    solution=family.scratchpad(left, right),
                )
            )
    return problems
