from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import p2o
from p2o.errors import InputError
from p2o.verifier import VerifyOptions

PAIRS = [
    (r"so \boxed{\frac{2}{4}}", "0.5", True),
    (r"so \boxed{7}", "8", False),
    (r"The answer is $x \in (2, \infty)$.", "x > 2", True),
    (r"\boxed{1, 2}", r"\{2, 1\}", True),
    ("nothing here", "5", False),
]


def test_single_and_batch_agree() -> None:
    completions = [completion for completion, _, _ in PAIRS]
    golds = [gold for _, gold, _ in PAIRS]
    expected = [float(correct) for _, _, correct in PAIRS]
    rewards = p2o.verify_batch(completions, golds)
    assert rewards.dtype == np.float32
    assert rewards.tolist() == expected
    verdicts = p2o.verify_batch(completions, golds, return_verdicts=True)
    assert verdicts == [p2o.verify(*pair) for pair in zip(completions, golds, strict=True)]
    assert [float(verdict.correct) for verdict in verdicts] == expected


@pytest.mark.parametrize(
    ("completion", "gold", "status", "extracted"),
    [
        (r"\boxed{4}", "4", "correct", "4"),
        (r"\boxed{5}", "4", "wrong", "5"),
        ("I do not know", "4", "no_answer", None),
        (r"\boxed{4}", r"\frac{1}{", "gold_unparsable", "4"),
        (r"\boxed{4}", "", "gold_unparsable", "4"),
        (r"\boxed{10000000!}", "4", "timeout", "10000000!"),
    ],
)
def test_every_status_is_told_apart(completion: str, gold: str, status: str, extracted: str | None) -> None:
    verdict = p2o.verify(completion, gold)
    assert (verdict.status, verdict.extracted) == (status, extracted)
    assert verdict.correct == bool(verdict) == (status == "correct")
    assert (verdict.tier is None) == (status not in ("correct", "wrong"))


@pytest.mark.parametrize(
    ("gold", "answer", "tier"),
    [
        ("4", r"\frac{8}{2}", "exact"),
        ("(x+1)^2", r"\left( x + 1 \right)^{2}", "canonical"),
        ("(x+1)^2", "x^2+2x+1", "random"),
        (r"\sqrt{5+2\sqrt6}", r"\sqrt2+\sqrt3", "ball"),
        (r"\sin 2x", r"2 \sin x \cos x", "random"),
        (r"\ln(xy)", r"\ln x + \ln y", "numeric"),
        ("Yes", r"\text{yes}", "text"),
    ],
)
def test_the_tier_that_decided_is_named(gold: str, answer: str, tier: str) -> None:
    verdict = p2o.verify(rf"\boxed{{{answer}}}", gold)
    assert (verdict.status, verdict.tier) == ("correct", tier)


def test_profiles_differ_where_the_documentation_says() -> None:
    assert p2o.equivalent("0.333333", r"\frac13")
    assert not p2o.equivalent("0.333333", r"\frac13", strict=True)
    assert p2o.equivalent(r"28\%", "28")
    assert not p2o.equivalent(r"28\%", "28", strict=True)
    assert p2o.equivalent(r"5 \text{ cm}", r"5 \text{ m}", compat="math-verify")
    assert not p2o.equivalent(r"5 \text{ cm}", r"5 \text{ m}")
    assert p2o.equivalent("3.1416", r"\pi", float_rounding=4)
    assert all(p2o.equivalent("3", "3", float_rounding=digits) for digits in (0, 60))
    assert p2o.equivalent("3.1416", r"\pi")
    assert not p2o.equivalent("3.1416", r"\pi", strict=True)
    assert not p2o.equivalent("3.1416", "3.14159")


def test_a_verdict_names_the_conventions_it_rests_on() -> None:
    assert p2o.verify(r"\boxed{x=28}", r"28\%").licences == ("percent-without-sign", "name-dropped")
    assert p2o.verify(r"\boxed{0.28}", r"28\%").licences == ()
    verdicts = p2o.verify_batch([r"\boxed{5}"] * 9, [r"5\text{ cm}"] * 9, return_verdicts=True)
    assert {verdict.licences for verdict in verdicts} == {("unit-dropped",)}


def test_conventions_are_switched_on_and_off() -> None:
    assert not p2o.verify(r"\boxed{28}", r"28\%", deny=["percent-without-sign"])
    assert p2o.verify(r"\boxed{28}", r"28\%", strict=True, allow=["percent-without-sign"])
    assert not p2o.equivalent("x", "X")
    assert p2o.equivalent("x", "X", allow=["case-ignored"])
    assert not p2o.equivalent("x", "X", allow=["case-ignored"], deny=["case-ignored"]), (
        "deny has the last word"
    )


def test_the_math_verify_profile_compares_relations_with_sets_on_request() -> None:
    gold, answer = r"$(1,2)$", r"$1<x<2$"
    assert not p2o.verify(answer, gold, compat="math-verify").correct
    assert p2o.verify(answer, gold, compat="math-verify", allow_set_relation_comp=True).correct


def test_the_math_verify_profile_looks_only_where_it_is_told() -> None:
    text = r"It is $5$, or rather 6."
    assert p2o.verify(text, "5", compat="math-verify", extraction=("latex",)).correct
    assert p2o.verify(text, "6", compat="math-verify", extraction=("expr",)).correct
    assert p2o.verify("The answer is B.", "B", compat="math-verify", extraction=("string",)).correct


def test_require_boxed() -> None:
    assert p2o.verify("The answer is 4.", "4").correct
    assert p2o.verify("The answer is 4.", "4", require_boxed=True).status == "no_answer"


@pytest.mark.parametrize(
    "gold", ["4", r"\frac12", "Yes", r"\text{(B)}", "x=5", r"(0, \infty)", "$7$", r"\boxed{3}"]
)
def test_golds_that_parse(gold: str) -> None:
    assert p2o.gold_parses(gold)


@pytest.mark.parametrize("gold", ["", "   ", r"\frac{1}{", r"\int x\,dx", "((", "=="])
def test_golds_that_do_not(gold: str) -> None:
    assert not p2o.gold_parses(gold)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"compat": "sympy"}, "math-verify"),
        ({"float_rounding": -1}, "float_rounding"),
        ({"float_rounding": 61}, "float_rounding"),
        ({"deadline_ms": -5}, "deadline_ms"),
        ({"deadline_ms": float("nan")}, "deadline_ms"),
        ({"percision": 3}, "percision"),
        ({"extraction": ("regex",)}, "regex"),
        ({"allow": ("unit-droped",)}, "unit-droped"),
        ({"deny": "unit-dropped"}, "deny is a str: it must be a list of strings"),
        ({"allow": 5}, "allow is a int: it must be a list of strings"),
        ({"allow": [5]}, r"allow\[0\] is of type int"),
        ({"extraction": [["latex"]]}, r"extraction\[0\] is of type list"),
        ({"compat": ["math-verify"]}, r"compat is \['math-verify'\]"),
        ({"float_rounding": [6]}, r"float_rounding is \[6\]"),
        ({"deadline_ms": "50"}, "deadline_ms is '50': it must be a number of milliseconds"),
        ({"deadline_ms": [50]}, r"deadline_ms is \[50\]"),
        ({"require_boxed": "no"}, "require_boxed is 'no': it must be true or false"),
        ({"strict": "no"}, "strict is 'no'"),
        ({"compat": "math-verify", "allow_set_relation_comp": []}, r"allow_set_relation_comp is \[\]"),
    ],
)
def test_bad_options_are_refused(options: VerifyOptions, message: str) -> None:
    with pytest.raises(InputError, match=message):
        p2o.verify("4", "4", **options)


def test_bad_batches_are_refused() -> None:
    with pytest.raises(InputError, match="2 completions but 1 golds"):
        p2o.verify_batch(["1", "2"], ["1"])
    with pytest.raises(InputError, match=r"golds\[1\] is of type int"):
        p2o.verify_batch(["1", "2"], ["1", 2])  # type: ignore[list-item]
    for threads in (0, "2", 2.0, 10**30):
        with pytest.raises(InputError, match=f"threads is {threads!r}: it must be an integer"):
            p2o.verify_batch(["1"], ["1"], threads=threads)  # type: ignore[call-overload]
    for texts in ("1", 1):
        with pytest.raises(InputError, match="lists"):
            p2o.verify_batch(texts, ["1"])  # type: ignore[arg-type]


def test_an_empty_batch() -> None:
    assert p2o.verify_batch([], []).shape == (0,)


def test_text_that_is_not_unicode() -> None:
    assert p2o.verify("\0\ud800 \\boxed{5}", "5").correct


@given(st.text(), st.text())
def test_any_text_gets_a_verdict(completion: str, gold: str) -> None:
    for compat in (None, "math-verify"):
        assert p2o.verify(completion, gold, compat=compat).status in (
            "correct",
            "wrong",
            "no_answer",
            "gold_unparsable",
            "timeout",
        )


@given(st.integers(), st.integers())
def test_integers_equal_themselves_only(left: int, right: int) -> None:
    assert p2o.verify(rf"\boxed{{{left}}}", str(left)).correct
    assert p2o.verify(rf"\boxed{{{left}}}", str(right)).correct == (left == right)


def test_verdicts_do_not_depend_on_threads() -> None:
    completions = [completion for completion, _, _ in PAIRS] * 400
    golds = [gold for _, gold, _ in PAIRS] * 400
    one = p2o.verify_batch(completions, golds, threads=1, return_verdicts=True)
    assert one == p2o.verify_batch(completions, golds, threads=4, return_verdicts=True)


def test_many_python_threads_at_once() -> None:
    results: list[list[float]] = []
    completions = [completion for completion, _, _ in PAIRS] * 50
    golds = [gold for _, gold, _ in PAIRS] * 50

    def work() -> None:
        results.append(p2o.verify_batch(completions, golds).tolist())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[float(correct) for _, _, correct in PAIRS] * 50] * 8


FORK = r"""
import os, p2o
completions, golds = [r"\boxed{1}"] * 200, ["1"] * 200
assert p2o.verify_batch(completions, golds, threads=2).sum() == 200
child = os.fork()
if child == 0:
    os._exit(0 if p2o.verify_batch(completions, golds, threads=2).sum() == 200 else 1)
assert os.waitpid(child, 0)[1] == 0
assert p2o.verify_batch(completions, golds, threads=2).sum() == 200
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_the_pool_works_after_a_fork() -> None:
    subprocess.run([sys.executable, "-c", FORK], check=True, timeout=60)


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="counts threads in /proc")
def test_the_number_of_threads_comes_from_the_environment() -> None:
    script = (
        "import os, p2o\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        r"p2o.verify_batch([r'\boxed{1}'] * 200, ['1'] * 200)" + "\n"
        "print(len(os.listdir('/proc/self/task')) - before)\n"
    )
    environment = {**os.environ, "P2O_NUM_THREADS": "3"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "3"


def test_a_number_of_threads_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("abc", "0", "-2"):
        monkeypatch.setenv("P2O_NUM_THREADS", text)
        with pytest.raises(InputError, match=f"P2O_NUM_THREADS = {text}: write a whole number"):
            p2o.verify_batch(["1"] * 20, ["1"] * 20)


SIGNALS = r"""
import signal, p2o

class Stopped(Exception):
    pass

seen = []

def handler(*_):
    seen.append(1)
    if len(seen) == 3:
        raise Stopped

signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
completions = [rf"\boxed{{{n}x + \sqrt{{{n}}}}}" for n in range(2000)] * 200
try:
    for threads in (1, 2):
        before = len(seen)
        p2o.verify_batch(completions, completions, threads=threads)
        print("ended after", len(seen) - before, "signals")
except Stopped:
    signal.setitimer(signal.ITIMER_REAL, 0)
    print("stopped")
print(p2o.verify_batch(completions[:100], completions[:100], threads=2).sum())
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timers on this platform")
def test_a_signal_is_handled_while_a_batch_runs_and_may_end_it() -> None:
    """Were signals looked at only at the end, the handler would run once a batch and end neither."""
    done = subprocess.run(
        [sys.executable, "-c", SIGNALS], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split("\n")[:2] == ["stopped", "100.0"]


def test_importing_does_not_import_torch() -> None:
    script = "import sys, p2o, p2o.rewards, p2o.cli.verify; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
