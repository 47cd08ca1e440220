"""The source of a module of one's own and of what it imports: a run that is resumed must find the same."""

from __future__ import annotations

import ast
import hashlib
import sysconfig
from collections.abc import Iterator
from importlib.util import find_spec, resolve_name
from pathlib import Path

_LIBRARY = tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib"))

_INSTALLED = frozenset({"site-packages", "dist-packages"})
"""Folders of packages, those outside this environment too: the system's below a virtual one, the user's own."""


def code_of(*modules: str) -> str | None:
    """A hash of the files of `modules` and, all the way, of those that they import, wherever in the file.

    Left out are p2o and installed packages other than those of `modules`. None if nothing is left. No module is
    imported for it.
    """
    packages = {module.partition(".")[0] for module in modules}
    found: dict[str, bytes] = {}
    seen: set[str] = set()
    todo = list(modules)
    while todo:
        name = todo.pop()
        top = name.partition(".")[0]
        if name in seen or top == "p2o":
            continue
        seen.add(name)
        file = _file_of(name)
        if file is None or (top not in packages and _is_installed(file)):
            continue
        found[name] = file.read_bytes()
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        todo += _imports(found[name], package)
        todo += [name.rpartition(".")[0]] if "." in name else []
    if not found:
        return None
    digest = hashlib.sha256()
    for name in sorted(found):
        digest.update(f"{name}\x1f{len(found[name])}\x1f".encode() + found[name])
    return digest.hexdigest()[:16]


def _is_installed(file: Path) -> bool:
    return any(map(file.is_relative_to, _LIBRARY)) or not _INSTALLED.isdisjoint(file.parts)


def _file_of(name: str) -> Path | None:
    """The file of a module, found without importing it or the package that it is in."""
    top, *rest = name.split(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):  # of a module that was not imported from a file
        return None
    if spec is None:
        return None
    if rest:
        roots = [Path(root, *rest) for root in spec.submodule_search_locations or ()]
        files = [file for root in roots for file in (root.with_name(f"{root.name}.py"), root / "__init__.py")]
    else:
        files = [Path(spec.origin)] if spec.has_location and spec.origin else []
    return next((file for file in files if file.is_file()), None)


def _imports(source: bytes, package: str) -> Iterator[str]:
    """What may be a module among the names that a file imports, those within functions too."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # a compiled module, or one that cannot be imported either
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            try:
                origin = resolve_name("." * node.level + (node.module or ""), package)
            except ImportError:  # above the top
                continue
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names)
