"""What `p2o.train` is given in memory: parts of a run by name, and problems as lines of a file.

A part that has no import path stands in the settings as `p2o.arguments:reward`: an attribute of this module that is
there while the call lasts.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

from p2o.errors import ConfigError, DataError, brief, in_one_line
from p2o.evolution.identity import digest
from p2o.source_code import code_of
from p2o.types import Problem

Problems = Iterable[Problem | Mapping[str, Any]]
"""Problems, or records such as a data file holds (all of one kind)."""

FIELDS = {"problem_key": "problem", "answer_key": "answer", "id_key": "id", "solution_key": "solution"}
"""Settings of `data` for the records that `Problem`s become."""

_GIVEN: ContextVar[Mapping[str, Any]] = ContextVar("p2o.arguments", default=MappingProxyType({}))


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    try:
        return _GIVEN.get()[name]
    except KeyError:
        raise ConfigError(
            f"the {name} of this run has no import path, but was an argument of p2o.train: go on from Python with the "
            f"same one, p2o.train(resume=RUN, {name}=...)"
        ) from None


@contextmanager
def given(parts: Mapping[str, Any]) -> Iterator[None]:
    """Makes parts attributes of this module."""
    token = _GIVEN.set(parts)
    try:
        yield
    finally:
        _GIVEN.reset(token)


def require_parts(parts: Mapping[str, Any]) -> None:
    """Raises ConfigError if a part cannot be what its name says."""
    from p2o.rollout.sampler import Sampler

    for name, part in parts.items():
        if name == "sampler" and not (isinstance(part, type) and issubclass(part, Sampler)):
            raise ConfigError(
                f"sampler = {brief(part)} is no class derived from p2o.rollout.sampler.Sampler; p2o's own go by name: "
                "set rollout.sampler"
            )
        if not callable(part):
            raise ConfigError(f"{name} = {brief(part)} is not callable: give the function itself")


def require_callbacks(callbacks: Any) -> None:
    """Raises ConfigError unless all are objects of classes derived from `Callback`, as a run would find out late."""
    from p2o.track.callbacks import Callback

    if not isinstance(callbacks, Sequence):
        raise ConfigError(f"callbacks = {brief(callbacks)} is no list: give a list of p2o.Callback objects")
    for place, callback in enumerate(callbacks):
        if not isinstance(callback, Callback):
            raise ConfigError(
                f"callbacks[{place}] = {brief(callback)} is no p2o.Callback: give an object of one"
            )


def path_of(part: Any, name: str) -> str:
    """The import path of a function or class; `p2o.arguments:<name>` where another process could not import it."""
    module, qualified = getattr(part, "__module__", None), getattr(part, "__qualname__", "")
    found: Any = sys.modules.get(module or "")
    if found is None or module == "__main__" or getattr(found, "__spec__", None) is None:
        return f"{__name__}:{name}"
    for attribute in qualified.split("."):
        found = getattr(found, attribute, None)
    return f"{module}:{qualified}" if found is part else f"{__name__}:{name}"


def code_at(path: str, *further: str) -> str | None:
    """A hash of the code of what stands at an import path, with all that its module and `further` ones import.

    Of an argument it is its own source text alone; None where that is not to be had.
    """
    module, _, name = path.partition(":")
    if module != __name__:
        return code_of(module, *further)
    part = _GIVEN.get().get(name)
    if not (inspect.isfunction(part) or inspect.isclass(part)):
        part = type(part)
    try:
        # That of a lambda begins with the line that it stands in.
        return None if part.__name__ == "<lambda>" else digest(inspect.getsource(part))
    except (OSError, TypeError):
        return None


def lines_of(problems: Problems, name: str) -> tuple[str, dict[str, str]]:
    """Problems as JSON Lines, and the settings of `data` by which they are read; `name` is that of the argument.

    Raises:
        DataError: if there are none, or one is neither a record nor a `Problem`, or has no form in JSON; names its
            index.
    """
    lines: list[str] = []
    kinds: set[bool] = set()
    try:
        items = iter(problems)
    except TypeError:
        raise DataError(
            f"{name} is a {type(problems).__name__}: give a list of dicts or of p2o.Problem"
        ) from None
    for index, problem in enumerate(items):
        where = f"{name}[{index}]"
        if not isinstance(problem, Problem | Mapping):
            raise DataError(f"{where} is {brief(problem)}: give a list of dicts or of p2o.Problem")
        kinds.add(isinstance(problem, Problem))
        record = _record(problem, where) if isinstance(problem, Problem) else dict(problem)
        try:
            lines.append(json.dumps(record, ensure_ascii=False, default=_number) + "\n")
            lines[-1].encode()  # half of a surrogate pair is no text
        except (TypeError, ValueError, RecursionError) as error:
            raise DataError(f"{where}: has no form in JSON ({in_one_line(error)})") from None
    if not lines:
        raise DataError(f"{name}: none are given")
    if len(kinds) > 1:
        raise DataError(f"{name} holds dicts and Problems: give either")
    return "".join(lines), FIELDS if kinds == {True} else {}


def _record(problem: Problem, where: str) -> dict[str, Any]:
    own = {"id": problem.id, "problem": list(problem.messages), "answer": problem.gold}
    if problem.solution or "solution" not in problem.meta:
        own["solution"] = problem.solution  # `FIELDS` names it, so each record has one
    if taken := own.keys() & problem.meta.keys():
        raise DataError(
            f"{where}: meta has {min(taken)!r}, which is a field of the problem itself: rename it"
        )
    return {**own, **problem.meta}


def _number(value: Any) -> Any:
    """A number of numpy's as Python's own."""
    as_python: Callable[[], Any] | None = getattr(value, "item", None)
    if as_python is None:
        raise TypeError(f"a {type(value).__name__}")
    return as_python()
