"""What `p2o train --check` remarks on settings that are allowed but hardly meant; of what recipe a run is."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import pytest
import tomli_w

import p2o
from p2o.cli.main import main
from p2o.cli.train import remarks
from p2o.config import load_config, recipe_names
from p2o.track.run_directory import config_values


@pytest.mark.parametrize("recipe", recipe_names())
def test_shipped_recipes_give_no_cause(recipe: str) -> None:
    assert remarks(load_config(recipe), []) == []


def test_what_is_hardly_meant_is_remarked_on() -> None:
    given = ["evolve.budget=30", "guidance.every=2", "run.seed=1", "reflection.max_tokens=9"]
    given += ["assign.rehearsal=1", "context.c_low=0.4", "mining.min_count=3"]
    assert remarks(load_config("quickstart", given), given) == []
    given = [*given, "run.method=grpo"]
    assert remarks(load_config("quickstart", given), given) == [
        "without effect under run.method = 'grpo': evolve.budget, guidance.every, reflection.max_tokens, "
        "assign.rehearsal, context.c_low"
    ]
    high = ["optimizer.learning_rate=10"]
    assert remarks(load_config("quickstart", high), high) == [
        "optimizer.learning_rate = 10 is high for AdamW: rates from 1e-6 to 1e-3 are usual"
    ]
    edge = ["optimizer.learning_rate=0.01"]
    assert remarks(load_config("quickstart", edge), edge) == []


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cuda:1", "GiB of the GPU's memory, and 0.0 GiB are available: "),
        ("cuda:0", "model.device = 'cuda:0' cannot be used: "),  # room enough, but there is none here
        ("auto", "model.device = 'cuda:0' cannot be used: "),
        ("cuda:7", "model.device = 'cuda:7' cannot be used: "),
    ],
)
def test_the_memory_is_that_of_the_gpu_that_is_named(
    device: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second of two is full."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda number: ([2**40, 2**20][number], 2**40))
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda number: Mock(total_memory=2**40))
    monkeypatch.setattr("p2o.memory.host_memory", lambda: 2**40)
    assert main(["train", "--check", f"--set=model.device={device}", "--set=optimizer.layout=padded"]) == 2
    assert message in capsys.readouterr().err


def test_a_run_that_is_resumed_by_its_directory_is_of_no_known_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where `about.json` is lost, the report would tell its settings from those of the recipe of the demo."""
    monkeypatch.chdir(tmp_path)
    run = Path("runs/paper_tiny-p2o-seed0")
    run.mkdir(parents=True)
    (run / "config.toml").write_text(tomli_w.dumps(config_values(load_config("paper_tiny"))))
    train_at = Mock()
    monkeypatch.setattr("p2o.cli.train.train_at", train_at)
    monkeypatch.setattr("p2o.api.train_at", train_at)
    assert main(["train", "--resume", str(run)]) == 0
    assert main(["train", "paper_tiny", "--resume"]) == 0
    assert main(["train"]) == 0
    p2o.train(resume=run)
    p2o.train("paper_tiny", resume=True)
    noted = [(call.args[1], call.args[2]) for call in train_at.call_args_list]
    new = (Path("runs/quickstart-p2o-seed0"), "quickstart")
    assert noted == [(run, None), (run, "paper_tiny"), new, (run, None), (run, "paper_tiny")]
