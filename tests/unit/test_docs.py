"""What the documentation shows works: every fenced block, command, setting, link and anchor of every page."""

from __future__ import annotations

import argparse
import ast
import contextlib
import doctest
import io
import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Sequence
from functools import cache, partial
from importlib.util import find_spec
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import pytest
from docs_pages import PAGES, ROOT, Block, anchors, blocks, code, commands, links
from pydantic import BaseModel

import p2o
from p2o.cli.data import data_settings
from p2o.cli.main import COMMANDS, main, make_parser
from p2o.config import Config, load_config, recipe_names
from p2o.former_settings import advice
from p2o.model.fetch import MODELS
from p2o.study.plan import load_study

RUN_ELSEWHERE = {
    "docs/trl.md: from p2o.trl import Guide": "tests/integration/test_trl_guide.py",
    "docs/verifier.md: from trl import GRPOTrainer": "tests/unit/test_trl_rewards.py",
}
"""Page and first line of the Python blocks that need TRL -> the test that takes them from there and trains by them."""

RUN = [
    "p2o-train smollm2 --check --set data.train=problems.jsonl",
    "p2o-train smollm2 --set data.train=problems.jsonl",
    "p2o eval runs/smollm2-p2o-seed0 --on other.jsonl",
    "p2o push runs/smollm2-p2o-seed0 OWNER/NAME --dry-run card",
    "p2o study main --dry-run",
]
"""Commands that are run as a reader would, one after the other, with a small model in the place of SmolLM2."""

PARSED = {
    "make": "each target is a CI job, or takes minutes",
    "pip install": "make test-wheel does it",
    "python benches/": "minutes or a GPU: test_real_map.py and test_gpu_lane.py run parts",
    "python -m verl": "needs verl: make test-verl",
    "benches/gpu/": "installs on a GPU machine: test_gpu_bundle.py",
    "export": "goes with the line before",
    "torchrun": "several processes: test_two_processes.py and test_nodes.py",
    "deepspeed": "several processes: test_distributed_policy.py",
    "p2o serve": "needs vLLM: tests/engines/test_server_vllm.py",
    "p2o eval": "test_evaluations.py",
    "p2o evolve": "an API, or minutes: test_cli.py and test_evolve_recipe.py",
    "p2o probe": "minutes: tests/unit/probe",
    "p2o data": "needs the data sets of the page: test_data_survey.py",
    "p2o study": "hours: test_study.py",
    "p2o-train": "minutes: test_train.py",
}
"""Beginnings of the others, which are parsed with their settings -> why they do not run here, and what runs alike."""

GIVEN = {
    "README.md": """
completions, golds, lengths = [r"\\boxed{2}", "none"], ["2", "3"], [900, 300, 650]
exec(evolve_page)
""",
    "docs/running.md": "small_smollm2()",
    "docs/verifier.md": r'completions, golds = [r"\boxed{2}", "none"], ["2", "3"]',
}
"""Page -> what its examples take as given. `evolve_page` is the example of docs/evolve.md."""

RESULTS = {"README.md": 1, "docs/evolve.md": 4, "docs/verifier.md": 6}
"""Page -> how many results its comments state."""

LANGUAGES = {
    "python": "runs here",
    "pycon": "runs here",
    "toml": "loaded here",
    "sh": "parsed here",
    "json": "parsed here",
    "rust": "cargo test runs it",
    "": "a transcript: its commands are parsed here, its output is of a real run",
}

STAND_IN = {"mine.toml": 'extends = "quickstart"\n'}
"""Files that commands name and a reader has."""

BLOCKS = [block for page in PAGES for block in blocks(page)]


def of_language(*languages: str) -> list[Any]:
    return [pytest.param(block, id=block.name) for block in BLOCKS if block.language in languages]


SMALL = {
    "reflection.prompt": "tiny",
    "reflection.max_tokens": 16,
    "rollout.max_tokens": 16,
    "evolve.budget": 20,
    "evolve.dev_size": 2,
    "data.train_size": 12,
    "data.evaluation_size": 4,
    "run.epochs": 1,
}


def small_smollm2(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model `smollm2` is the shipped one, and `p2o.train` trains in the smallest size."""
    from p2o.tiny import MODEL_PATH

    cache = Path("cache")
    cache.mkdir()
    (cache / MODELS["smollm2"].folder).symlink_to(MODEL_PATH)
    monkeypatch.setenv("P2O_CACHE", str(cache))
    train = p2o.train

    def train_small(*arguments: Any, overrides: dict[str, Any], **others: Any) -> p2o.Result:
        return train(*arguments, overrides={**overrides, **SMALL}, **others)

    monkeypatch.setattr(p2o, "train", train_small)


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in STAND_IN.items():
        (tmp_path / name).write_text(text)


def test_the_pages_are_found() -> None:
    assert {"README.md", "CONTRIBUTING.md", "docs/study.md", "rust/p2o-core/README.md"} <= set(PAGES)
    assert len(BLOCKS) > 40
    assert {block.language for block in BLOCKS} == LANGUAGES.keys()
    first_lines = {f"{block.page}: {block.text}" for block in BLOCKS}
    for key, test in RUN_ELSEWHERE.items():
        assert any(line.startswith(key) for line in first_lines), f"{key}: there is no such block any more"
        assert Path(key.partition(":")[0]).name in (ROOT / test).read_text(), (
            f"{test} runs no block of this page"
        )


@pytest.mark.parametrize("page", sorted({block.page for block in BLOCKS if block.language == "python"}))
def test_python_runs_and_gives_what_its_comments_say(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a page share their names; what they print is the block that follows."""
    evolve_page = next(block.text for block in blocks("docs/evolve.md") if block.language == "python")
    namespace: dict[str, Any] = {
        "evolve_page": evolve_page.replace("print(evolution)", ""),
        "small_smollm2": partial(small_smollm2, monkeypatch),
    }
    exec(GIVEN.get(page, ""), namespace)
    checked = 0
    for block, following in pairwise([*blocks(page), Block(page, 0, "end", "")]):
        if block.language != "python":
            continue
        if any(f"{page}: {block.text}".startswith(key) for key in RUN_ELSEWHERE):
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            checked += run(block, namespace)
        shown = following.text if following.language == "" else None
        assert shown is None or not printed.getvalue() or shown == printed.getvalue(), (
            f"{block.name} prints this"
        )
    assert checked == RESULTS.get(page, 0)


def run(block: Block, namespace: dict[str, Any]) -> int:
    """Runs a block statement by statement; returns how many results its comments state."""
    lines = block.text.splitlines()
    checked = 0
    for statement in ast.parse(block.text, block.name).body:
        if not isinstance(statement, ast.Expr):
            exec(compile(ast.Module([statement], []), block.name, "exec"), namespace)
            continue
        value = eval(compile(ast.Expression(statement.value), block.name, "eval"), namespace)
        try:
            stated = ast.literal_eval(lines[statement.lineno - 1].rpartition("  # ")[2].partition(": ")[0])
        except (ValueError, SyntaxError):  # no result, but an explanation
            continue
        assert getattr(value, "tolist", lambda found=value: found)() == stated, f"{block.name}: {stated}"
        checked += 1
    return checked


@pytest.mark.parametrize("page", sorted({block.page for block in BLOCKS if block.language == "pycon"}))
def test_python_sessions_print_what_they_show(page: str) -> None:
    found = doctest.testfile(str(ROOT / page), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert found.attempted >= 12
    assert found.failed == 0


@pytest.mark.parametrize("block", of_language("toml"))
def test_settings_can_be_loaded(block: Block) -> None:
    """A recipe, the part of one, or a study."""
    values = tomllib.loads(block.text)
    path = Path("block.toml")
    extends = "" if {"recipe", "extends"} & values.keys() else 'extends = "quickstart"\n'
    path.write_text(extends + block.text)
    (load_study if "recipe" in values else load_config)(str(path))


@pytest.mark.parametrize("block", of_language("json"))
def test_json_is_json(block: Block) -> None:
    for line in block.text.splitlines():
        json.loads(line)


@pytest.mark.parametrize("block", of_language("sh", ""))
def test_commands_are_commands(block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    """A transcript that ends in an error is run: the settings are wrong, so nothing is trained."""
    errors = [line for line in block.text.splitlines() if line.startswith("error: ")]
    synopses: dict[str, list[list[str]]] = {}
    for words in commands(block):
        if errors:
            assert main(["train", *words[1:]]) == 2
            assert capsys.readouterr().err == errors.pop(0) + "\n"
        elif any("[" in word for word in words) and words[0] in ("p2o", "p2o-train"):
            synopses.setdefault("train" if words[0] == "p2o-train" else words[1], []).append(words)
        else:
            check_command(words)
    for command, lines in synopses.items():
        shown = set(re.findall(r"--[\w-]+", " ".join(chain(*lines))))
        assert shown == command_options(command), "a synopsis names every option"


def test_commands_do_what_a_reader_expects(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of `RUN`, on problems as the pages have them; the others are known to be run elsewhere."""
    small_smollm2(monkeypatch)
    for name, start in (("problems", 2), ("other", 30)):
        lines = [json.dumps({"problem": f"{n}+7=?", "answer": str(n + 7)}) for n in range(start, start + 20)]
        Path(f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    shown = [" ".join(words) for block in BLOCKS if block.language in ("sh", "") for words in commands(block)]
    for command in RUN:
        assert command in shown, f"no page shows {command}"
        name, *arguments = command.split()
        if name == "p2o-train":
            arguments = [
                "train",
                *arguments,
                *chain(*(("--set", f"{key}={value}") for key, value in SMALL.items())),
            ]
        assert main(arguments) == 0, capsys.readouterr().err
    assert Path("card", "README.md").is_file()
    for command in shown:
        assert command in RUN or command.startswith(tuple(PARSED)), f"is {command} run anywhere?"
    tests = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    for begin, why in PARSED.items():
        assert tests.issuperset(re.findall(r"\w+\.py", why)), why
        assert any(command.startswith(begin) for command in shown), f"no page shows {begin} any more"


def check_command(words: Sequence[str]) -> None:
    """A command of a page: ours by its own parser and settings, others by the files and targets that they name."""
    match list(words):
        case ["make", target, *_]:
            assert target in make_targets()
        case ["p2o-train", *arguments]:
            check_ours(["train", *arguments])
        case ["p2o", *arguments]:
            check_ours(arguments)
        case ["torchrun" | "deepspeed", *rest]:
            check_ours(rest[rest.index("p2o") + 1 :])
        case ["python", "-m", module, *_]:
            assert not module.startswith("p2o") or find_spec(module)
        case ["python", script, *arguments]:
            text = (ROOT / script).read_text(encoding="utf-8")
            for option in options(arguments):
                assert f'"{option}"' in text
        case ["pip", "install", what]:
            check_extras(what)
        case ["export", _]:
            pass
        case [script, *_]:
            assert (ROOT / script).is_file()


def check_ours(arguments: list[str]) -> None:
    """A command line of `p2o`: arguments, recipe and settings."""
    args = make_parser(arguments).parse_args(arguments)
    match args.command:
        case "train" | "probe":
            load_config(args.recipe or "quickstart", args.overrides)
        case "eval":
            if args.recipe in recipe_names():
                load_config(args.recipe, args.overrides)
        case "evolve":
            if not args.source.endswith(".jsonl"):
                load_config(args.source, args.overrides)
        case "study":
            load_study(args.study, args.overrides)
        case "data":
            data_settings(args.file, args.overrides)


@pytest.mark.parametrize("page", PAGES)
def test_code_in_the_text_names_what_there_is(page: str) -> None:
    """Commands, their options, targets of make, settings and extras."""
    known = setting_names(Config)
    for text in code(page):
        words = text.split()
        match words:
            case ["make", target, *_] if re.fullmatch(r"[a-z-]+", target):
                assert target in make_targets(), text
            case ["p2o-train", *arguments] | ["p2o", _, *arguments]:
                command = "train" if words[0] == "p2o-train" else words[1]
                assert command in COMMANDS, text
                assert set(options(arguments)) <= command_options(command), text
            case [option, *_] if option.startswith("--") and not page.startswith("benches/"):
                assert set(options(words)) <= set().union(*map(command_options, COMMANDS)), text
        name = re.match(r"([a-z_]+)\.[a-z_.]+(?= = |$)", text)
        if name and name[1] in Config.model_fields and Path(name[0]).suffix not in (".py", ".toml", ".html"):
            assert name[0] in known or (page == "CHANGELOG.md" and advice(name[0])), text
        check_extras(text)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for link in links(page):
        if re.match(r"https?:", link):
            continue
        path, _, anchor = link.partition("#")
        target = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if anchor:
            assert anchor in anchors(str(target.relative_to(ROOT))), link


def test_pages_link_to_files_that_git_has(tmp_path: Path) -> None:
    """A file that is made, and ignored, would be there for its maker only."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("no git, or no clone")
    listed = subprocess.run([git, "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=True)
    files = set(listed.stdout.splitlines())
    for page in PAGES:
        for link in links(page):
            path = link.partition("#")[0]
            if path and not re.match(r"https?:", link):
                target = ((ROOT / page).parent / path).resolve()
                assert target.is_dir() or str(target.relative_to(ROOT)) in files, f"{page}: {link}"


def test_the_site_s_contents_name_every_page() -> None:
    """`make docs`, which refuses a page that none leads to, runs elsewhere."""
    contents = re.findall(r"^[\w/-]+$", (ROOT / "docs/site/conf.py").read_text(), re.M)
    pages = {page for pattern in ("*.md", "docs/*.md", "benches/*.md") for page in ROOT.glob(pattern)}
    names = {str(page.relative_to(ROOT).with_suffix("")) for page in pages}
    assert names - set(contents) == {"README"}, "add it to CONTENTS"
    assert all((ROOT / f"{name}.md").exists() for name in contents if name != "docs/site/api")


def options(arguments: Sequence[str]) -> list[str]:
    return re.findall(r"--[a-z][\w-]*", " ".join(arguments).partition("--vllm")[0])


@cache
def command_options(command: str) -> set[str]:
    """The options of a subcommand that its help shows, but for `--help`."""
    parser = make_parser([command])
    (subparsers,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    actions = subparsers.choices[command]._actions
    shown = {
        option for action in actions if action.help != argparse.SUPPRESS for option in action.option_strings
    }
    return {option for option in shown if option.startswith("--")} - {"--help"}


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+):.*##", (ROOT / "Makefile").read_text(), re.M))


def check_extras(text: str) -> None:
    """The extras of `p2o-rl[...]` in a text are those of the package."""
    for extras in re.findall(r"(?:p2o-rl|\.whl\))\[([\w,]+)\]", text):
        known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        assert set(extras.split(",")) <= known.keys(), text


@cache
def setting_names(settings: Any, prefix: str = "") -> set[str]:
    """The dotted names of settings and sections of a class of settings, of every kind of data."""
    found = set()
    for name, field in settings.model_fields.items():
        found.add(prefix + name)
        for part in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(part, type) and issubclass(part, BaseModel):
                found |= setting_names(part, f"{prefix}{name}.")
    return found
