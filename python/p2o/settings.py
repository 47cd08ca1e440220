"""The base of every settings class. A module keeps its settings beside its code; `config.py` puts them together."""

import math
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, model_validator


class Settings(BaseModel):
    """Frozen, strict about unknown names and types, described by the docstring under each field.

    A number is no text, 6.0 is no integer, true is no number, and numbers are finite. Paths and tuples, which TOML
    writes as strings and arrays, need `Field(strict=False)`. A wrong value stands in no error text of pydantic's: it
    may hold a key. The word `none` unsets a setting that may be unset, which TOML has no other word for.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _none_unsets(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {
            name: None if value == "none" and cls._may_be_unset(name) else value
            for name, value in values.items()
        }

    @classmethod
    def _may_be_unset(cls, name: Any) -> bool:
        """Whether a setting may be None and `none` is no value of its own."""
        if name not in cls.model_fields:
            return False
        kinds = get_args(cls.model_fields[name].annotation)
        return type(None) in kinds and not any("none" in get_args(kind) for kind in kinds)


def not_plain(value: Any) -> Iterator[Any]:
    """What of a value of any type would not be the same when a file of settings was written and read: None, dates,
    objects, numbers that are none."""
    if isinstance(value, dict):
        for item in value.values():
            yield from not_plain(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from not_plain(item)
    elif not (isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))):
        yield value
