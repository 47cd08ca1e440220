"""Answer verification: is the final answer of a completion equal to the gold?

The work is done in Rust without the interpreter lock; results do not depend on the number of threads.
Which answers count as equal is described in docs/equal-answers.md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral, Real
from typing import Any, Literal, TypedDict, Unpack, overload

import numpy as np
import numpy.typing as npt

from p2o import _core
from p2o.errors import InputError, brief

Status = Literal["correct", "wrong", "no_answer", "gold_unparsable", "timeout"]
Tier = Literal["exact", "canonical", "random", "ball", "numeric", "text"]


class VerifyOptions(TypedDict, total=False):
    """The keyword options of every function here."""

    compat: Literal["math-verify"] | None
    """Follow the rules of Math-Verify 0.9.0 instead of our own."""
    strict: bool
    """Only exact values as written count. With `compat`: Math-Verify's flag of that name (true)."""
    allow: tuple[str, ...]
    """Licences that count besides those of the rules chosen above (docs/verifier.md lists them)."""
    deny: tuple[str, ...]
    """Licences that do not count."""
    float_rounding: int
    """Decimal places to which values are rounded where a decimal is written (6)."""
    allow_set_relation_comp: bool
    """With `compat`: accept an inequality for a gold interval (false)."""
    extraction: tuple[Literal["latex", "expr", "string"], ...]
    """With `compat`: what may hold an answer, Math-Verify's extraction configs (`("latex", "expr")`)."""
    require_boxed: bool
    """Only a `\\boxed{}` holds an answer (false)."""
    deadline_ms: float | None
    """Limit of one verification in milliseconds (50), a backstop behind the deterministic step limit."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of one verification. It is true in a boolean context if the answer is correct.

    `status` is `correct`, `wrong`, `no_answer`, `gold_unparsable` (bad data) or `timeout` (not decided); `extracted`
    is the answer as it stands in the completion, `tier` the method that decided between correct and wrong, and
    `licences` are the conventions by which the answer is correct.
    """

    status: Status
    extracted: str | None
    """None if there is none."""
    tier: Tier | None
    """None if nothing was compared."""
    licences: tuple[str, ...] = ()
    """Such as `unit-dropped`; none if it says what the gold says."""

    @property
    def correct(self) -> bool:
        """Whether the answer equals the gold."""
        return self.status == "correct"

    def __bool__(self) -> bool:
        return self.correct


@dataclass(frozen=True, slots=True)
class Licence:
    """A convention by which an answer counts that is not the gold as written."""

    name: str
    meaning: str
    gold: str
    """With `answer`: an example, equal by this convention alone."""
    answer: str
    default: bool
    """Whether it is allowed unless denied; `strict` and `math_verify` say the same for those rules."""
    strict: bool
    math_verify: bool


def licences() -> list[Licence]:
    """All licences, in the order of docs/verifier.md."""
    return [
        Licence(name, meaning, gold, answer, *allowed)
        for name, meaning, gold, answer, allowed in _core.licences()
    ]


@lru_cache(maxsize=64)
def _options(
    compat: str | None = None,
    strict: bool | None = None,
    allow: tuple[str, ...] = (),
    deny: tuple[str, ...] = (),
    float_rounding: int = 6,
    allow_set_relation_comp: bool = False,
    extraction: tuple[str, ...] = ("latex", "expr"),
    require_boxed: bool = False,
    deadline_ms: float | None = 50,
) -> _core.VerifyOptions:
    profile = compat or ("strict" if strict else "default")
    if compat and strict is False:
        allow = (*allow, "symbols-renamed")
    if compat and allow_set_relation_comp:
        allow = (*allow, "inequality-for-interval")
    if deadline_ms is not None:
        deadline_ms = float(deadline_ms)
    return _core.VerifyOptions(
        profile, list(allow), list(deny), float_rounding, list(extraction), bool(require_boxed), deadline_ms
    )


def _take(name: str, value: Any) -> Any:
    """The value of an option as `_options` takes it.

    Raises:
        InputError: naming the option, if it is of another type.
    """
    if name in ("extraction", "allow", "deny"):
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise InputError(f"{name} is a {type(value).__name__}: it must be a list of strings")
        items = tuple(value)
        for place, item in enumerate(items):
            if not isinstance(item, str):
                raise InputError(f"{name}[{place}] is of type {type(item).__name__}: it must be a string")
        return items
    if name == "compat":
        fits, wanted = value is None or value == "math-verify", "'math-verify' or None"
    elif name == "float_rounding":
        fits, wanted = isinstance(value, int) and 0 <= value <= 60, "an integer from 0 to 60"
    elif name == "deadline_ms":
        fits, wanted = value is None or isinstance(value, Real), "a number of milliseconds, or None"
    else:
        fits, wanted = value is None or isinstance(value, bool | np.bool_), "true or false"
    if not fits:
        raise InputError(f"{name} is {brief(value)}: it must be {wanted}")
    return value


def _checked(options: VerifyOptions) -> _core.VerifyOptions:
    if not options:  # a verdict takes microseconds, and this would be one of them
        return _options()
    unknown = options.keys() - VerifyOptions.__annotations__.keys()
    if unknown:
        known = ", ".join(VerifyOptions.__annotations__)
        raise InputError(f"unknown option {sorted(unknown)[0]!r}: the options are {known}")
    return _options(**{name: _take(name, value) for name, value in options.items()})


def _require_strings(**arguments: str) -> None:
    for name, value in arguments.items():
        if not isinstance(value, str):
            raise InputError(f"{name} is a {type(value).__name__}, not a string: give str({name})")


def _verdict(details: tuple[str, str | None, str | None, list[str]]) -> Verdict:
    status, extracted, tier, used = details
    return Verdict(status, extracted, tier, tuple(used))  # type: ignore[arg-type]


def verify(completion: str, gold: str, **options: Unpack[VerifyOptions]) -> Verdict:
    """Finds the final answer in a completion and compares it with the gold.

        >>> p2o.verify("Half of one is 0.5.", r"\\frac{1}{2}")
        Verdict(status='correct', extracted='0.5', tier='exact', licences=())
        >>> bool(p2o.verify("It is 12 km.", "12", deny=["unit-dropped"]))
        False

    Args:
        completion: what a model wrote. The answer is in its last box, or where an answer is announced or ends it.
        gold: a bare answer (`\\frac{1}{2}`), or one between dollar signs or in a box.
        options: here and in the other functions (`VerifyOptions`): `compat="math-verify"` follows the rules of
            Math-Verify 0.9.0 (with `allow_set_relation_comp` and `extraction` of its own); `strict` counts only exact
            values as written; `allow` and `deny` switch single licences (`p2o.licences`) on and off; `float_rounding`
            is the number of decimal places (6); `require_boxed` takes answers from a box alone; `deadline_ms` (50)
            bounds the time.

    Raises:
        InputError: if an argument is no string, or an option is unknown or has a value that cannot be used.
    """
    _require_strings(completion=completion, gold=gold)
    return _verdict(_core.verify(completion, gold, _checked(options)))


@overload
def verify_batch(
    completions: Sequence[str],
    golds: Sequence[str],
    *,
    threads: int | None = None,
    return_verdicts: Literal[False] = False,
    **options: Unpack[VerifyOptions],
) -> npt.NDArray[np.float32]: ...


@overload
def verify_batch(
    completions: Sequence[str],
    golds: Sequence[str],
    *,
    threads: int | None = None,
    return_verdicts: Literal[True],
    **options: Unpack[VerifyOptions],
) -> list[Verdict]: ...


def verify_batch(
    completions: Sequence[str],
    golds: Sequence[str],
    *,
    threads: int | None = None,
    return_verdicts: bool = False,
    **options: Unpack[VerifyOptions],
) -> npt.NDArray[np.float32] | list[Verdict]:
    """Verifies many completions, each against the gold at the same place. Safe in threads and in forked processes.

        >>> p2o.verify_batch(["It is 4.", "It is 5."], ["4", "4"])
        array([1., 0.], dtype=float32)

    Args:
        completions: what a model wrote, n strings.
        golds: n gold answers; equal ones are parsed once.
        threads: by default `P2O_NUM_THREADS`, else one for each core.
        return_verdicts: return the `Verdict`s instead of rewards.
        options: as of `verify`.

    Returns:
        Rewards of shape (n,), dtype float32, each 0. or 1., in the order of the completions; or n `Verdict`s.

    Raises:
        InputError: if the lengths differ, an item is not a string, or an option cannot be used.
    """
    checked = _checked(options)
    if threads is not None and (not isinstance(threads, Integral) or not 1 <= threads <= sys.maxsize):
        raise InputError(
            f"threads is {brief(threads)}: it must be an integer of at least 1, or None for the default"
        )
    for texts in (completions, golds):
        if isinstance(texts, str) or not isinstance(texts, Iterable):
            raise InputError(f"completions and golds are lists of strings, not a {type(texts).__name__}")
    if not return_verdicts:
        return _core.verify_batch(list(completions), list(golds), checked, threads)
    details = _core.verify_batch_details(list(completions), list(golds), checked, threads)
    return [_verdict(parts) for parts in details]


def equivalent(a: str, b: str, **options: Unpack[VerifyOptions]) -> bool:
    """Whether two bare answers are equal. `a` is the gold where the rules are not symmetric; options as of `verify`.

        >>> p2o.equivalent("1/2", "0.5")
        True

    Raises:
        InputError: if an argument is no string, or an option is unknown or has a value that cannot be used.
    """
    _require_strings(a=a, b=b)
    return _core.equivalent(a, b, _checked(options))


def gold_parses(gold: str, **options: Unpack[VerifyOptions]) -> bool:
    """Whether a gold answer can be parsed; if not, every verdict on it is `gold_unparsable`.

    Options as of `verify`.

    Raises:
        InputError: if `gold` is no string, or an option is unknown or has a value that cannot be used.
    """
    _require_strings(gold=gold)
    return _core.gold_parses(gold, _checked(options))
