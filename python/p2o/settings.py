"""The base of every settings class. A module keeps its settings beside its code; `config.py` puts them together."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Frozen, strict about unknown names and types, described by the docstring under each field.

    A number is no text, 6.0 is no integer, true is no number, and numbers are finite. Paths and tuples, which TOML
    writes as strings and arrays, need `Field(strict=False)`. A wrong value stands in no error text of pydantic's: it
    may hold a key.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )
