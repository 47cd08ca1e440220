"""What a name in the settings stands for: something of p2o's own, or `module:name` of code outside the package.

A registry is a dictionary beside the code that it lists: `LOSSES`, `SAMPLERS`, `PROPOSERS`, ... Its setting is typed
`Literal[...] | ImportPath`, so that a misspelt name is found before anything is imported.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from inspect import isabstract
from typing import Annotated, Any, TypeVar, cast

from pydantic import Field

from p2o.errors import ConfigError, in_one_line

T = TypeVar("T")

ImportPath = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_][\w.]*$")]
"""The import path `module:name` of a part of one's own."""


def look_up(registry: Mapping[Any, T | str], name: str, setting: str) -> T:
    """The entry of a registry, or what stands at an import path.

    An entry may be an import path itself: of a part whose module is too heavy to be imported for its name.

    Raises:
        ConfigError: naming the setting, if the path leads to nothing that can be called.
    """
    entry: T | str = registry.get(name, name)
    return cast("T", load(entry, setting)) if isinstance(entry, str) else entry


def look_up_class(registry: Mapping[Any, type[T] | str], name: str, setting: str, base: type[T]) -> type[T]:
    """As `look_up`, of a class derived from `base`. Raises ConfigError if it is none, or lacks a method of it, too."""
    found: object = look_up(registry, name, setting)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ConfigError(f"{setting} = {name!r} is no class derived from {base.__module__}.{base.__name__}")
    if isabstract(found):
        lacking = ", ".join(sorted(found.__abstractmethods__))  # type: ignore[attr-defined]
        raise ConfigError(f"{setting} = {name!r} is a class without {lacking}: define what it lacks")
    return found


def load(path: str, setting: str) -> Any:
    """What stands at `module:name`. The module may be in the working directory; an installed one goes first.

    Raises:
        ConfigError: if the module cannot be imported, has no such name, or it cannot be called.
    """
    module_name, separator, name = path.partition(":")
    if not separator or not module_name or not name:
        raise ConfigError(f"{setting} = {path!r} is not an import path: write module:name")
    if "" not in sys.path and os.getcwd() not in sys.path:
        # A console script has its own folder on the path, not the one it was called from.
        sys.path.append(os.getcwd())
    try:
        target: Any = import_module(module_name)
    except (Exception, SystemExit) as error:  # running a user's module can raise anything
        reason = in_one_line(error)
        raise ConfigError(f"{setting} = {path!r}: cannot import {module_name!r} ({reason})") from error
    try:
        for part in name.split("."):
            target = getattr(target, part)
    except AttributeError as error:
        raise ConfigError(f"{setting} = {path!r}: {module_name!r} has no {name!r}") from error
    if not callable(target):
        raise ConfigError(f"{setting} = {path!r} is not a function or a class")
    return target
