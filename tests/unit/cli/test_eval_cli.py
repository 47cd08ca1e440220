"""Which model and which settings `p2o eval` takes."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest
import tomli_w

from p2o.cli.eval import add_arguments, model_of, settings_of
from p2o.cli.main import main
from p2o.config import Config, load_config
from p2o.errors import ConfigError, RunDirectoryError
from p2o.track.about import note_end, note_launch
from p2o.track.run_directory import config_values


def make_run(path: Path, *files: str) -> Path:
    for name in ("config.toml", *files):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text("{}")
    return path


CHECKPOINT = "checkpoints/epoch-000001-step-00000000"


def test_the_export_goes_first_then_the_newest_checkpoint(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", f"{CHECKPOINT}/state.json", f"{CHECKPOINT}/model/config.json")
    assert model_of(str(run)) == str(run / CHECKPOINT / "model")
    make_run(run, "model/config.json")
    assert model_of(str(run)) == str(run / "model")
    assert model_of("owner/name") == "owner/name"
    assert model_of(str(run / "model")) == str(run / "model")


def test_a_run_that_goes_on_is_evaluated_with_its_newest_checkpoint(tmp_path: Path) -> None:
    """Its export is the model that it had when it first ended."""
    run = make_run(tmp_path / "run", f"{CHECKPOINT}/state.json", f"{CHECKPOINT}/model/config.json")
    make_run(run, "model/config.json")
    note_launch(run, load_config("quickstart"), "quickstart", step=9, device="CPU", processes=1)
    assert model_of(str(run)) == str(run / CHECKPOINT / "model")
    note_end(run)
    assert model_of(str(run)) == str(run / "model")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([f"{CHECKPOINT}/state.json"], r"holds no model yet: .*LoRA.*DeepSpeed.*--resume"),
        ([], "holds no checkpoint yet"),
        (["metrics.jsonl"], "holds no checkpoint yet"),
    ],
)
def test_a_run_without_a_whole_model_says_why(tmp_path: Path, files: list[str], message: str) -> None:
    with pytest.raises(RunDirectoryError, match=message):
        model_of(str(make_run(tmp_path / "run", *files)))


def settings(*arguments: str) -> tuple[Config, list[str]]:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return settings_of(parser.parse_args(arguments))


def test_a_run_is_evaluated_by_its_own_settings_and_with_its_newest_model(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "model/config.json")
    began = load_config("quickstart", ["rollout.max_tokens=31", "run.seed=5"])
    (run / "config.toml").write_text(tomli_w.dumps(config_values(began)))
    config, benchmarks = settings(str(run), "--set", "run.seed=6")
    assert (config.rollout.max_tokens, config.run.seed, benchmarks) == (31, 6, [])
    assert config.model.source == str(run / "model")
    other, _ = settings(str(run), "--model", "owner/name")
    assert other.model.source == "owner/name"


def test_the_preset_goes_over_the_recipe_and_arguments_over_the_preset() -> None:
    config, benchmarks = settings("smollm2", "--preset", "paper", "--set", "evaluation.temperature=0.7")
    assert benchmarks == ["aime24", "aime25", "amc23", "math500", "minerva", "olympiadbench"]
    assert (config.evaluation.samples, config.evaluation.temperature) == (16, 0.7)
    assert (config.rollout.max_tokens, config.rollout.max_prompt_tokens) == (12288, 4096)
    assert config.model == load_config("smollm2").model
    few, named = settings("smollm2", "--preset", "paper", "--samples", "2", "--on", "amc23")
    assert (few.evaluation.samples, named) == (2, ["amc23"])


@pytest.mark.parametrize("recipe", ["paper", "p2o", "quickstart"])
def test_the_papers_preset_is_the_papers_recipe(recipe: str) -> None:
    """Prompt, lengths and rewards are those of the recipe `paper`, whatever recipe it goes over."""
    paper, (config, _) = load_config("paper"), settings(recipe, "--preset", "paper")
    assert config.data.model_dump(include={"suffix", "system"}) == paper.data.model_dump(
        include={"suffix", "system"}
    )
    assert config.reward.verifier_options() == paper.reward.verifier_options()
    assert config.evaluation.temperature == paper.evaluation.temperature == paper.rollout.temperature
    for name in ("max_prompt_tokens", "max_tokens"):
        assert getattr(config.rollout, name) == getattr(paper.rollout, name)


def test_equal_completions_are_not_drawn_again() -> None:
    with pytest.raises(ConfigError, match=r"^evaluation.temperature = 0 draws the same completion 4 times"):
        settings("quickstart", "--samples", "4")


@pytest.mark.parametrize("benchmarks", ['"math500"', '["math500", 5]'])
def test_benchmarks_of_a_preset_are_a_list_of_names(benchmarks: str, tmp_path: Path) -> None:
    preset = tmp_path / "own.toml"
    preset.write_text(f"benchmarks = {benchmarks}\n")
    found = re.escape(f"own.toml: benchmarks = {benchmarks} is no list of names").replace('"', "'")
    with pytest.raises(ConfigError, match=found):
        settings("quickstart", "--preset", str(preset))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["quickstart", "model"], "p2o eval takes one recipe or run, not model as well"),
        (["compare", "one"], "p2o eval compare takes the folders of two evaluations, got 1"),
        (["quickstart", "--output", __file__], "is a file: give another --output"),
        (["quickstart", "--preset", "papers"], "no preset 'papers': did you mean paper? give one of paper"),
        (
            ["quickstart", "--on", "amc"],
            "--on amc: no benchmark and no file of that name; did you mean amc23?",
        ),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
