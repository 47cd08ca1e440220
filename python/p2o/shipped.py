"""Files that p2o ships (recipes, studies, templates, prompts), and those of a user in their place."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any

from p2o.errors import ConfigError
from p2o.files import read_toml


def shipped(folder: str, suffix: str = ".toml") -> dict[str, Path]:
    """The files with this suffix in a folder of the package, by their names without it."""
    found = (Path(__file__).parent / folder).glob(f"*{suffix}")
    return {path.stem: path for path in sorted(found, key=lambda path: path.stem)}


def load_toml(source: str, kind: str, folder: str) -> dict[str, Any]:
    """The values of a TOML file: a path that ends in `.toml`, or the name of a file that is shipped in `folder`.

    Raises:
        ConfigError: one line naming the file; `kind` is what it holds.
    """
    path, known = Path(source), shipped(folder)
    if path.suffix != ".toml" and source not in known:
        raise ConfigError(unknown(kind, source, folder))
    return read_toml(known.get(source, path), ConfigError)


def unknown(kind: str, source: str, folder: str) -> str:
    """That nothing of the name `source` is shipped in `folder`, and what may be meant."""
    known = shipped(folder)
    near = get_close_matches(source, known, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"no {kind} {source!r}: {meant}give one of {', '.join(known)}, or the path of a .toml file"
