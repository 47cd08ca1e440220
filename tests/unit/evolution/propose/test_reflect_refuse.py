import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2o.evolution import ReflectionConfig
from p2o.evolution.propose.prompt import ReflectionExample
from p2o.evolution.propose.refuse import COPY, LEAK, TOO_LONG, copies, leaks, refuse

PROBLEM = "Let $n$ be the smallest positive integer such that the sum of its digits is nine times its length."


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("The sum was 1,024 there.", "1024"),
        ("It is 102.", "102"),
        ("use -102 here", "-102"),
        (r"so $\frac{3} {4}$ wins", r"$\boxed{\frac{3}{4}}$"),
        ("x + 12 = y", "x+12"),
        ("remember the Blue Whale", "blue whale"),
        ("answers lie in (1,2)", "(1, 2)"),
        ("the answer is 7.", "7"),
        ("Answer: Yes", "yes"),
        ("choose answer B", "B"),
        (r"finish with \boxed{7}", "7"),
        (r"finish with $\boxed{ 12 }$", "12"),
        ("The result = 42!", "42"),
    ],
)
def test_a_gold_answer_in_a_template_is_a_leak(text, gold):
    assert leaks(text, gold)


@pytest.mark.parametrize(
    ("text", "gold"),
    [
        ("Work in 7 steps.", "7"),
        ("1. Read. 2. Solve.", "1"),
        ("the answer is 70", "7"),
        ("the answer is 7.5", "7"),
        ("mod 1024", "102"),
        ("about 3.102", "102"),
        ("about 102.5", "102"),
        ("x102", "102"),
        ("say yes or no", "yes"),
        ("check option B twice", "B"),
        ("check every condition", "even"),
        ("look for even numbers", "even"),
        (r"give it within \boxed{}", "7"),
        ("anything", ""),
        ("anything", "$ $"),
    ],
)
def test_short_golds_in_passing_and_parts_of_numbers_are_no_leak(text, gold):
    assert not leaks(text, gold)


@given(st.integers(100, 10**9), st.sampled_from(["{}", "it was {} then", "({})", "${}$", "{:,}"]))
def test_no_number_of_three_digits_slips_through(gold, form):
    assert leaks("First read. " + form.format(gold) + " Then check.", str(gold))


@given(st.text(max_size=40), st.text(max_size=10))
def test_any_text_can_be_checked(text, gold):
    assert leaks(text, gold) in (True, False)
    assert copies(text, gold, 5) in (True, False)


def test_a_run_of_words_of_the_problem_is_a_copy():
    copied = "Remember: the smallest positive integer such that the sum of its digits, and so on."
    assert copies(copied, PROBLEM, 11)
    assert not copies(copied, PROBLEM, 12)


def test_a_short_problem_is_copied_as_a_whole():
    assert copies("Add 345 + 678 = ? from the right", "345+678=?", 12)
    assert not copies("Add from the right", "345+678=?", 12)
    assert copies("12+34= is easy", "12+34=", 12)
    assert not copies("1+34= is easy", "1+34=", 12), "five characters say nothing"
    assert copies("so what is the area?", "What is the area?", 12)


def test_refusal_names_the_first_reason():
    config = ReflectionConfig(max_template_chars=60)
    example = ReflectionExample("345+678=?", "923", 0.0, "1023")
    assert refuse("Add the digits from the right and carry.", [example], config) is None
    assert refuse("Say 1023.", [example], config) == LEAK
    assert refuse("For 345+678=? carry.", [example], config) == COPY
    assert refuse("x" * 61, [example], config) == TOO_LONG


def test_the_longest_template_is_as_long_as_the_setting_says():
    config = ReflectionConfig(max_template_chars=5)
    assert refuse("12345", [], config) is None
    assert refuse("123456", [], config) == TOO_LONG


def test_a_problem_of_three_words_is_compared_by_its_words():
    """Case and punctuation are no difference; of one or two words they are."""
    assert copies("First FIND X, now!", "find x now", 12)
    assert not copies("First FIND it, now!", "find x now", 12)
    assert not copies("ADD both", "add 12345+2", 12)
    assert copies("see add12345", "add 12345", 12)
