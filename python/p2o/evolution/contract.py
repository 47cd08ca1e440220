"""What the two callables of the prompt step, and a proposer, may return: checked before it is counted or journaled."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, TypeVar, get_args

from p2o.errors import InputError
from p2o.evolution.propose.proposer import Proposal
from p2o.evolution.types import EvaluationResult, ReflectionReply, ReplyEnd
from p2o.reward_calls import as_reward, shown
from p2o.types import FinishReason

T = TypeVar("T")

_ENDS: tuple[str, ...] = get_args(FinishReason)
_REPLY_ENDS: tuple[str, ...] = get_args(ReplyEnd)


def in_order(who: str, kind: type[T], answers: Iterable[T], count: int) -> Iterator[T]:
    """The answers of the callable `who` one by one.

    Raises:
        InputError: if they are of another type, or fewer or more than `count`.
    """
    article = "an" if kind.__name__[0] in "AEIOU" else "a"
    asked = f"{article} {kind.__name__} for each request"
    try:
        given = iter(answers)
    except TypeError:
        raise InputError(f"{who} returned a {type(answers).__name__}: give a list, {asked}") from None
    came = 0
    for answer in given:
        if came == count:
            raise InputError(f"{who} returned more than the {count} answers asked for")
        if not isinstance(answer, kind):
            raise InputError(f"{who} returned a {type(answer).__name__}: give {asked}")
        came += 1
        yield answer
    if came < count:
        raise InputError(f"{who} returned fewer than the {count} answers asked for")


def checked_result(result: EvaluationResult, problem_id: str) -> EvaluationResult:
    """The result with plain numbers, as a journal can hold them; its reward as training takes it (`as_reward`).

    Raises:
        InputError: if the reward is outside [0, 1], or a number or a text is none.
    """
    where = f"evaluate, problem {problem_id}"
    reward = as_reward(result.reward)
    if reward is None:
        raise InputError(f"{where}: reward {shown(result.reward)} is outside [0, 1]; rescale it")
    if result.finish_reason not in _ENDS:
        raise InputError(f"{where}: finish_reason {result.finish_reason!r} is none of {', '.join(_ENDS)}")
    tokens = _tokens(result.tokens, where)
    text, feedback = _text(result.text, "text", where), _text(result.feedback, "feedback", where)
    return EvaluationResult(reward, text, result.finish_reason, tokens, feedback)


def checked_reply(reply: ReflectionReply) -> ReflectionReply:
    """The reply with plain numbers, as a journal can hold them.

    Raises:
        InputError: if its text is none, or its length or cost is not a finite number of 0 or more.
    """
    if reply.finish_reason not in _REPLY_ENDS:
        raise InputError(
            f"reflect: finish_reason {reply.finish_reason!r} is none of {', '.join(_REPLY_ENDS)}"
        )
    cost = _number(reply.cost)
    if cost is None or not 0 <= cost < math.inf:
        raise InputError(f"reflect: cost {reply.cost!r} is not a finite number of 0 or more")
    return ReflectionReply(
        _text(reply.text, "text", "reflect"), reply.finish_reason, _tokens(reply.tokens, "reflect"), cost
    )


def checked_proposal(proposal: Proposal, candidates: int) -> Proposal:
    """The proposal, its text in characters that have a UTF-8 form; there are so many `candidates` to be made of.

    Raises:
        InputError: if it is of another type, its text is none, or a parent is no candidate.
    """
    where = "evolve.proposer"
    if not isinstance(proposal, Proposal):
        raise InputError(f"{where} returned a {type(proposal).__name__}: give a Proposal")
    for parent in proposal.parents:
        if parent not in range(candidates):
            raise InputError(f"{where}: parent {parent!r} is the id of none of the {candidates} candidates")
    if proposal.text is None:
        return proposal
    text = _text(proposal.text, "text", where)
    return replace(proposal, text=text.encode("utf-8", "replace").decode("utf-8"))


def _number(value: Any) -> float | None:
    """Any number (of numpy or torch too) as a float; None if it is none."""
    if type(value) is float:
        return value
    if isinstance(value, str | bytes):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _tokens(value: Any, where: str) -> int:
    number = _number(value)
    if number is None or not 0 <= number < math.inf:
        raise InputError(f"{where}: tokens {value!r} is not a finite number of 0 or more")
    return int(number)


def _text(value: Any, name: str, where: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{where}: {name} is a {type(value).__name__} and not a text")
    return value
