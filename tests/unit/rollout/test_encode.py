"""Prompts to tokens: what is remembered, and chat templates that refuse."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import jinja2
import pytest

from p2o.assembly import assemble, open_directory, prepare
from p2o.config import load_config
from p2o.distributed import ONE_PROCESS
from p2o.errors import ConfigError, DataError, RunDirectoryError
from p2o.rollout.encode import REMEMBERED, PromptEncoder
from p2o.templates import PLAIN
from p2o.types import Message


class Tokenizer:
    """Characters are tokens; system messages are refused as real templates do."""

    chat_template = "yes"

    def __init__(self) -> None:
        self.encoded = 0

    def apply_chat_template(self, messages: list[Message], **options: Any) -> str:
        if messages[0]["role"] == "system":
            raise jinja2.TemplateError("System role\nnot supported")
        return messages[-1]["content"]

    def __call__(self, text: str, **options: Any) -> dict[str, list[int]]:
        self.encoded += 1
        return {"input_ids": [ord(character) for character in text]}


def user(text: str) -> list[Message]:
    return [Message(role="user", content=text)]


def test_a_bounded_number_of_prompts_is_remembered() -> None:
    tokenizer = Tokenizer()
    encoder = PromptEncoder(tokenizer)
    assert encoder.encode(user("ab")) == encoder.encode(user("ab")) == (97, 98)
    assert tokenizer.encoded == 1
    for number in range(REMEMBERED):
        encoder.encode(user(str(number)))
    assert tokenizer.encoded == 1 + REMEMBERED
    encoder.encode(user(str(REMEMBERED - 1)))
    assert tokenizer.encoded == 1 + REMEMBERED, "the last one is remembered"
    encoder.encode(user("ab"))
    assert tokenizer.encoded == 2 + REMEMBERED, "the first one made room"


def test_a_template_that_refuses_the_messages() -> None:
    encoder = PromptEncoder(Tokenizer())
    with pytest.raises(DataError) as caught:
        encoder.encode([Message(role="system", content="Be exact."), *user("1+1=?")])
    assert str(caught.value) == (
        "the model's chat template refuses the messages (system, user), the last one '1+1=?': "
        "TemplateError: System role not supported; is it the system message (data.system)?"
    )


@pytest.mark.parametrize(
    ("template", "role"),
    [
        ("{% for m in messages if m.role == 'user' %}<{{ m.content }}>{% endfor %}", "system"),
        ("{% if messages[0].role == 'developer' %}no{% endif %}{{ messages[0].content }}", "user"),
        ("Solve it.", "system"),
    ],
)
def test_a_template_that_leaves_a_message_out(template: str, role: str, tokenizer: Any) -> None:
    silent = copy.deepcopy(tokenizer)
    silent.chat_template = template
    messages = [Message(role="system", content="Be exact."), Message(role="user", content="1 + 1")]
    with pytest.raises(DataError, match=f"leaves out what a message of the role '{role}' says"):
        PromptEncoder(silent).encode(messages)


def test_further_arguments_reach_the_template(tokenizer: Any) -> None:
    own = copy.deepcopy(tokenizer)
    own.chat_template = "{% if thoughts is defined and not thoughts %}-{% endif %}{{ messages[-1].content }}="
    assert own.decode(PromptEncoder(own).encode(user("12"))) == "12="
    assert own.decode(PromptEncoder(own, {"thoughts": False}).encode(user("12"))) == "-12="


def test_a_template_of_ones_own_is_used_and_goes_out_with_the_model(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    template = tmp_path / "plain.jinja"
    template.write_text("{{ messages[-1].content }}=")
    config = load_config(
        "quickstart", [f"model.chat_template={template}", "data.train_size=6", "data.evaluation_size=3"]
    )
    run = prepare(config, tmp_path / "run")
    problem = run.problems[0]
    prompt = run.collector.prompt_ids(problem, PLAIN)
    assert run.tokenizer.decode(prompt) == problem.messages[-1]["content"] + "="
    run.policy.export(tmp_path / "model", run.tokenizer)
    assert AutoTokenizer.from_pretrained(tmp_path / "model").chat_template == template.read_text()
    template.write_text("{{ messages[-1].content }}: ")
    with pytest.raises(RunDirectoryError, match="chat template has changed since the run began"):
        open_directory(config, tmp_path / "run", assemble(config), resume=True, processes=ONE_PROCESS)


def test_a_template_that_cannot_be_read(tmp_path: Path) -> None:
    config = load_config("quickstart", [f"model.chat_template={tmp_path / 'none.jinja'}"])
    with pytest.raises(
        ConfigError, match=r"model.chat_template = '.*none.jinja' cannot be read \(No such file"
    ):
        prepare(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
