"""`p2o push`: the model card of a run, and what reaches the hub."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any
from unittest import mock
from unittest.mock import Mock

import pytest
import tomli_w
from huggingface_hub import ModelCard, ModelInfo

from p2o import __version__
from p2o.cli.main import main
from p2o.config import build_config, load_config
from p2o.files import append_jsonl, json_line, read_jsonl
from p2o.report.model_card import PICTURE, make_card
from p2o.track.about import note_end, note_launch
from p2o.track.run_directory import config_values

TOKEN = "hf_secret_of_this_test"
FIRST = {
    "step": 0,
    "num_tokens": 0,
    "evaluation/accuracy": 0.025,
    "evaluation/low": 0.0083,
    "evaluation/high": 0.05,
    "evaluation/problems": 240,
    "evaluation/accuracy/a|<b>": 0.1,
}
LAST = {
    **FIRST,
    "step": 96,
    "num_tokens": 318_701,
    "evaluation/accuracy": 0.9,
    "evaluation/low": 0.858,
    "evaluation/high": 0.938,
    "evaluation/accuracy/a|<b>": 1.0,
    "evaluation/low/a|<b>": 0.955,
    "evaluation/high/a|<b>": 1.0,
}
TEMPLATES = [
    {"text": "Use ```code```\x1b[31m <b>", "chosen": True},
    {"text": "refused", "chosen": False},
    {"text": "", "chosen": True},
    {"text": "Use ```code```\x1b[31m <b>", "chosen": True},
]


def a_run(folder: Path, *overrides: str, metrics: tuple[dict[str, Any], ...] = (FIRST, LAST)) -> Path:
    """A run directory as a run leaves it, with a model of three files."""
    run = folder / "run"
    (run / "model" / "adapter").mkdir(parents=True)
    config = load_config("quickstart", [f"run.output={run}", *overrides])
    (run / "config.toml").write_text(tomli_w.dumps(config_values(config)))
    facts = {"data": "0123456789abcdef", "config.toml": "01234567"}
    (run / "facts.json").write_text(json.dumps(facts))
    append_jsonl(run / "metrics.jsonl", metrics)
    append_jsonl(run / "templates.jsonl", TEMPLATES)
    for name in ("config.json", "model.safetensors", "adapter/adapter_model.safetensors", "README.md"):
        (run / "model" / name).write_text(name)
    return run


class Hub:
    """The hub's client, which remembers what it is asked."""

    def __init__(self, error: Exception | None = None, *, public: bool = False) -> None:
        self.error = error
        self.public = public
        self.asked: list[tuple[str, Any]] = []

    def __call__(self, *, token: str, library_name: str) -> Hub:
        self.asked.append(("token", token))
        return self

    def create_repo(self, repo: str, *, private: bool | None, exist_ok: bool) -> str:
        if self.error is not None:
            raise self.error
        self.asked.append(("repo", (repo, private, exist_ok)))
        return f"https://huggingface.co/{repo}"

    def model_info(self, repo: str) -> ModelInfo:
        return ModelInfo(id=repo, private=not self.public)

    def create_commit(self, repo: str, operations: list[Any], *, commit_message: str) -> None:
        self.asked.append(("files", {each.path_in_repo: each.path_or_fileobj for each in operations}))


def use(hub: Hub, monkeypatch: pytest.MonkeyPatch, token: str | None = TOKEN) -> Hub:
    monkeypatch.setattr("huggingface_hub.HfApi", hub)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: token)
    return hub


def test_model_and_card_go_up_in_one_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, hub = a_run(tmp_path), use(Hub(), monkeypatch)
    assert main(["push", str(run), "me/tiny", "--private"]) == 0
    assert capsys.readouterr().out == "https://huggingface.co/me/tiny\n"
    (_, token), (_, repo), (_, files) = hub.asked
    assert (token, repo) == (TOKEN, ("me/tiny", True, True))
    assert sorted(files) == sorted(
        ["README.md", PICTURE, "adapter/adapter_model.safetensors", "config.json", "model.safetensors"]
    )
    assert Path(files["model.safetensors"]).read_text() == "model.safetensors"
    assert files["README.md"] == make_card(run, "me/tiny").text.encode(), "not the README of the base model"
    assert files[PICTURE].startswith(b"\x89PNG")


def test_the_card_says_what_the_run_did(tmp_path: Path) -> None:
    card = make_card(a_run(tmp_path), "me/tiny").text
    assert "| all | 0.025 [0.008, 0.050] | 0.900 [0.858, 0.938] |" in card
    assert r"| a\|&lt;b&gt; | 0.100 | 1.000 [0.955, 1.000] |" in card
    assert "240 problems that were not trained on, plain prompts, 1 completion each, greedy" in card
    assert "| generated tokens | 318,701 |" in card
    assert "| fingerprint of data | 0123456789abcdef |" in card
    assert "01234567 |" not in card, "the check of a file is no fingerprint of data or model"
    assert "\n````\nUse ```code```\ufffd[31m <b>\n````\n" in card
    assert card.count("Use ```code```") == 1
    assert "refused" not in card
    assert str(tmp_path) not in card
    assert 'from_pretrained("me/tiny")' in card


def test_damage_that_no_checksum_shows_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = a_run(tmp_path)
    metrics = read_jsonl(run / "metrics.jsonl")
    for field, value in (("evaluation/accuracy", "high"), ("evaluation/low", []), ("num_tokens", None)):
        lines = [*metrics[:-1], metrics[-1] | {field: value}]
        (run / "metrics.jsonl").write_text("".join(map(json_line, lines)))
        assert main(["push", str(run), "me/tiny", "--dry-run"]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1
        assert "metrics.jsonl, templates.jsonl or facts.json is damaged (" in err


def test_the_settings_of_the_card_are_a_recipe(tmp_path: Path) -> None:
    settings = ["run.epochs=3", 'data={kind="jsonl", train="/home/me/train.jsonl", suffix="\\nEnd."}']
    run = a_run(tmp_path, *settings, "loss.name=gspo", "track.rollouts=0")
    card = make_card(run, "me/tiny").text
    recipe = card.partition("```toml\n")[2].partition("```")[0]
    wanted = config_values(load_config("quickstart", [*settings, "loss.name=gspo"]))
    found = config_values(build_config(tomllib.loads(recipe)))
    assert found.pop("data").pop("train") == "train.jsonl", "the name without its folder"
    wanted.pop("data")
    assert found == wanted
    assert r"""{"role": "user", "content": problem + '\nEnd.'}""" in card


def test_the_settings_are_told_from_the_recipe_that_the_run_began_with(tmp_path: Path) -> None:
    settings = ["run.epochs=3", "loss.name=gspo", "optimizer.lora.rank=4"]
    run = a_run(tmp_path, *settings, "track.rollouts=0")
    config = load_config("quickstart", settings)
    note_launch(run, config, "quickstart", step=0, device="2 GPUs|", processes=2)
    card = make_card(run, "me/tiny").text
    recipe = card.partition("```toml\n")[2].partition("```")[0]
    assert recipe.splitlines()[0] == 'extends = "quickstart"'
    assert 'source = "p2o-tiny"' not in recipe, "as in quickstart"
    (tmp_path / "mine.toml").write_text(recipe)
    assert config_values(load_config(str(tmp_path / "mine.toml"))) == config_values(config)
    assert r"| device | 2 GPUs\|, 2 processes |" in card
    assert f"| versions | p2o {__version__}, python " in card


def test_the_prompt_of_the_card_has_the_arguments_of_the_chat_template(tmp_path: Path) -> None:
    """Without them it is another than in training: Qwen3 would think first."""
    run = a_run(tmp_path, "model.chat_template_kwargs={enable_thinking=false}")
    code = make_card(run, "me/it").text.partition("```python\n")[2].partition("```")[0]
    model, tokenizer = Mock(), Mock()
    names: dict[str, Any] = {"problem": "1+1=?"}
    with mock.patch.multiple("transformers", AutoModelForCausalLM=model, AutoTokenizer=tokenizer):
        exec(code, names)
    tokenizer.from_pretrained("me/it").apply_chat_template.assert_called_once_with(
        [{"role": "user", "content": "1+1=?"}],
        add_generation_prompt=True,
        tokenize=False,
        enable_thinking=False,
    )


def test_a_section_of_another_kind_is_shown_whole(tmp_path: Path) -> None:
    """It takes the place of the recipe's own, with settings in which both agree, such as the suffix of prompts."""
    settings = ["data.kind=dataset", "data.train=openai/gsm8k", "data.subset=main"]
    settings += ["reflection.kind=openai", "reflection.endpoint.model=m"]
    config = load_config("one_gpu", settings)
    run = a_run(tmp_path)
    (run / "config.toml").write_text(tomli_w.dumps(config_values(config)))
    note_launch(run, config, "one_gpu", step=0, device="CPU", processes=1)
    recipe = make_card(run, "me/it").text.partition("```toml\n")[2].partition("```")[0]
    assert recipe.splitlines()[0] == 'extends = "one_gpu"'
    (tmp_path / "mine.toml").write_text(recipe)
    found = load_config(str(tmp_path / "mine.toml"))
    assert found.data.suffix == "\nLet's think step by step and output the final answer within \\boxed{}."
    assert found.reflection.max_tokens == 4096
    assert config_values(found) == config_values(config)


@pytest.mark.parametrize("noted", [False, True])
def test_texts_that_begin_like_a_path_stay_whole_and_folders_do_not(tmp_path: Path, noted: bool) -> None:
    settings = [
        'data={kind="jsonl", train="/home/me/train.jsonl", system="/no_think\\nkm/h", suffix="~ in m/s"}',
        'rollout.vllm.transfer="shared-memory:/home/me/weights"',
    ]
    run = a_run(tmp_path, *settings)
    if noted:
        note_launch(run, load_config("quickstart", settings), "quickstart", step=0, device="CPU", processes=1)
    card = make_card(run, "me/tiny").text
    values = tomllib.loads(card.partition("```toml\n")[2].partition("```")[0])
    assert values["data"]["system"] == "/no_think\nkm/h"
    assert values["data"]["suffix"] == "~ in m/s"
    assert values["data"]["train"] == "train.jsonl"
    assert values["rollout"]["vllm"]["transfer"] == "shared-memory"
    assert "home" not in card


def test_the_header_leads_to_model_and_data(tmp_path: Path) -> None:
    data = 'data={kind="dataset", train="openai/gsm8k"}'
    card = ModelCard(make_card(a_run(tmp_path, "model.source=smollm2", data), "me/m").text).data
    assert card.base_model == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert card.datasets == "openai/gsm8k"
    assert card.license is None, "what the base model's licence says of this one is not ours to tell"


def test_a_local_model_is_no_id_of_the_hub(tmp_path: Path) -> None:
    folder = tmp_path / "private" / "folder"
    card = make_card(a_run(tmp_path, f"model.source={folder}"), "me/m").text
    assert "base_model" not in card
    assert "`folder`, trained with" in card


def test_an_earlier_run_has_no_intervals(tmp_path: Path) -> None:
    old = {"step": 4, "num_tokens": 900, "evaluation/accuracy": 0.5}
    card = make_card(a_run(tmp_path, metrics=(old,)), "me/m")
    assert "| all | 0.500 |" in card.text
    assert "intervals" not in card.text
    assert card.picture is None, "one evaluation is no curve"


def test_without_matplotlib_the_card_has_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    card = make_card(a_run(tmp_path), "me/m")
    assert card.picture is None
    assert PICTURE not in card.text


def test_a_dry_run_uploads_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, hub = a_run(tmp_path), use(Hub(), monkeypatch, token=None)
    assert main(["push", str(run), "me/m", "--dry-run"]) == 0
    printed = capsys.readouterr()
    assert printed.out == make_card(run, "me/m").text
    assert printed.err.startswith("not uploaded to me/m: the card and 3 files, ")
    (tmp_path / "file").touch()
    assert main(["push", str(run), "me/m", "--dry-run", str(tmp_path / "file")]) == 2
    assert "file is a file: give another folder after --dry-run\n" in capsys.readouterr().err
    assert main(["push", str(run), "me/m", "--dry-run", str(tmp_path / "card")]) == 0
    assert sorted(path.name for path in (tmp_path / "card").iterdir()) == ["README.md", PICTURE]
    assert hub.asked == []


def test_a_run_that_goes_on_is_not_uploaded_with_the_model_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, hub = a_run(tmp_path), use(Hub(), monkeypatch)
    note_launch(run, load_config("quickstart"), "quickstart", step=9, device="CPU", processes=1)
    assert main(["push", str(run), "me/tiny"]) == 2
    assert capsys.readouterr().err.startswith(
        f"error: {run} goes on for more epochs, and its model is that of "
    )
    assert hub.asked == []
    note_end(run)
    assert main(["push", str(run), "me/tiny"]) == 0


def test_what_has_to_be_private_goes_to_no_public_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that is there already stays public, whatever `create_repo` is told."""
    run, hub = a_run(tmp_path), use(Hub(public=True), monkeypatch)
    assert main(["push", str(run), "me/tiny", "--private"]) == 2
    assert capsys.readouterr().err.startswith("error: me/tiny is on the hub already, and public: ")
    assert "files" not in dict(hub.asked)
    assert main(["push", str(run), "me/tiny"]) == 0
    assert "files" in dict(hub.asked)


def test_mistakes_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = a_run(tmp_path)
    refused = Hub(RuntimeError(f"401 Unauthorized\nfor the token {TOKEN}"))
    for hub, token, folder, message in (
        (Hub(), None, run, "the hub asks for a token: set HF_TOKEN, or log in with `hf auth login`"),
        (refused, TOKEN, run, "me/m cannot be written on the hub: 401 Unauthorized for the token ***"),
        (Hub(), TOKEN, tmp_path, f"{tmp_path} has no trained model: a run writes it when it ends; "),
    ):
        use(hub, monkeypatch, token)
        assert main(["push", str(folder), "me/m"]) == 2
        printed = capsys.readouterr().err
        assert printed.startswith(f"error: {message}")
        assert printed.count("\n") == 1
    assert main(["push", str(run), "no-owner"]) == 2
    assert "'no-owner' is not OWNER/NAME" in capsys.readouterr().err
