"""A study file: what it says is checked arm by arm, and its runs are known by what they compute."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from p2o.config import load_config
from p2o.errors import ConfigError
from p2o.study.estimate import describe
from p2o.study.plan import Study, load_study, make_job, study_names
from p2o.study.results import Results
from p2o.track.run_directory import config_values, flatten

MINIMAL: dict[str, Any] = {
    "title": "t",
    "tokens": 1000,
    "seeds": [0, 1],
    "arms": {"a": {"label": "A"}, "b": {"label": "B", "set": {"run": {"method": "grpo"}}}},
}


def write(tmp_path: Path, **changes: Any) -> str:
    path = tmp_path / "s.toml"
    path.write_text(tomli_w.dumps({**MINIMAL, **changes}))
    return str(path)


@pytest.mark.parametrize("name", study_names())
def test_shipped_studies_load(name: str) -> None:
    study = load_study(name)
    for world, arm in study.cells():
        job = make_job(study, world, arm, "final", study.seeds[0], None)
        assert job.config.run.max_generated_tokens == study.tokens
        assert job.config.run.threads == 1, "an arm is one thread, or the clock compares nothing"


def test_there_are_studies() -> None:
    assert {"main", "ablations", "proposals", "smoke"} <= set(study_names())


def test_the_papers_rules_differ_from_ours_in_rules_only() -> None:
    """World, sizes, budgets and learning rate are the same: what is compared are the rules."""
    ours = flatten(config_values(load_config("quickstart")))
    papers = flatten(config_values(load_config("paper_tiny")))
    differing = {key for key in ours.keys() | papers.keys() if ours.get(key) != papers.get(key)}
    assert differing == {
        "context.mode",
        "assign.rule",
        "assign.plain_rollouts",
        "assign.rehearsal",
        "evolve.acceptance",
        "evolve.carry_over",
        "evolve.cover",
        "evolve.feedback_size",
        "guidance.spend",
        "guidance.train_on_evaluations",
        "loss.dual_clip",
        "optimizer.weight_decay",
    }


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown setting of an arm": (
        {"arms": {"a": {"label": "A", "set": {"rollout": {"m": 3}}}}},
        "arms.a: unknown setting rollout.m",
    ),
    "a value of an arm": (
        {"arms": {"a": {"label": "A", "set": {"context": {"c_low": 2.0}}}}},
        "arms.a: setting context.c_low = 2.0:",
    ),
    "a contradiction of an arm": (
        {"arms": {"a": {"label": "A", "set": {"assign": {"plain_rollouts": 6}}}}},
        "arms.a: assign.plain_rollouts is 6",
    ),
    "an unknown recipe": ({"arms": {"a": {"label": "A", "recipe": "no"}}}, "arms.a: no recipe 'no'"),
    "a misspelt field of an arm": (
        {"arms": {"a": {"label": "A", "sets": {}}}},
        "unknown setting arms.a.sets; did you mean arms.a.set?",
    ),
    "an arm without a label": ({"arms": {"a": {}}}, "setting arms.a.label is missing"),
    "two arms of a label": (
        {"arms": {"a": {"label": "A"}, "b": {"label": "A"}}},
        "arms.b.label is that of arms.a: give each its own",
    ),
    "two arms in a cell": (
        {"arms": {name: {"label": name, "cell": ["x", "y"]} for name in "ab"}},
        "arms.b.cell is that of arms.a: give each its own",
    ),
    "no arms": ({"arms": {}}, "setting arms = {}: "),
    "a comparison with no arm": ({"compare": [["a", "c"]]}, "compare names 'c': there is no such arm"),
    "a world that is not there": (
        {"arms": {"a": {"label": "A", "worlds": ["w"]}}},
        "arms.a.worlds names 'w': there is no such world",
    ),
    "a seed twice": ({"seeds": [1, 1]}, "seeds names a seed twice"),
    "a seed in both": (
        {"selection": {"learning_rates": [1e-4], "seeds": [1]}},
        "selection.seeds and seeds share 1",
    ),
    "a setting of the selection": (
        {"selection": {"learning_rates": [1e-4], "seeds": [9], "set": {"data": {"sed": 1}}}},
        "arms.a: unknown setting data.sed",
    ),
    "a world of the selection": (
        {"selection": {"learning_rates": [1e-4], "seeds": [9], "world": "w"}},
        "selection.world names 'w': there is no such world",
    ),
    "a world of the selection's table": (
        {"selection": {"learning_rates": [1e-4], "seeds": [9], "world": {"p2o-tiny": "w"}}},
        "selection.world names 'w': there is no such world",
    ),
    "a chain in the selection's table": (
        {
            "worlds": {"v": {"leak": 0.1}, "w": {"leak": 0.2}},
            "selection": {"learning_rates": [1e-4], "seeds": [9], "world": {"p2o-tiny": "v", "v": "w"}},
        },
        "selection.world sends 'p2o-tiny' to 'v', which it sends on: name the last",
    ),
    "a rate of no arm": (
        {
            "selection": {"learning_rates": [1e-4], "seeds": [9]},
            "arms": {"a": {"label": "A", "rate_of": "b"}, "b": {"label": "B", "select": False}},
        },
        "arms.a.rate_of names 'b': no such arm has a choice of its own",
    ),
    "a rate without a selection": (
        {"arms": {"a": {"label": "A", "rate_of": "b"}, "b": {"label": "B"}}},
        "arms.a.rate_of names 'b': no such arm has a choice of its own",
    ),
    **{
        f"a world called {name}": ({"worlds": {name: {"leak": 0.1}}}, f"worlds.{name}: give it another name")
        for name in ("../up", "/tmp/other", "..", "p2o-tiny")
    },
    "a leak": ({"worlds": {"w": {"leak": 2.0}}}, "setting worlds.w.leak = 2.0: "),
    "tokens": ({"tokens": 0}, "setting tokens = 0: "),
    "settings that are none": ({"set": 3}, "setting set = 3: "),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_mistake_is_one_line_that_names_the_arm_or_the_setting(wrong: str, tmp_path: Path) -> None:
    changes, message = WRONG[wrong]
    with pytest.raises(ConfigError) as caught:
        load_study(write(tmp_path, **changes), ["run.threads=1"])
    assert message in str(caught.value)
    assert "s.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no study 'nothing': give one of ablations, "):
        load_study("nothing")
    with pytest.raises(ConfigError, match="no such file"):
        load_study(str(tmp_path / "no.toml"))
    (tmp_path / "bad.toml").write_text("x = [")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_study(str(tmp_path / "bad.toml"))


def study(**changes: Any) -> Study:
    return Study.model_validate({**MINIMAL, **changes})


def fingerprint(**changes: Any) -> str:
    return make_job(study(**changes), "p2o-tiny", "a", "final", 0, None).fingerprint


def test_a_run_is_known_by_what_it_computes() -> None:
    same = fingerprint()
    assert fingerprint(title="another", compare=[("a", "b")]) == same
    assert fingerprint(set={"checkpoint": {"every": 7}, "track": {"rollouts": 0}}) == same
    changed = [
        fingerprint(tokens=999),
        fingerprint(set={"rollout": {"n": 7}}),
        fingerprint(set={"data": {"seed": 1}}),
        make_job(study(), "p2o-tiny", "a", "final", 1, None).fingerprint,
        make_job(study(), "p2o-tiny", "a", "final", 0, 1e-3).fingerprint,
        make_job(study(), "p2o-tiny", "b", "final", 0, None).fingerprint,
        make_job(study(worlds={"w": {"leak": 0.1}}), "w", "a", "final", 0, None).fingerprint,
        make_job(study(worlds={"w": {"leak": 0.2}}), "w", "a", "final", 0, None).fingerprint,
    ]
    assert len({same, *changed}) == 1 + len(changed)


def test_the_selection_has_its_own_problems_and_the_budget_of_all() -> None:
    chosen = study(selection={"learning_rates": [1e-4], "seeds": [9], "set": {"data": {"seed": 5}}})
    job = make_job(chosen, "p2o-tiny", "a", "selection", 9, 1e-4)
    assert (job.config.data.seed, job.config.run.seed) == (5, 9)
    assert job.config.optimizer.learning_rate == 1e-4
    final = make_job(chosen, "p2o-tiny", "a", "final", 0, 1e-4)
    assert final.config.data.seed == 0
    assert final.config.run.max_generated_tokens == job.config.run.max_generated_tokens == 1000
    assert final.config.run.schedule_epochs == load_config("quickstart").run.epochs


def test_settings_reach_the_arms_as_they_are_written() -> None:
    """Signs outside of Unicode's first plane, which JSON writes as two halves, and what has no form in JSON."""
    given = {"loss": {"clip": [0.2, math.inf]}, "run": {"output": "𝑥\U0001f600\x7f"}}
    config = make_job(study(set=given), "p2o-tiny", "a", "final", 0, None).config
    assert config.loss.clip == (0.2, math.inf)
    assert str(config.run.output) == "𝑥\U0001f600\x7f"


def test_what_differs_is_said_once() -> None:
    """The study's own settings belong to all; seeds and limits are no difference."""
    common = study(set={"rollout": {"n": 7}})
    assert make_job(common, "p2o-tiny", "a", "final", 1, None).differs == {}
    assert make_job(common, "p2o-tiny", "b", "final", 1, None).differs == {"run.method": "grpo"}


def test_the_estimate_is_arithmetic(tmp_path: Path) -> None:
    """Two arms, two seeds, and for each arm two rates on one seed: 8 runs; those of `a` take 30 s, of `b` 90 s."""
    arms = {"a": {"label": "A", "seconds": 30.0}, "b": {"label": "B", "set": {"run": {"method": "grpo"}}}}
    selection = {"learning_rates": [1e-4, 2e-4], "seeds": [9]}
    planned = study(arms=arms, selection=selection, seconds=90.0)
    shown = describe(planned, Results(tmp_path), jobs=2, only=())
    assert "0 runs done, 8 to go" in shown
    assert "about 4:00 min with --jobs 2" in shown
    assert "about 2:00 min with --jobs 1" in describe(planned, Results(tmp_path), jobs=1, only=("a",))
    measured = Results(tmp_path)
    measured.add({"id": "x", "arm": "a", "cpu_s": 60.0, "status": "done", "fingerprint": "old"})
    assert "about 4:00 min with --jobs 1" in describe(planned, measured, jobs=1, only=("a",))


def test_arms_are_run_in_their_worlds_only() -> None:
    worlds = {"w": {"leak": 0.1}}
    arms = {"a": {"label": "A"}, "b": {"label": "B", "worlds": ["w"]}}
    assert list(study(worlds=worlds, arms=arms).cells()) == [("p2o-tiny", "a"), ("w", "a"), ("w", "b")]
    alone = study(worlds=worlds, include_shipped=False)
    assert list(alone.cells()) == [("w", "a"), ("w", "b")]


def test_settings_and_budget_of_the_command_line_are_every_arms(tmp_path: Path) -> None:
    changed = load_study(write(tmp_path), ["rollout.n=9", "data.seed=4"], {"tokens": 77})
    job = make_job(changed, "p2o-tiny", "a", "final", 0, None)
    assert (job.config.rollout.n, job.config.data.seed, job.config.run.max_generated_tokens) == (9, 4, 77)
    with pytest.raises(ConfigError, match=r"rollout\.nn"):
        load_study(write(tmp_path), ["rollout.nn=9"])


def test_problems_by_seed_give_each_final_run_its_own() -> None:
    """So the intervals over seeds tell of the problems too; the choice of rates keeps its own."""
    selection = {"learning_rates": [1e-4], "seeds": [9], "set": {"data": {"seed": 1}}}
    planned = study(problems_by_seed=True, selection=selection)
    finals = [make_job(planned, "p2o-tiny", "a", "final", seed, None).config for seed in (0, 1)]
    assert [config.data.seed for config in finals] == [0, 1]
    chosen = make_job(planned, "p2o-tiny", "a", "selection", 9, 1e-4).config
    assert (chosen.data.seed, chosen.run.seed) == (1, 9)


def test_rates_may_be_chosen_in_another_world_for_some() -> None:
    """Each world's choice is made where the table says; an arm need not be reported in that world."""
    worlds = {"v": {"leak": 0.1}, "w": {"leak": 0.2}}
    selection = {"learning_rates": [1e-4], "seeds": [9], "world": {"p2o-tiny": "v"}}
    arms = {"a": {"label": "A"}, "b": {"label": "B", "worlds": ["p2o-tiny"]}}
    planned = study(worlds=worlds, selection=selection, arms=arms)
    assert planned.selection_cell("p2o-tiny", "a") == ("v", "a")
    assert planned.selection_cells() == [("v", "a"), ("v", "b"), ("w", "a")]
