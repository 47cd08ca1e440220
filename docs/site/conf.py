"""The site: all pages of the repository as they stand, and the reference of the public names.

Sphinx, because it is maintained and reads the pages where they are: their links hold on GitHub and on the site.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from p2o import __version__

project = "p2o"
author = copyright = "The p2o authors"
release = version = __version__
html_title = f"p2o {release}"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
root_doc = "README"
include_patterns = [
    *("*.md", "docs/*.md", "docs/study/*.md", "docs/study/*/tables.md", "docs/site/api.rst"),
    *("benches/*.md", "benches/gpu/README.md", "examples/README.md", "rust/p2o-core/README.md"),
]
myst_heading_anchors = 4
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_maximum_signature_line_length = 88
napoleon_numpy_docstring = False
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_copy_source = False
html_show_search_summary = False  # it is read from a server, and the site works without one
html_theme_options = {
    "source_repository": "https://github.com/p2o-rl/p2o/",
    "source_branch": "main",
    "source_directory": "",
}

CONTENTS = """
```{toctree}
:hidden:
:caption: Training
docs/running
docs/data
docs/guidance
docs/choose
docs/probe
docs/evaluation
docs/trl
docs/distributed
docs/engines
docs/models
docs/tiny-world
docs/smollm2
examples/README
```
```{toctree}
:hidden:
:caption: Parts
docs/verifier
docs/equal-answers
docs/evolve
docs/acceptance
docs/pack
rust/p2o-core/README
docs/site/api
```
```{toctree}
:hidden:
:caption: Figures
docs/study
docs/study/main/tables
docs/study/ablations/tables
docs/study/proposals/tables
docs/study/rivals/tables
docs/study/pairs/tables
docs/study/smollm2/tables
docs/study/real/tables
docs/study/tried
docs/real-map
benches/verify_speed
benches/verify_differential
benches/evolve
benches/evolve_noise
benches/evolve_rounds
benches/pack
benches/train
benches/layouts
benches/queue
benches/refill
benches/bookkeeping
benches/gpu/README
```
```{toctree}
:hidden:
:caption: Project
CONTRIBUTING
CHANGELOG
SECURITY
```
"""
"""The navigation, which the README has only here."""


def add_contents(app: Sphinx, page: str, source: list[str]) -> None:
    """Puts the navigation behind the README."""
    if page == root_doc:
        source[0] += CONTENTS


def as_restructured_text(
    app: Sphinx, what: str, name: str, found: Any, options: Any, lines: list[str]
) -> None:
    """Code in docstrings is Markdown's: names become links to what has them, the rest is taken as it stands."""

    def code(match: re.Match[str]) -> str:
        text = match[1]
        is_name = re.fullmatch(r"[A-Za-z_][\w.]*", text)
        return (f":py:obj:`{text}`" if is_name else f"``{text}``") + ("\\ " if match[2] else "")

    text = re.sub(r"\[(`[^`]+`)\]\[\]", r"\1", "\n".join(lines))
    lines[:] = re.sub(r"(?<!`)`([^`]+)`(?!`)(?=(\w)?)", code, text).split("\n")


def add_index(app: Sphinx, error: Exception | None) -> None:
    """The page that a folder's address opens."""
    if error is None and app.builder.name == "html":
        page = (
            '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url=README.html">\n'
        )
        (Path(app.outdir) / "index.html").write_text(page, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", add_contents)
    app.connect("autodoc-process-docstring", as_restructured_text, priority=400)  # before napoleon
    app.connect("build-finished", add_index)
