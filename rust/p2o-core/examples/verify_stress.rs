//! Verifies random mixtures of LaTeX: `cargo run --release --example verify_stress -- COUNT [SEED]`.
//!
//! Prints how many inputs ran, how many verdicts of each status they got, and the slowest input. A panic names the
//! input. Where coverage-guided fuzzing runs hundreds of inputs a second, this runs a hundred thousand.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use p2o_core::verify::{Options, Profile, verify};

/// Pieces of answers and of the text around them.
const PIECES: [&str; 114] = [
    "0x2A",
    "0b101",
    "(2A)_{16}",
    "\\angle ABC",
    "\\triangle{",
    "(a) ",
    "b)",
    "\\text{ out of }",
    "C_{12}^5",
    "{}_5C_2",
    "\\mu",
    "\\Omega",
    "\\text{at least }",
    "_{\\ge 0}",
    "{,}",
    ". Wait, that is wrong. ",
    "<think>",
    "\"answer\": ",
    "0",
    "1",
    "2",
    "7",
    "12",
    "1,234",
    "10\\,000",
    "0.5",
    ".25",
    "3.",
    "1e5",
    "4e-7",
    "0.\\overline{3}",
    "x",
    "y",
    "n",
    "e",
    "i",
    "\\pi",
    "\\theta",
    "\\infty",
    "f(",
    "(",
    ")",
    "[",
    "]",
    "\\{",
    "\\}",
    "{",
    "}",
    "|",
    "\\left(",
    "\\right)",
    "\\left|",
    "\\right|",
    "+",
    "-",
    "*",
    "/",
    "^",
    "^{",
    "_",
    "_{",
    "=",
    "<",
    "\\le",
    ">",
    "\\ge",
    "\\ne",
    "\\approx",
    ",",
    ";",
    ":",
    "!",
    "%",
    "\\%",
    "^\\circ",
    "'",
    "\\frac{",
    "}{",
    "\\frac12",
    "\\sqrt{",
    "\\sqrt[3]{",
    "\\binom{",
    "\\sin",
    "\\cos^2",
    "\\arctan",
    "\\ln",
    "\\log_2",
    "\\exp",
    "\\lfloor",
    "\\rfloor",
    "\\sum_{k=1}^{",
    "\\prod_{k=1}^{3}",
    "\\pm",
    "\\cup",
    "\\cap",
    "\\setminus",
    "\\in",
    "\\mathbb{R}",
    "\\emptyset",
    "\\text{ cm}",
    "\\text{ or }",
    " and ",
    "\\mathrm{T}",
    "\\begin{pmatrix}",
    "&",
    "\\\\",
    "\\end{pmatrix}",
    "\\langle",
    "\\rangle",
    "\\boxed{",
    "$",
    " answer is ",
    "</think>",
    "é",
];

/// A small generator of pseudo-random numbers (`SplitMix64`).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ (word >> 31)) % limit as u64) as usize
    }

    fn text(&mut self) -> String {
        // Short mixtures often mean something, long ones seldom.
        let most = [4, 8, 24][self.below(3)];
        let length = 1 + self.below(most);
        (0..length).map(|_| PIECES[self.below(PIECES.len())]).collect()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let count: u64 = arguments.next().ok_or("usage: verify_stress COUNT [SEED]")?.parse()?;
    let mut random = Random(arguments.next().map_or(Ok(0), |seed| seed.parse())?);
    let mut statuses = BTreeMap::new();
    let mut slowest = (Duration::ZERO, String::new());
    for index in 0..count {
        let gold = random.text();
        // Half of the answers are the gold with a piece exchanged, so that parsing succeeds on both sides more often.
        let answer = if random.below(2) == 0 { random.text() } else { gold.replacen('1', "2", 1) };
        let completion = if random.below(4) == 0 { answer } else { format!("\\boxed{{{answer}}}") };
        let profile = [Profile::Default, Profile::MathVerify, Profile::Strict][random.below(3)];
        let options = Options { profile, deadline: None, ..Options::default() };
        let start = Instant::now();
        let verdict = std::panic::catch_unwind(|| verify(&completion, &gold, &options))
            .map_err(|_| format!("input {index}: a panic on {completion:?} against {gold:?}"))?;
        let taken = start.elapsed();
        if taken > slowest.0 {
            slowest = (taken, format!("{completion:?} against {gold:?}"));
        }
        *statuses.entry(verdict.status.name()).or_insert(0u64) += 1;
    }
    writeln!(std::io::stdout(), "{count} inputs: {statuses:?}\nslowest: {:?} for {}", slowest.0, slowest.1)?;
    Ok(())
}
