"""The base of every settings class. A module keeps its settings beside its code; `config.py` puts them together."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Frozen, strict about unknown names and types, described by the docstring under each field.

    What was given instead of a value stands in no error text of pydantic's: it may be a key. A number is no text, 6.0 is no integer, true is no number, and numbers are finite. Paths and tuples, which TOML
    writes as strings and arrays, need `Field(strict=False)`.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )
