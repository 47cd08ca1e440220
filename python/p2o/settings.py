"""The base of every settings class. A room keeps its settings beside its code; `config.py` puts them together."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Frozen, strict about unknown names, described by the docstring under each field."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
