"""What a journal answers for, as values whose hash is the same in every process."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from typing import Any

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def digest(value: Any) -> str:
    """A hash of any value, by its content."""
    return hashlib.sha256(json.dumps(canonical(value), sort_keys=True).encode()).hexdigest()[:16]


def canonical(value: Any, within: tuple[int, ...] = ()) -> Any:
    """The value in JSON's types: objects by class and fields, arrays by their entries, functions by their source."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if id(value) in within:
        return "(itself)"
    inner = (*within, id(value))
    if isinstance(value, Mapping):
        return {str(key): canonical(item, inner) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(item, inner) for item in value]
    if isinstance(value, AbstractSet):
        return sorted((canonical(item, inner) for item in value), key=json.dumps)
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, bytes | bytearray):
        return [kind, hashlib.sha256(value).hexdigest()]
    if inspect.isroutine(value) or isinstance(value, type):
        return [kind, source_of(value)]
    if is_dataclass(value):
        return [kind, {field.name: canonical(getattr(value, field.name), inner) for field in fields(value)}]
    for method in ("tolist", "tobytes"):  # numpy, torch, images: their text leaves entries out
        if callable(getattr(value, method, None)):
            size = [getattr(value, name, None) for name in ("dtype", "shape", "size", "mode")]
            return [kind, _ADDRESS.sub("", repr(size)), canonical(getattr(value, method)(), inner)]
    if hasattr(value, "__dict__") and vars(value):
        return [kind, canonical(vars(value), inner)]
    return [kind, _ADDRESS.sub("", repr(value))]


def source_of(function: Callable[..., Any]) -> str:
    """Name and source of a function or a class; the name alone where there is no source."""
    name = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', '')}"
    try:
        return f"{name}\n{inspect.getsource(function)}"
    except (OSError, TypeError):
        return name
