"""What makes two templates one, and where a template stands."""

from __future__ import annotations

import pytest

from p2o.templates import PLAIN, apply_template, distinct_templates, make_template
from p2o.types import Message


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Add and carry.", "  Add  and\n\tcarry.\n"),
        ("caf\N{LATIN SMALL LETTER E WITH ACUTE}", "cafe\N{COMBINING ACUTE ACCENT}"),
        ("a b", "a\N{NO-BREAK SPACE}b"),
    ],
)
def test_white_space_and_composition_make_no_difference(one: str, other: str) -> None:
    assert make_template(one).id == make_template(other).id


@pytest.mark.parametrize("other", ["Add and Carry.", "Add and carry", "Add and carry. ."])
def test_everything_else_does(other: str) -> None:
    assert make_template("Add and carry.").id != make_template(other).id


@pytest.mark.parametrize("text", ["", " ", "\n\t\N{NO-BREAK SPACE}"])
def test_a_blank_text_is_the_plain_prompt(text: str) -> None:
    assert make_template(text) == PLAIN


def test_the_text_is_kept_but_for_its_ends() -> None:
    assert make_template("\n Use {x}:\n\n\\frac{1}{2} \x00\n").text == "Use {x}:\n\n\\frac{1}{2} \x00"


def test_the_template_stands_before_the_last_user_message_and_changes_no_other() -> None:
    turns = [("system", "s"), ("user", "first"), ("assistant", "a"), ("user", "last {x}"), ("assistant", "p")]
    messages = [Message(role=role, content=content) for role, content in turns]
    applied = apply_template(make_template("z {y}"), messages)
    assert [m["content"] for m in applied] == ["s", "first", "a", "z {y}\n\nlast {x}", "p"]
    assert [(m["role"], m["content"]) for m in messages] == turns
    assert apply_template(PLAIN, messages) == messages
    with pytest.raises(ValueError, match="at least one user message"):
        apply_template(PLAIN, messages[:1])


def test_distinct_templates_are_told_apart_by_their_words() -> None:
    found = distinct_templates(["b", "", "a  c", " \n", "b", "a c"])
    assert [template.id for template in found] == [make_template("b").id, make_template("a c").id]
