import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2o.errors import ConfigError
from p2o.evolution.propose import extract
from p2o.evolution.propose.extract import extract_template
from p2o.evolution.propose.prompt import ReflectionExample, load_prompt, parse_prompt, render_reflection
from p2o.templates import PLAIN, make_template

SUM = ReflectionExample("345+678=?", "923", 0.0, "1023")
MINIMAL = (
    "%% user\n{template}|{examples}\n%% example\n{problem}>{verdict}\n%% correct\nyes\n%% wrong\nno {gold}\n"
)
MINIMAL += "%% wrong without gold\nno\n"


def test_tiny_prompt_is_the_template_and_one_line_an_example():
    right = ReflectionExample("12+3=?", "15", 1.0, "15")
    (message,) = render_reflection("tiny", "add digit by digit", [SUM, right])
    assert message["role"] == "user"
    assert message["content"] == "add digit by digit\n345+678=? 923 wrong 1023\n12+3=? 15 right"


def test_tiny_prompt_writes_the_plain_prompt_as_a_dash():
    (message,) = render_reflection("tiny", PLAIN, [SUM], show_gold=False)
    assert message["content"] == "-\n345+678=? 923 wrong"


def test_tiny_prompt_keeps_the_end_of_a_scratchpad_on_one_line():
    worked = ReflectionExample("345+678=?", "5+8=13\n4+7+1=12\n3+6+1=10\n1023", 0.0, "1023")
    (message,) = render_reflection("tiny", "x", [worked])
    assert message["content"] == "x\n345+678=? +6+1=10 1023 wrong 1023"


def test_default_prompt_shows_template_problem_response_and_gold():
    (message,) = render_reflection("default", make_template("Check units."), [SUM])
    content = message["content"]
    for part in ("```\nCheck units.\n```", "345+678=?", "923", "The correct answer is: 1023"):
        assert part in content
    assert "{" not in content


def test_without_gold_the_gold_is_nowhere():
    cut_off = ReflectionExample("2+2", "hm", 0.0, "987654", "length")
    for name in ("default", "tiny"):
        for example in (cut_off, ReflectionExample("2+2", "5", 0.0, "987654")):
            (message,) = render_reflection(name, "t", [example], show_gold=False)
            assert "987654" not in message["content"]


def test_cut_off_response_gets_its_own_verdict():
    cut_off = ReflectionExample("2+2", "hm", 0.0, "4", "length")
    assert "length limit" in render_reflection("default", "t", [cut_off])[0]["content"]


def test_long_response_loses_its_middle():
    prompt = parse_prompt(
        "%% settings\nresponse_chars = 4\nellipsis = ~\n" + MINIMAL.replace("{problem}", "{response}")
    )
    (message,) = render_reflection(prompt, "t", [ReflectionExample("p", "abcdefgh", 1.0, "g")])
    assert message["content"] == "t|ab~gh>yes"


@pytest.mark.parametrize(("keep", "shown"), [("start", "abcd~"), ("end", "~efgh"), ("both", "ab~gh")])
def test_which_part_of_a_long_response_is_kept(keep, shown):
    text = f"%% settings\nresponse_chars = 4\nresponse_keep = {keep}\nellipsis = ~\n" + MINIMAL
    prompt = parse_prompt(text.replace("{problem}", "{response}"))

    def response(text):
        (message,) = render_reflection(prompt, "t", [ReflectionExample("p", text, 1.0, "g")])
        return message["content"]

    assert response("abcdefgh") == f"t|{shown}>yes"
    assert response(" abcd\n") == "t|abcd>yes", "just as long as may be shown"


def test_half_a_reward_is_wrong_and_says_how_much():
    text = MINIMAL.replace("{problem}", "{reward}").replace("no {gold}", "no {gold} {reward}")
    half = ReflectionExample("p", "r", 0.5, "7")
    assert render_reflection(parse_prompt(text), "t", [half])[0]["content"] == "t|0.5>no 7 0.5"


def test_a_gold_in_the_example_itself_is_left_empty():
    prompt = parse_prompt(MINIMAL.replace("{problem}", "{gold}"))
    example = ReflectionExample("p", "r", 0.0, "7")
    assert render_reflection(prompt, "t", [example])[0]["content"] == "t|7>no 7"
    assert render_reflection(prompt, "t", [example], show_gold=False)[0]["content"] == "t|>no"


def test_inserted_text_is_not_searched_for_placeholders():
    prompt = parse_prompt(MINIMAL)
    example = ReflectionExample("{gold} {template} \\boxed{x}", "", 0.0, "{problem}")
    (message,) = render_reflection(prompt, "{examples}", [example])
    assert message["content"] == "{examples}|{gold} {template} \\boxed{x}>no {problem}"


def test_system_section_becomes_the_first_message():
    prompt = parse_prompt("%% system\nbe brief\n" + MINIMAL)
    assert [message["role"] for message in render_reflection(prompt, "t", [])] == ["system", "user"]


def test_evaluator_feedback_follows_the_verdict():
    prompt = parse_prompt(MINIMAL)
    example = ReflectionExample("p", "r", 0.0, "7", feedback="No boxed answer.")
    assert render_reflection(prompt, "t", [example])[0]["content"] == "t|p>no 7 No boxed answer."


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (MINIMAL + "%% exmaple\n", "line 11: unknown section 'exmaple'"),
        (MINIMAL + "%% user\n", "line 11: section 'user' stands twice"),
        (MINIMAL.replace("%% example\n{problem}>{verdict}\n", ""), "section 'example' is missing"),
        ("%% settings\nresponse_char = 3\n" + MINIMAL, "setting response_char"),
        ("%% settings\nresponse_chars\n" + MINIMAL, "line 2: a setting is written"),
        ("%% settings\nresponse_chars = many\n" + MINIMAL, "setting response_chars"),
        ("%% settings\ntemplate_chars = -1\n" + MINIMAL, "setting template_chars"),
    ],
)
def test_broken_prompt_files_are_refused_with_the_place(text, part):
    with pytest.raises(ConfigError, match=part):
        parse_prompt(text)


def test_unknown_name_lists_the_shipped_prompts(tmp_path):
    with pytest.raises(ConfigError, match="adapter, crossover, default, tiny"):
        load_prompt("teeny")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_prompt(tmp_path / "none.txt")


def test_a_file_of_the_user_is_read(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text(MINIMAL)
    assert render_reflection(path, "t", [])[0]["content"] == "t|"
    assert render_reflection(str(path), "t", [])[0]["content"] == "t|"
    # An editor's byte order mark does not turn the first section into a comment.
    path.write_text("%% system\nBe strict.\n" + MINIMAL, encoding="utf-8-sig")
    assert render_reflection(path, "t", [])[0] == {"role": "system", "content": "Be strict."}


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("```\nDo X.\n```", "Do X."),
        ("```text\nDo X.\n```", "Do X."),
        ("```\nMarkdown headings first\n```", "Markdown headings first"),
        ("old:\n```\nA\n```\nnew:\n```\nB\n```\nDone.", "B"),
        ("<think>\n```\nA\n```\n</think>\n```\nB\n```", "B"),
        ("```\nB\n```\n<think>```\nA\n```", "B"),
        ("plan ```\nA\n``` </think>\n```\nB\n```", "B"),
        ("```\nA\n```\n```\ncut off", "A"),
        ("```\nnever closed", None),
        ("no fence at all", None),
        ("```\n\n```", None),
        ("````\nuse\n```\ncode\n```\nfences\n````", "use\n```\ncode\n```\nfences"),
        ("``` Do X. ```", "Do X."),
        ("```\nUse:\n```python\nx = 1\n```\nBox it.\n```", "Use:\n```python\nx = 1\n```\nBox it."),
        ("```md\n```c\n1\n```\nand\n```c\n2\n```\n```\nDone.", "```c\n1\n```\nand\n```c\n2\n```"),
        ("```\nA\n```\n```\nuse\n```python\nx\n```\n```", "use\n```python\nx\n```"),
        ("````\n```python\nx\n````", "```python\nx"),
        ("```\nnot closed\n```text\nB\n```", "not closed\n```text\nB"),
        ("```\r\nDo X.\r\n```", "Do X."),
        ("```\nDo \ud800X.\n```", "Do ?X."),
        ("```\nFirst think inside <think> tags.\n```", "First think inside <think> tags."),
        ("```\nWrite <think> and </think> around.\n```", "Write <think> and </think> around."),
        ("```\nWrap:\n<think>\n...\n</think>\nAnswer.\n```", "Wrap:\n<think>\n...\n</think>\nAnswer."),
        ("```\nEnd with </think>\nthen answer.\n```", "End with </think>\nthen answer."),
        ("<think>x</think>\n```\nUse <think> tags.\n```", "Use <think> tags."),
        ("Use `<think>` tags:\n```\nB\n```", "B"),
        ("<thinking>```\nA\n```</thinking>\n```\nUse </think>.\n```\nOr:\n```\nB\n```", "B"),
        ("Maybe:\n```\ndraft\n</think>\n```\nB\n```", "B"),
        ("plan\n```\nA\n```\n</think>\nsorry", None),
        ("```text template\nDo X.\n```", "Do X."),
        ('```markdown title="x"\nDo X.\n```', "Do X."),
        ("~~~\nDo X.\n~~~", "Do X."),
        ("~~~md\nUse\n```\ncode\n```\n~~~", "Use\n```\ncode\n```"),
        ("```\nDo this.```", "Do this."),
        ("```text\nDo this.\nAnd that. ```\nDone.", "Do this.\nAnd that."),
        ("```\nwrite ```x``` always\n```", "write ```x``` always"),
    ],
)
def test_the_last_complete_fence_outside_thinking_is_taken(reply, expected):
    assert extract_template(reply) == expected


def test_a_tag_that_is_never_closed_is_looked_for_once(monkeypatch):
    """A server may answer with megabytes: what is read again for each line would take hours."""
    looked = []
    closing = extract._closing
    monkeypatch.setattr(extract, "_closing", lambda tag, *where: looked.append(tag) or closing(tag, *where))
    reply = "First:\n" + "<think>what if\n<THINKING>or\n" * 1000 + "```\nB\n```"
    assert extract_template(reply) == "B"
    assert looked == ["think", "thinking"]
    assert extract_template("<think>a</think>" * 1000 + "Then\n<think>b</think>```\nB\n```") == "B"


def test_whole_takes_the_reply_unless_a_fence_was_begun():
    assert extract_template("<think>hm</think> add the digits\n", "whole") == "add the digits"
    assert extract_template("Put it between <think> and </think>.", "whole") == (
        "Put it between <think> and </think>."
    )
    assert extract_template("```\nB\n```", "whole") == "B"
    assert extract_template("```\ncut off", "whole") is None
    assert extract_template("  \n", "whole") is None


@given(
    st.text(),
    st.text(alphabet=st.characters(exclude_characters="`<\r\n", exclude_categories=["Cs"]), min_size=1),
)
def test_whatever_stands_before_a_final_fence_is_ignored(before, template):
    before = before.replace("`", "").replace("<", "")
    if template.strip():
        line = " ".join(template.split())
        assert extract_template(f"{before}\n```\n{line}\n```") == line.strip()
