"""Files of templates, and what a run makes of `evolve.templates`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from evolve_world import World, by_race, make_problems
from test_prompt_step import PROBLEMS, evolved, step_of

from p2o.assembly import assemble, check_surroundings, open_directory
from p2o.cli.main import main
from p2o.config import load_config
from p2o.distributed import ONE_PROCESS
from p2o.errors import ConfigError, ReflectionError, RunDirectoryError
from p2o.evolution import ReflectionConfig, evolve
from p2o.evolution.types import nobody
from p2o.template_files import read_templates, shipped_sets
from p2o.templates import make_template

SMALL = ["data.train_size=24", "data.evaluation_size=6"]


def texts(source: str | Path) -> list[str]:
    return [template.text for template in read_templates(str(source), "evolve.templates")]


def test_blocks_may_hold_blank_lines_and_hyphens(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("\ufeff---\nOne.\n\nStill one - yes -- one.\n- a list\n---\n\n----- \n  Two.\n---\n")
    assert texts(file) == ["One.\n\nStill one - yes -- one.\n- a list", "Two."]


def test_windows_line_ends(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_bytes(b"One.\r\n---\r\nTwo.\r\n")
    assert texts(file) == ["One.", "Two."]


def test_jsonl_holds_objects_or_texts_and_equal_ones_are_merged(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text('{"template": "One.", "source": "me"}\n\n"Two\\n---\\nlines"\n"One. "\n')
    assert texts(file) == ["One.", "Two\n---\nlines"]
    file.rename(tmp_path / "MINE.JSONL")
    assert texts(tmp_path / "MINE.JSONL") == ["One.", "Two\n---\nlines"]


def test_json_holds_a_list(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text('[{"template": "One."},\n "Two."]\n')
    assert texts(file) == ["One.", "Two."]


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("mine.txt", None, "mine.txt': no such file; give a file, or a shipped set (general, tiny)"),
        ("mine.jsonl", None, "mine.jsonl: no such file"),
        ("mine.txt", b"\n---\n  \n", "holds no template: write one a block, and a line --- between blocks"),
        ("mine.txt", b"caf\xe9", "cannot be read (it is not UTF-8 text)"),
        ("mine.jsonl", b"", "holds no template"),
        ("mine.jsonl", b'"One."\n{"text": "Two."}\n', 'line 2: no template; write {"template": "..."}'),
        ("mine.jsonl", b'"One."\n" "\n', "line 2: an empty template is the plain prompt"),
        ("mine.json", b'["One.", ["Two."]]\n', "item 2: no template"),
        ("mine.jsonl", b"One.\n", "line 1: not valid JSON"),
    ],
)
def test_mistakes_are_one_line_that_names_setting_file_and_line(
    tmp_path: Path, capsys: Any, name: str, content: bytes | None, part: str
) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    assert main(["train", "--check", "--set", f"evolve.templates={file}"]) == 2
    shown = capsys.readouterr().err.splitlines()[-1]
    assert shown.startswith("error: evolve.templates")
    assert part in shown


def test_the_shipped_sets_are_dozens_of_different_templates() -> None:
    assert shipped_sets() == ["general", "tiny"]
    for name in shipped_sets():
        assert len(texts(name)) == 12
        assert max(map(len, texts(name))) < 300


def test_one_that_never_fits_is_refused_before_the_run(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("Add the columns.\n---\n" + "Add. " * 60)
    config = load_config("quickstart", [*SMALL, f"evolve.templates={file}"])
    with pytest.raises(ConfigError, match=r"the template that begins 'Add. Add. .* makes 3[0-9][0-9] tokens"):
        assemble(config)
    roomy = load_config("quickstart", [*SMALL, f"evolve.templates={file}", "rollout.max_prompt_tokens=400"])
    assert len(assemble(roomy).templates) == 2
    grpo = load_config("quickstart", [*SMALL, f"evolve.templates={file}", "run.method=grpo"])
    assert assemble(grpo).templates == ()


def test_a_changed_file_is_refused_on_resume(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("Add the columns.")
    config = load_config("quickstart", [*SMALL, f"evolve.templates={file}"])
    open_directory(config, tmp_path / "run", assemble(config), resume=False, processes=ONE_PROCESS)
    open_directory(config, tmp_path / "run", assemble(config), resume=True, processes=ONE_PROCESS)
    file.write_text("Add the columns from the right.")
    with pytest.raises(RunDirectoryError, match=r"evolve\.templates has changed since the run began"):
        open_directory(config, tmp_path / "run", assemble(config), resume=True, processes=ONE_PROCESS)


@pytest.mark.parametrize(
    ("overrides", "part"),
    [
        (["reflection.kind=none"], 'reflection.kind is "none", .*: set evolve.templates'),
        (
            ["evolve.templates=tiny", "evolve.search=random"],
            'evolve.search = "random" takes all of .* not both',
        ),
    ],
)
def test_contradictions(overrides: list[str], part: str) -> None:
    with pytest.raises(ConfigError, match=part):
        check_surroundings(load_config("quickstart", overrides))
    if overrides == ["reflection.kind=none"]:
        check_surroundings(load_config("quickstart", [*overrides, "run.method=grpo"]))


GOOD, IDLE = make_template("Think of circles and graphs."), make_template("Think of nothing.")


def given(step: Any, epoch: int, previous: Any = None) -> list[str]:
    step.collector.policy.rollouts.clear()  # another epoch's policy may be asked the same again
    evolution = evolved(step, epoch=epoch, previous=previous).evolution
    return [c.template.text for c in evolution.candidates if c.made_by == "given"]


def test_they_enter_the_first_step_that_takes_place_and_no_later_one(tmp_path: Path) -> None:
    step, _ = step_of(tmp_path, evolve={"carry_over": False})
    step.given = [GOOD, IDLE]
    skipped = evolved(step, dict.fromkeys([p.id for p in PROBLEMS[:5]], "very_hard"), epoch=1)
    assert skipped.evolution is None
    assert given(step, 2) == [GOOD.text, IDLE.text]
    assert given(step, 3) == []
    again, _ = step_of(tmp_path, evolve={"carry_over": False})
    again.given = [GOOD, IDLE]
    assert given(again, 2) == [GOOD.text, IDLE.text], "the step taken up again is still the first"


def test_without_a_reflection_model_they_are_judged_in_each_step_and_nothing_else_happens(
    tmp_path: Path,
) -> None:
    world = World()
    step, _ = step_of(
        tmp_path, world, reflect=nobody, reflection={"kind": "none"}, evolve={"templates": "mine.txt"}
    )
    step.given = [GOOD, IDLE]
    outcome = evolved(step, epoch=1)
    assert outcome.evolution.chosen == (GOOD,)
    assert outcome.reason == "1 templates of 2 given"
    assert (outcome.evolution.rounds, world.calls) == (0, [])
    assert given(step, 2, outcome.evolution) == [GOOD.text, IDLE.text]


def test_without_a_reflection_model_random_search_takes_all_of_them_unseen() -> None:
    world = World()
    evolution = evolve(
        make_problems(60),
        world.evaluate,
        nobody,
        by_race(search="random", budget=300, parents=1),
        reflection=ReflectionConfig(kind="none"),
        templates=[IDLE, GOOD, IDLE],
    )
    assert (evolution.stop_reason, evolution.chosen) == ("complete", (IDLE, GOOD))
    assert (evolution.ledger.rollouts, len(world.rollouts)) == (0, 0)


def test_the_function_reads_the_setting(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text(GOOD.text)
    evolution = evolve(
        make_problems(60),
        World().evaluate,
        nobody,
        by_race(templates=str(file), budget=300),
        reflection=ReflectionConfig(kind="none"),
        templates=[IDLE],
    )
    assert [c.template.text for c in evolution.candidates] == ["", GOOD.text, IDLE.text]
    assert (evolution.stop_reason, evolution.chosen) == ("complete", (GOOD,))
    with pytest.raises(ReflectionError):
        nobody([])
