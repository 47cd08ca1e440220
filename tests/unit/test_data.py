"""Problems in: good files, and every way in which a file can be bad."""

from __future__ import annotations

import bz2
import csv
import gzip
import json
import lzma
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from p2o.data import JsonlData, TinyData, fingerprint, load_data, read_jsonl, read_problems
from p2o.errors import DataError, MissingDependencyError
from p2o.records import file_records
from p2o.rollout.reward import RewardConfig
from p2o.types import Problem


def write(path: Path, *lines: Any) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def read(path: Path, **settings: Any) -> Any:
    return read_jsonl(path, JsonlData(train=path, **settings))


GOOD = {"id": "a", "problem": "1+1=?", "answer": "2"}


def test_problems_are_read_in_order(tmp_path: Path) -> None:
    path = write(
        tmp_path / "d.jsonl", GOOD, "", {"problem": [{"role": "user", "content": "2+2?"}], "answer": 4}
    )
    first, second = read(path, suffix="\nThink.", system="Be exact.")
    assert first.id == "a"
    assert first.gold == "2"
    assert [m["role"] for m in first.messages] == ["system", "user"]
    assert first.messages[-1]["content"] == "1+1=?\nThink."
    assert second.gold == "4"
    assert len(second.id) == 16


def test_other_field_names(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", {"q": "1+1=?", "a": "2", "kind": "sum"})
    (problem,) = read(path, problem_key="q", answer_key="a", family_key="kind")
    assert problem.meta == {"kind": "sum", "family": "sum"}


def test_nested_fields_hold_ids_and_families(tmp_path: Path) -> None:
    rows = [
        {"problem": f"{i}+1=?", "answer": i + 1, "extra_info": {"index": i, "level": level}}
        for i, level in enumerate(["easy", None])
    ]
    found = read(write(tmp_path / "d.jsonl", *rows), id_key="extra_info.index", family_key="extra_info.level")
    assert [(problem.id, problem.meta["family"]) for problem in found] == [("0", "easy"), ("1", "?")]


def test_a_record_may_have_no_solution(tmp_path: Path) -> None:
    """Evaluation problems seldom have one; some datasets list several, and hold the gold in them."""
    rows = [{**GOOD, "why": "one more"}, {"problem": "1+2=?", "answer": "3"}]
    found = read(write(tmp_path / "d.jsonl", *rows), solution_key="why")
    assert [problem.solution for problem in found] == ["one more", ""]
    row = {"problem": "1+1=?", "solution": ["It is \\boxed{2}.", "As is known, \\boxed{2}."]}
    (several,) = read(write(tmp_path / "e.jsonl", row), answer_is="solution")
    assert (several.gold, several.solution) == ("2", row["solution"][0])
    with pytest.raises(DataError, match=r"line 1: field 'why' must hold a text, .*set data.solution_key"):
        read(write(tmp_path / "f.jsonl", {**GOOD, "why": 3}), solution_key="why")


def test_further_fields_are_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", {**GOOD, "metadata": {"tests": ["a", 1]}, "level": 3})
    (problem,) = read(path)
    assert problem.meta == {"metadata": {"tests": ["a", 1]}, "level": 3}
    (other,) = read(write(tmp_path / "e.jsonl", {**GOOD, "metadata": {"tests": ["b", 1]}, "level": 3}))
    assert fingerprint([problem]) != fingerprint([other])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{broken", "line 2: not valid JSON"),
        ("[1, 2]", "line 2: a JSON object is expected, got list"),
        ({"answer": "2"}, "line 2: no field 'problem' (found: answer); set data.problem_key"),
        ({"problem": "x"}, "line 2: no field 'answer'"),
        ({"problem": "x", "answer": None}, "line 2: field 'answer' must hold a text or a number"),
        ({"problem": "x", "answer": True}, "line 2: field 'answer' must hold a text or a number"),
        ({"problem": "x", "answer": " "}, "line 2: field 'answer' must hold a text or a number"),
        (
            {"problem": 3, "answer": "2"},
            "line 2: field 'problem' must hold a text or a list of chat messages",
        ),
        (
            {"problem": [{"role": "user"}], "answer": "2"},
            "line 2: field 'problem' must hold a text or a list",
        ),
        ({"problem": " ", "answer": "2"}, "line 2: field 'problem' must end with a user message"),
        ({"problem": [], "answer": "2"}, "line 2: field 'problem' must end with a user message"),
        ({"id": "a", "problem": "another", "answer": "2"}, "line 2: id 'a' belongs to another problem"),
        ({"problem": "x", "answer": float("nan")}, "line 2: field 'answer' is nan"),
        ('{"problem": "x", "answer": -1e999}', "line 2: field 'answer' is -inf"),
        ('{"problem": "x", "answer": ' + "7" * 5000 + "}", "line 2: an integer has over 4300 digits"),
        ('{"problem": "x", "answer": "1", "more": ' + "[" * 100_000, "line 2: the JSON is nested too deeply"),
        ({"problem": "x \ud83d", "answer": "1"}, "line 2: a text holds half of a surrogate pair"),
        (
            {"problem": "x", "answer": "1", "more": ["\udc00"]},
            "line 2: a text holds half of a surrogate pair",
        ),
        (
            {"problem": " 1+1=?", "answer": "3"},
            "line 2: the same problem as line 1 with another answer, '3' instead",
        ),
        (
            '{"problem": "x", "answer": "\\frac{1}{2}"}',
            r"line 2: the gold answer '\x0crac{1}{2}' holds '\x0c' where a LaTeX command began",
        ),
        ({"problem": "x", "answer": "5 \text{ cm}"}, r"holds '\t' where a LaTeX command began"),
        ({"problem": "x", "answer": "\right)"}, r"holds '\r' where a LaTeX command began"),
        ({"problem": "x", "answer": "\\frac{1}{"}, "line 2: the gold answer '\\\\frac{1}{' cannot be parsed"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: Any, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(write(tmp_path / "d.jsonl", GOOD, line))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_gold_that_cannot_be_parsed_can_be_skipped(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", GOOD, {"problem": "x", "answer": "\\frac{1}{"})
    assert [problem.id for problem in read(path, on_bad_gold="skip")] == ["a"]
    assert len(read(path, on_bad_gold="accept")) == 2


def test_unusable_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read(tmp_path / "missing.jsonl")
    with pytest.raises(DataError, match="holds no problems"):
        read(write(tmp_path / "empty.jsonl", "", " "))
    (tmp_path / "binary.jsonl").write_bytes(b'{"problem": "x", "answer": 1}\n\xff\xfe\x00')
    with pytest.raises(DataError, match="line 2: cannot be read as UTF-8"):
        read(tmp_path / "binary.jsonl")
    with pytest.raises(DataError, match=r"is a folder; name a file, or several by a pattern: .*/\*\.jsonl"):
        read(tmp_path)


def test_duplicates_are_merged(tmp_path: Path) -> None:
    path = write(
        tmp_path / "d.jsonl", GOOD, GOOD, {"problem": "x", "answer": "1"}, {"problem": "x", "answer": "1"}
    )
    assert len(read(path)) == 2
    path = write(
        tmp_path / "e.jsonl",
        {"id": 1, "problem": "3+4=?", "answer": 7},
        {"id": 2, "problem": "3+4=? ", "answer": "7.0"},
        {"problem": "3+4=?", "answer": "\\boxed{7}"},
    )
    assert [(problem.id, problem.gold) for problem in read(path)] == [("1", "7")]


def test_white_space_of_a_gold_is_no_damage(tmp_path: Path) -> None:
    golds = ["1,\t2", "1, \n2", "even\r\n", "\ttan x"]
    path = write(
        tmp_path / "d.jsonl", *({"problem": f"x{i}", "answer": gold} for i, gold in enumerate(golds))
    )
    assert len(read(path)) == len(golds)


def test_golds_of_other_judges_are_compared_as_text(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", {"problem": "x", "answer": "\\frac{1}{"})
    config = JsonlData(train=path)
    assert len(read_jsonl(path, config, verifier=None)) == 1
    with pytest.raises(DataError, match="cannot be parsed"):
        read_jsonl(path, config, verifier={"compat": "math-verify"})
    write(path, {"problem": "x", "answer": "7"}, {"problem": "x", "answer": "7.0"})
    assert len(read_jsonl(path, config)) == 1
    with pytest.raises(DataError, match="line 2: the same problem as line 1 with another answer"):
        read_jsonl(path, config, verifier=None)


def test_golds_are_checked_by_the_rules_that_judge(tmp_path: Path) -> None:
    """Math-Verify takes the last number of a gold that cannot be read, our own rules do not."""
    path = write(tmp_path / "d.jsonl", {"problem": "x", "answer": "concave on $(2 n$ 1) $3)$"}, GOOD)
    options = JsonlData(train=path, evaluation_size=1)
    assert len(load_data(options, verifier={"compat": "math-verify"})[1]) == 1
    with pytest.raises(DataError, match=r"'concave on .* cannot be parsed"):
        load_data(options)


def test_a_byte_order_mark_and_separators_inside_strings(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_bytes(
        '\ufeff{"problem": "a\u2028b\u0085c", "answer": 1}\r\n{"problem": "d", "answer": 2}'.encode()
    )
    first, second = read(path)
    assert first.messages[0]["content"] == "a\u2028b\u0085c"
    assert second.gold == "2"


def test_layout_that_carries_meaning_makes_another_problem(tmp_path: Path) -> None:
    path = write(
        tmp_path / "d.jsonl", {"problem": "1 2\n3 4", "answer": 1}, {"problem": "1 2 3 4", "answer": 2}
    )
    assert len(read(path)) == 2


def test_files_that_both_number_their_lines(tmp_path: Path) -> None:
    train = write(tmp_path / "t.jsonl", *({"id": i, "problem": f"t{i}", "answer": i} for i in range(5)))
    evaluation = write(
        tmp_path / "e.jsonl",
        {"id": 0, "problem": "e0", "answer": 0},
        {"id": 1, "problem": "t3 ", "answer": "3.0"},
        {"id": 9, "problem": "e2", "answer": 2},
        {"id": "evaluation/0", "problem": "e3", "answer": 3},
    )
    kept, held_out = load_data(JsonlData(train=train, evaluation=evaluation))
    assert [problem.id for problem in kept] == ["0", "1", "2", "4"], "only the problem t3 is held out"
    assert [problem.id for problem in held_out] == [
        "evaluation/evaluation/0",
        "evaluation/1",
        "9",
        "evaluation/0",
    ]
    assert [problem.messages[0]["content"] for problem in held_out] == ["e0", "t3 ", "e2", "e3"]
    few, same = load_data(JsonlData(train=train, evaluation=evaluation, train_size=1))
    assert len(few) == 1
    assert same == held_out, "which problems train does not change what is evaluated"
    taken = ("0", "evaluation/0")
    train = write(tmp_path / "t.jsonl", *({"id": name, "problem": f"t{name}", "answer": 1} for name in taken))
    evaluation = write(
        tmp_path / "e.jsonl", *({"id": name, "problem": f"e{name}", "answer": 1} for name in taken)
    )
    _, held_out = load_data(JsonlData(train=train, evaluation=evaluation))
    assert [problem.id.count("evaluation/") for problem in held_out] == [2, 3], "each has a name of its own"


def test_no_training_problem_is_evaluated(tmp_path: Path) -> None:
    lines = [{"problem": f"{i}?", "answer": i} for i in range(50)]
    path = write(tmp_path / "d.jsonl", *lines)
    train, evaluation = load_data(JsonlData(train=path, evaluation_size=10))
    assert (len(train), len(evaluation)) == (40, 10)
    assert not {p.id for p in train} & {p.id for p in evaluation}
    assert load_data(JsonlData(train=path, evaluation_size=10)) == (train, evaluation)
    assert load_data(JsonlData(train=path, evaluation_size=10, seed=1))[1] != evaluation
    overlapping = write(tmp_path / "e.jsonl", *lines[:20])
    train, evaluation = load_data(JsonlData(train=path, evaluation=overlapping))
    assert (len(train), len(evaluation)) == (30, 20)


def test_a_tenth_is_held_out_where_nothing_is_said(tmp_path: Path) -> None:
    lines = [{"problem": f"{n}+0=?", "answer": n} for n in range(997)]
    path = write(tmp_path / "d.jsonl", *lines, lines[0], lines[1], lines[2])
    said: list[str] = []
    train, evaluation = load_data(JsonlData(train=path), say=said.append)
    assert (len(train), len(evaluation)) == (897, 100)
    assert said == [
        f"{path}: 1,000 read, 3 merged as duplicates",
        "897 problems to train on, 100 to evaluate on",
    ]
    said.clear()
    load_data(JsonlData(train=path, train_size=80, evaluation=path, evaluation_size=5), say=said.append)
    assert said[1:] == [
        f"{path} (evaluation): 1,000 read, 3 merged as duplicates",
        "80 problems to train on (data.train_size, of 992), 5 to evaluate on",
    ]
    path = write(tmp_path / "one.jsonl", GOOD)
    with pytest.raises(DataError, match="no training problem is left"):
        load_data(JsonlData(train=path))
    with pytest.raises(DataError, match="no training problem is left"):
        load_data(JsonlData(train=path, evaluation_size=5))


def test_the_tiny_world_is_the_same_everywhere() -> None:
    train, evaluation = load_data(TinyData(train_size=30, evaluation_size=12))
    assert not {p.id for p in train} & {p.id for p in evaluation}
    assert fingerprint(train) == fingerprint(load_data(TinyData(train_size=30, evaluation_size=12))[0])
    assert fingerprint(train) != fingerprint(evaluation)
    assert [p.meta["family"] for p in train[:3]] == ["addition", "subtraction", "multiplication"]


NO_GOLDS = [None, "", "  ", math.nan, math.inf, True, [], [True], ["2", " "], [[2]], [math.nan], {}]


@pytest.mark.parametrize("answer", NO_GOLDS)
def test_a_gold_that_is_missing_is_skipped_or_refused(tmp_path: Path, answer: Any) -> None:
    path = write(tmp_path / "d.jsonl", GOOD, {"problem": "2+2=?", "answer": answer})
    for choice in ("refuse", "accept"):
        with pytest.raises(DataError, match=r"line 2: field 'answer' .*data\.on_bad_gold = \"skip\""):
            read(path, on_bad_gold=choice)
    assert [problem.id for problem in read(path, on_bad_gold="skip")] == ["a"]


def test_lines_without_the_field_are_skipped_but_not_all_of_them(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", {"problem": "2+2=?"}, GOOD)
    assert [problem.id for problem in read(path, on_bad_gold="skip")] == ["a"]
    with pytest.raises(
        DataError, match=r"all 2 problems would be skipped, .* line 1: no field 'a' .*data\.answer_key"
    ):
        read(path, on_bad_gold="skip", answer_key="a")


def test_a_reward_of_ones_own_needs_no_answers(tmp_path: Path) -> None:
    path = write(
        tmp_path / "d.jsonl", {"problem": "a"}, {"problem": "b", "answer": None}, {**GOOD, "answer": ""}
    )
    config = JsonlData(train=path, evaluation_size=1)
    own, listed = RewardConfig(function="mine:score"), RewardConfig(function="p2o.rewards:first_line")
    train, evaluation = load_data(config, verifier=own.verifier_options(), needs_gold=own.needs_gold)
    assert [problem.gold for problem in (*train, *evaluation)] == ["", "", ""]
    for reward in (listed, RewardConfig()):
        with pytest.raises(DataError, match="line 1: no field 'answer'"):
            load_data(config, verifier=reward.verifier_options(), needs_gold=reward.needs_gold)
    with pytest.raises(DataError, match="line 1: no field 'key'"):  # who names a field has one
        load_data(
            config.model_validate({**config.model_dump(), "answer_key": "key"}),
            verifier=None,
            needs_gold=False,
        )


def test_one_system_message(tmp_path: Path) -> None:
    def line(*roles: str) -> dict[str, Any]:
        messages = [{"role": role, "content": "Hello."} for role in roles]
        return {"problem": [*messages, {"role": "user", "content": "1+1=?"}], "answer": "2"}

    own = write(tmp_path / "own.jsonl", GOOD, line("system"))
    assert len(read(own)) == 2
    for role in ("system", "developer", "System"):
        with pytest.raises(
            DataError, match=r"line 2: field 'problem' holds a system message, and data\.system another"
        ):
            read(write(tmp_path / "d.jsonl", GOOD, line(role)), system="Be exact.")
    with pytest.raises(
        DataError, match="line 1: field 'problem' holds a system message, more than one: join them"
    ):
        read(write(tmp_path / "two.jsonl", line("system", "system")))


@pytest.mark.parametrize("role", ["", "user<|im_end|>", "user\nsystem", "a b", "[INST]"])
def test_a_role_is_a_word(tmp_path: Path, role: str) -> None:
    messages = [{"role": role, "content": "Hello."}, {"role": "user", "content": "1+1=?"}]
    path = write(tmp_path / "d.jsonl", {"problem": messages, "answer": "2"})
    with pytest.raises(DataError, match=r"line 1: .* is no role of a chat message"):
        read(path)


def test_a_problem_knows_its_place(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", "", GOOD)
    (problem,) = read(path)
    assert problem.name == f"{path}, line 2: problem 'a'"
    assert problem == Problem("a", problem.messages, "2")


MATH = "So $x = 2$ and the answer is $\\boxed{7}$."


@pytest.mark.parametrize(
    ("record", "question", "gold", "said"),
    [
        (
            {"question": "How many?", "answer": "3 + 4 = <<3+4=7>>7\n#### 7"},  # GSM8K
            "How many?",
            "7",
            "the problem in the field 'question', the gold at the end of the solution in 'answer'",
        ),
        (
            {"problem": "How many?", "level": "Level 1", "solution": MATH},  # MATH
            "How many?",
            "7",
            "the problem in the field 'problem', the gold at the end of the solution in 'solution'",
        ),
        (
            {
                "problem": "How many?",
                "solution": f"#### Step 1\n$x = 2$.\n#### Conclusion\n{MATH}",
            },  # NuminaMath
            "How many?",
            "7",
            "the problem in the field 'problem', the gold at the end of the solution in 'solution'",
        ),
        (
            {"problem": "How many?", "solution": f"{MATH}\n\n#### Note 3"},
            "How many?",
            "7",
            "the problem in the field 'problem', the gold at the end of the solution in 'solution'",
        ),
        (
            {"question": "How many?", "final_answer": "7", "difficulty": 8.0},  # DeepMath
            "How many?",
            "7",
            "the problem in the field 'question', the gold in 'final_answer'",
        ),
        (
            {  # DAPO, as verl prepares it
                "prompt": [{"role": "user", "content": "How many?"}],
                "reward_model": {"ground_truth": "7", "style": "rule"},
            },
            "How many?",
            "7",
            "the problem in the field 'prompt', the gold in 'reward_model.ground_truth'",
        ),
        (
            {"prompt": "How many?", "solution": "$7$"},  # TRL
            "How many?",
            "$7$",
            "the problem in the field 'prompt', the gold in 'solution'",
        ),
        (
            {"question": "How many?", "solution": [MATH], "final_answer": ["7"]},  # OlympiadBench
            "How many?",
            "7",
            "the problem in the field 'question', the gold in 'final_answer'; not used: 'solution'",
        ),
        (
            {"problem": "How many?", "solution": MATH, "answer": "7", "messages": []},  # NuminaMath
            "How many?",
            "7",
            "the problem in the field 'problem', the gold in 'answer'; not used: 'messages', 'solution'",
        ),
        ({"problem": "How many?", "prompt": None, "answer": "7"}, "How many?", "7", ""),
        ({"problem": "How many?", "answer": [1, 2]}, "How many?", "1, 2", ""),
    ],
)
def test_fields_are_recognised(
    tmp_path: Path, record: dict[str, Any], question: str, gold: str, said: str
) -> None:
    path = write(tmp_path / "d.jsonl", record)
    reading = read_problems(file_records(path), JsonlData(train=path), path)
    (problem,) = reading.problems
    assert (problem.messages[0]["content"], problem.gold, reading.fields) == (question, gold, said)


def test_fields_that_are_set_are_taken_as_they_are(tmp_path: Path) -> None:
    both = {"question": "Which?", "prompt": "How many?", "answer": "#### 7", "target": "8"}
    path = write(tmp_path / "d.jsonl", both)
    (problem,) = read(path, problem_key="prompt", answer_is="answer", answer_key="target")
    assert (problem.messages[0]["content"], problem.gold) == ("How many?", "8")
    with pytest.raises(DataError, match=r"no field .problem. .* set data\.problem_key"):
        read(path, problem_key="problem")


def test_a_field_of_csv_may_be_long(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    (tmp_path / "long.csv").write_text(f"problem,answer,generations\n1+1=?,2,{'x' * 200_000}\n")
    assert [item.gold for item in read(tmp_path / "long.csv")] == ["2"]
    assert csv.field_size_limit() == limit


def test_files_are_read_by_their_suffix(tmp_path: Path) -> None:
    """A CSV's values are texts: 007 stays what it is; an empty one is missing. JSON may be an array."""
    (tmp_path / "d.csv").write_bytes(
        b'\xef\xbb\xbfid,problem,answer\r\n1,"a, b\nand ""c""?",007\r\n2,1+1=?,2\r\n'
    )
    first, second = read(tmp_path / "d.csv")
    assert (first.id, first.messages[0]["content"], first.gold) == ("1", 'a, b\nand "c"?', "007")
    assert second.place == f"{tmp_path / 'd.csv'}, line 4"
    (tmp_path / "d.json").write_text(json.dumps([GOOD, {**GOOD, "id": "b", "problem": "?"}], indent=1))
    assert [problem.id for problem in read(tmp_path / "d.json")] == ["a", "b"]
    (tmp_path / "d.jsonl").write_text((tmp_path / "d.json").read_text())
    assert read(tmp_path / "d.jsonl")[1].place == f"{tmp_path / 'd.jsonl'}, item 2"
    for name, text in (
        ("s.csv", "problem;answer\n1,5+1=?;2,5\n"),
        ("t.tsv", "problem\tanswer\n1,5+1=?\t2,5\n"),
    ):
        (tmp_path / name).write_text(text)
        (one,) = read(tmp_path / name)
        assert (one.messages[0]["content"], one.gold) == ("1,5+1=?", "2,5")
    (tmp_path / "lines.json").write_text(json.dumps(GOOD) + "\n")
    assert read(tmp_path / "lines.json")[0].place == f"{tmp_path / 'lines.json'}, line 1"


def test_a_column_without_a_name_is_no_solution(tmp_path: Path) -> None:
    """pandas writes the numbers of the rows into one: they are neither solutions nor, where `id_key` is "", ids."""
    (tmp_path / "d.csv").write_text(",problem,answer\n7,1+1=?,2\n")
    (one,) = read(tmp_path / "d.csv", id_key="")
    assert (one.gold, one.solution, len(one.id)) == ("2", "", 16)


def zstd(content: bytes) -> bytes:
    import pyarrow

    half = len(content) // 2  # two frames, as parallel compressors write them
    return b"".join(pyarrow.compress(part, "zstd", asbytes=True) for part in (content[:half], content[half:]))


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [(".gz", gzip.compress), (".bz2", bz2.compress), (".XZ", lzma.compress), (".zst", zstd)],
)
def test_compressed_files(tmp_path: Path, suffix: str, compress: Callable[[bytes], bytes]) -> None:
    lines, table = tmp_path / f"d.jsonl{suffix}", tmp_path / f"d.csv{suffix}"
    lines.write_bytes(compress(json.dumps(GOOD).encode()))
    table.write_bytes(compress(b"id,problem,answer\na,1+1=?,2\n"))
    assert [*read(lines)] == [*read(table)]
    lines.write_bytes(compress(json.dumps(GOOD).encode())[:-6])
    with pytest.raises(DataError, match=": cannot be read"):
        read(lines)
    lines.write_text(json.dumps(GOOD))
    with pytest.raises(DataError, match=": cannot be read"):
        read(lines)


def test_zstd_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d.jsonl.zst").write_bytes(zstd(json.dumps(GOOD).encode()))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r"d.jsonl.zst needs .* pip install \"p2o-rl\[data\]\""):
        read(tmp_path / "d.jsonl.zst")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d.csv", b"problem,answer\n1+1=?,2,3\n", "line 2: more values than the first line names fields"),
        ("d.csv", b"problem,answer\n1+1=?\n", "line 2: field 'answer' must hold a text or a number, and is"),
        ("d.csv", b'problem,answer\n"1+1=?,2\n', "d.csv: cannot be read as CSV"),
        ("d.csv", b"problem,answer\n\xff,2\n", "d.csv: cannot be read as UTF-8 text"),
        ("d.csv", b"", "d.csv: holds no problems"),
        ("d.csv", b"problem,answer,answer\n1+1=?,2,3\n", "names the field 'answer' 2 times; rename one"),
        ("d.json", b"[\n 7,\n ?]", "d.json: not valid JSON (Expecting value at line 3, column 2)"),
        ("d.json", b"[3]", "d.json, item 1: a JSON object is expected, got int"),
    ],
)
def test_damaged_files_are_one_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        read(tmp_path / name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
