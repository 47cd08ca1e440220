"""Differential run against Math-Verify: every disagreement belongs to a class that was judged.

    python benches/verify_differential.py [--output benches/verify_differential.md]

The pairs are the cases of rust/p2o-core/tests/verify_cases.rs, whose verdicts are worked by hand, and pairs
drawn by verify_speed.py. Each is given to Math-Verify and to both profiles as `$..$`. A disagreement outside
the classes below ends the run with exit code 1.
"""

from __future__ import annotations

import argparse
import logging
import random
import re
import sys
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path

import math_verify

import p2o
import verify_speed

CASES = Path(__file__).parents[1] / "rust/p2o-core/tests/verify_cases.rs"

CLASSES: list[tuple[str, str, str]] = [
    ("scientific notation", "ours: `e` between digits is an exponent, not Euler's number", r"\d[eE]-?\d"),
    ("digit groups by space", "ours: thin spaces group digits", r"10\\,000|10 000|1\\:234"),
    ("a gold that is also a list", "ours: 1,234 may be two numbers", r"^1,234 "),
    ("repeating decimals", "ours: read exactly", r"overline|\(142857\)"),
    (
        "tiny values",
        "ours: six places alone make every tiny value equal",
        r"2004!|2\^\{-99\}|10\^\{17\}|10\^\{-40\}",
    ),
    ("large values", "ours: 15 digits do not tell 10^20 from its neighbours", r"10\^\{20\}"),
    ("mixed numbers and vulgar fractions in plain text", "ours", r"1 1/2|½|1\./3"),
    ("percent against a bare decimal", "ours: 28.5% as 28% does (default profile)", r"28\.5\\%"),
    (
        "degrees",
        "ours: 90° is π/2, and cos 60° is 1/2 (default profile)",
        r"90\^\\circ|60\^\\circ|36\^\\circ",
    ),
    ("units behind a number", "ours: km/h, m/s², dollars per hour", r"km/h|m/s\^2|per hour|\{\\text\{m\}\}"),
    ("different units", "ours: 5 cm is not 5 m (default profile)", r"\\text\{ (cm|sec|km/h|cubic feet)\}"),
    (
        "a variable taken for a unit",
        "ours: 6m is not 6 (default profile)",
        r"^6m |9\.8 t|\\frac\{37\}\{4\} m|\{m\} t",
    ),
    ("odd roots of negative numbers", "ours: real roots", r"\\sqrt\[3\]\{-8\}"),
    ("plain functions inside LaTeX", "ours: sqrt(2) is a root", r"sqrt\(2\)"),
    ("the imaginary unit", "ours: i is i in every context", r"i\\pi|i\^2|7 ?i|-6 i|\{-4\}"),
    (
        "identities between functions",
        "ours: on positive values",
        r"\\sqrt\[3\]\{y|\\ln x|\\ln\(xy\)|\{t\}\{2|e\^\{it",
    ),
    ("powers of -1 and i", "ours: letters in their exponents are whole numbers", r"\(-1\)\^|i\^\{4k"),
    ("symbols with subscripts and primes", "ours: one name however it is set", r"m_|E_1|x'"),
    (
        "scaled and solved equations",
        "ours: multiples of an equation are the same equation",
        r"2x=10|2x\^2-50|C\(h\)",
    ),
    (
        "equations without real solutions",
        "ours: Math-Verify compares empty lists of roots",
        r"50=1|10=2|\\cos 30 t",
    ),
    (
        "inequalities for a gold interval",
        "ours: solved forms count (default profile)",
        r"x > 2|x \\ne 3|1 < x < 2|x<1, x>3",
    ),
    ("scaled inequalities", "ours: positive multiples are the same inequality (default profile)", r"2x>0"),
    ("set-builders and sets in words", "ours", r"mid|x : |: x|emptyset|\\text\{ or \}|[Aa]ll real"),
    (
        "operations on sets",
        "ours: evaluated where numeric, free of order where symbolic",
        r"cap|A \\|\]1,2\[",
    ),
    ("vectors, columns and tuples", "ours: one vector", r"langle|pmatrix"),
    (
        "numerals in a base",
        "ours: by value, and by digits without a base (default profile)",
        r"101_|\(11\)_2|_\{16\}|text\{base \}|base \}",
    ),
    ("words with punctuation or an article", "ours", r"yes\.|diverges\.|an ellipse"),
    ("several choices", "ours: letters in a list have no order", r"A, C"),
    (
        "the way a value is set",
        "ours: color, underlining, upright letters, signs and words in text",
        r"color|underline|Both|\\text\{-\}|nicefrac|∛|mathrm\{e\}|mathrm\{x\^2\}|The answer is|MR=MC",
    ),
    ("mixed percentages", "ours: 12½% is 12.5%", r"frac1[23]\\%"),
    ("maxima", "ours: evaluated", r"\\max"),
    ("an approximation behind the value", "ours: 7/9 ≈ 0.778 says both", r"approx 0\.778"),
    (
        "scales in words",
        "ours: a million multiplies (compat lets it be left out as well)",
        r"million|thousand",
    ),
    ("names of number sets and of points", "ours", r"mathbb| U |P\("),
    ("sums that are zero", "ours: told from zero by their terms", r"arctan 1"),
    ("false statements", "ours: 6=5 is no answer (default profile)", r"6=5"),
    ("a hidden division by zero", "ours: no value", r"sqrt2\\sqrt2"),
    ("derivatives as names", "ours: dy/dx = v says v", r"\{dy\}\{dx\}"),
    ("choices with their text", "ours: the letter decides", r"textbf\{\(C\)\}|Option A"),
    ("residues", "ours: a residue class with its modulus; Math-Verify multiplies m, o and d", r"mod"),
    ("ellipses", "ours: digits that repeat, progressions that go on", r"\.\.\.|dots"),
    ("numbers in words", "ours: their value (default profile)", r"five|Two"),
    ("ordinals and temperatures", "ours: 7th is 7, 100°C is 100", r"\{th\}|circ\}C"),
    ("systems", "ours: equations that hold together", r"cases"),
    ("labels", "ours: dropped, and compared where both have one", r"Total|Area"),
    ("times of day", "ours: morning is not afternoon; a half of the day may be left out", r"5:30"),
    ("double factorials", "ours: 5!! is 5·3·1", r"!!"),
    ("domains behind a function", "ours: dropped where they restrict nothing", r"for all \}|for every"),
    ("floors and ceilings", "ours: compared around their steps", r"floor"),
    (
        "names of several values",
        "ours: roots with subscripts; bare values for two names in their order (default profile)",
        r"x_1=2,x_2=1|\|\| 2,1|\|\| 1,n|\(x,y\)=",
    ),
    ("arguments of functions", "ours: f(t)=2t defines what f(x)=2x does (default profile)", r"f\(t\)|y\(t\)"),
    (
        "words before a value",
        "ours: what only introduces it is left out",
        r"has \}|total of|exactly|negative",
    ),
    (
        "words behind a value",
        "ours: clauses and operations make another value",
        r"half|minus|is false|if \}|maybe|or more|squared|at most|or fewer|point two|incorrect|not the answer",
    ),
    ("words that bound a value", "ours: no value", r"least|(more|less) than|up to|almost|log of|square of"),
    ("collective numbers", "ours: a dozen is twelve", r"dozen"),
    ("fractions in words", "ours: their value (default profile)", r"two-thirds|three quarters"),
    ("several values with nouns", "ours: the nouns are units", r"goats|ducks"),
    ("dates", "ours: one date in any order (default profile)", r"January"),
    ("temperatures", "ours: Celsius is not Fahrenheit (default profile)", r"\{F\}"),
    ("times and ratios", "ours: a time of day is no ratio", r"\d:\d\d"),
    ("no solution in a sentence", "ours", r"no real solutions"),
    ("tautologies and undefined parts", "ours: say nothing", r"1=1|\\ln 0|0:0"),
    ("free constants", "ours: their names say nothing (default profile)", r"\+C|Ce|c_1"),
    ("graphs, maps and names", "ours: one function", r"f\(x\)=2x|P\(x\)|xy=6"),
    ("named quantities", "ours: the constant answers", r"AB|A1"),
    ("a value and its rounding", "ours: either", r"approx"),
    (
        "exact values of a decimal gold",
        "ours: three digits and more (default profile)",
        r"^-?(16|30|6|3)\.\d",
    ),
    ("layouts", "ours: aligned rows, arrays, tags", r"aligned|array|tag|checkmark|dfrac"),
    ("absolute values and half-lines", "ours: solved", r"\|[xz]\||R\}\^\+|nonnegative"),
    ("unit vectors, angles, ratios in words", "ours", r"mathbf|30\^\\circ|\{ to \}|Omega|s\}\^\{-2|dot"),
    ("empty intervals", "ours: nothing answers nothing", r"\(6,5\)|No solution|no solution|\\pm 5"),
    ("alternatives", "ours: no answer unless all agree", r"or \}|yes or no|no, yes"),
    ("measure words", "ours: units, and scales", r"页|千万"),
    ("numbers of combinations", "ours: `C_5^2` is one (default profile)", r"C_5"),
    ("signs and words for signs", "ours: signs", r"⩽|lbrace|text\{\\\$\}|union"),
    ("functions without brackets", "ours: a second number is no part of the argument", r"sin 2\\,3"),
    ("logarithms with their base behind", "ours: as Python writes them", r"log\(8, 2\)"),
    ("words in a sentence", "ours: what it says (default profile)", r"parabola"),
    ("unknown units", "ours: others than those of the gold", r"foo"),
    ("inequalities without a subject", "ours: a half-line, and no number", r"\|\| (>|\\ge)"),
]
"""Name, judgement, and what marks a pair `gold || answer` as belonging to the class."""


def pairs() -> list[tuple[str, str]]:
    found = []
    for block in re.findall(
        r'check\(\s*r"(.*?)",\s*(?:true|false)', CASES.read_text(encoding="utf-8"), re.DOTALL
    ):
        for line in block.splitlines():
            if " || " in line:
                gold, answer = line.strip().split(" || ")
                found.append((gold, answer))
    draw = random.Random(7)
    for make in verify_speed.KINDS.values():
        for _ in range(20):
            completion, gold = make(draw)
            found.append((gold, completion[completion.index("\\boxed{") + 7 : completion.rindex("}")]))
    return found


def with_math_verify(gold: str, answer: str) -> bool:
    return bool(math_verify.verify(math_verify.parse(f"${gold}$"), math_verify.parse(f"${answer}$")))


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".md"))
    options = arguments.parse_args()
    logging.disable(logging.CRITICAL)  # Math-Verify logs every failed parse
    cases = pairs()
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    unjudged = []
    for gold, answer in cases:
        theirs = with_math_verify(gold, answer)
        for profile, compat in (("default", None), ("math-verify", "math-verify")):
            if p2o.verify(f"${answer}$", f"${gold}$", compat=compat).correct == theirs:
                continue
            pair = f"{gold} || {answer}"
            name = next((name for name, _, mark in CLASSES if re.search(mark, pair)), None)
            if name is None:
                unjudged.append(f"{profile}: {pair} (Math-Verify: {theirs})")
            else:
                found[name][profile].append(pair)
    lines = [
        "# Disagreements with Math-Verify",
        "",
        f"Made by `make bench-verify`: {len(cases)} pairs, math-verify {version('math-verify')}. "
        'Columns: disagreements of the default profile and of `compat="math-verify"`.',
        "",
        "| class | judged | default | compat | example (gold, answer) |",
        "| --- | --- | ---: | ---: | --- |",
    ]
    for name, judgement, _ in CLASSES:
        if name in found:
            default, compat = found[name]["default"], found[name]["math-verify"]
            gold, answer = (default or compat)[0].replace("|", "\\|").split(" \\|\\| ")
            example = f"`{gold}`, `{answer}`"
            lines.append(f"| {name} | {judgement} | {len(default)} | {len(compat)} | {example} |")
    print("\n".join(lines))
    options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    for line in unjudged:
        print(f"not judged: {line}", file=sys.stderr)
    return 1 if unjudged else 0


if __name__ == "__main__":
    sys.exit(main())
