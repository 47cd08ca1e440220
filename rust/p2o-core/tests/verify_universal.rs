//! Answers that fit everything are paid by nothing: each against golds of every kind.

use std::path::PathBuf;

use p2o_core::verify::{Options, verify};

/// Strings that a sloppy reader could take for many golds.
const UNIVERSAL: &[&str] = &[
    r"\emptyset",
    r"0:0",
    r"0:0:0",
    r"\text{no solution}",
    r"1=1",
    r"0=0",
    r"x=x",
    r"1,2,3,4,5,6,7,8,9,10",
    r"\text{none}",
    r"\text{all of the above}",
    r"\mathbb{R}",
    r"(-\infty,\infty)",
    r"\infty",
    r"-\infty",
    r"0/0",
    r"\frac{0}{0}",
    r"1/0",
    r"\infty-\infty",
    r"\text{undefined}",
    r"()",
    r"\{\}",
    r"[]",
    r"A,B,C,D",
    r"ABCD",
    r"\text{A or B or C or D}",
    r"\text{yes or no}",
    r"\text{true or false}",
    r"\text{any number}",
    r"\text{the answer}",
    r"\text{answer}",
    r"?",
    r"...",
    r"\ldots",
    r"\pm",
    r"0^0",
    r"\%",
    r"^\circ",
    r"\text{NaN}",
    r"NaN",
    r"nan",
    r"null",
    r"\text{cm}",
    r"\$",
    r"+",
    r"-",
    r"=",
    r"x=",
    r"f(x)=f(x)",
    r"x\in\mathbb{R}",
    r"x\in S",
    r"\text{for all }x",
    r"\text{see above}",
    r"\text{I don't know}",
    r"0\text{ or }1",
    r"c",
    r"x+C",
    r"\ln 0",
    r"\ln 0-\ln 0",
    r"\log 0",
    r"\sin",
    r"\min",
    r"\max",
    r"\text{between}",
    r"00:00",
    r"1:1:1",
    r"\text{AM}",
    r"[1,1)",
    r"\begin{pmatrix}\end{pmatrix}",
    r"\text{DNE}",
    r"x\ne x",
    r"x<x",
    r"x\le x",
    r"0<1",
    r"1>0",
    r"\text{it depends}",
    r"\text{not }x",
    r"\text{ways}",
    r"\text{units}",
    r"k\pi, k \in \mathbb{R}",
    r"k, k\in\mathbb{Z}",
    r"k \in \mathbb{Z}",
    r"\text{otherwise}",
    r"\begin{cases} x & x>0 \\ x & x\le 0\end{cases}",
    r"1+\cdots",
    r"a_1+\cdots+a_n",
    r"x\to\infty",
    r"不知道",
    r"以上都是",
    r"是",
    r"不是",
    r"\text{at least }0.7",
    r"\text{more than }0.7",
    r"\text{all but }0",
    r"\text{some number}",
    r"\text{positive}",
    r"|x|\ge 0",
    r"x^2\ge 0",
    r"\ce{X}",
    r"\text{yes and no}",
];

/// A gold of each kind.
const GOLDS: &[&str] = &[
    "5",
    "-3",
    r"\frac{3}{4}",
    "0.333",
    "1000000",
    r"28\%",
    r"\$12.50",
    r"2\sqrt{2}",
    r"\pi",
    "3+4i",
    "101_2",
    "12:30",
    "3:2",
    "1:2:3",
    r"5 \text{ cm}",
    r"90^\circ",
    "x^2-5x+6",
    r"\frac{n(n+1)}{2}",
    "x^2+C",
    "y=2x+3",
    "x=5",
    r"x=2, x=-3",
    "(1,2)",
    r"\{1,2,3\}",
    "(1,2),(3,4)",
    "(2,5]",
    r"(-\infty,1)\cup(3,\infty)",
    "x>2",
    r"x \ne \pm 5",
    r"x=\frac{\pi}{4}+k\pi, k\in\mathbb{Z}",
    r"5 \pmod 7",
    r"\begin{pmatrix}1\\2\end{pmatrix}",
    r"\begin{pmatrix}1&2\\3&4\end{pmatrix}",
    "f(x)=2x",
    r"f(x)=\begin{cases} x^2 & x<1 \\ 2x-1 & x\ge 1\end{cases}",
    "B",
    r"\text{(E)}",
    "BD",
    r"\text{Yes}",
    r"\text{No}",
    r"\text{True}",
    r"\text{Evelyn}",
    r"\text{ellipse}",
    r"\text{January 5}",
    r"\mathrm{SO_4^{2-}}",
    r"3 \pm 2\sqrt{2}",
    "16.7",
    "2.45e6",
    r"|AB|=1",
    "充分不必要条件",
];

fn paid<'a>(golds: impl Iterator<Item = &'a str>) -> Vec<(String, &'static str)> {
    let mut found = Vec::new();
    for gold in golds {
        for answer in UNIVERSAL {
            if verify(&format!("\\boxed{{{answer}}}"), gold, &Options::default()).is_correct() {
                found.push((gold.to_string(), *answer));
            }
        }
    }
    found
}

#[test]
fn nothing_fits_golds_of_every_kind() {
    assert!(UNIVERSAL.len() >= 95);
    assert_eq!(paid(GOLDS.iter().copied()), []);
}

/// The golds of the data sets, where they lie beside the repository or where `P2O_DATA` says.
#[test]
fn nothing_fits_the_golds_of_the_data_sets() {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data");
    let folder = std::env::var("P2O_DATA").map_or_else(|_| PathBuf::from(beside), PathBuf::from);
    let Ok(files) = std::fs::read_dir(folder) else { return };
    let mut golds = Vec::new();
    for path in files
        .flatten()
        .map(|file| file.path())
        .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
    {
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            if let Some(gold) = row["gold"].as_str().or_else(|| row["answer"].as_str()) {
                golds.push(gold.to_string());
            }
        }
    }
    golds.sort_unstable();
    golds.dedup();
    // What is said is the gold itself, or the same in other words.
    let same = |gold: &str, answer: &str| {
        let nothing = [r"\emptyset", r"\{\}", r"\text{no solution}", r"\text{none}"];
        let none = nothing.contains(&answer)
            && (gold.to_lowercase().contains("no solution") || gold.contains("empty"));
        let plain =
            |text: &str| text.replace("\\text", "").replace(['{', '}', '$', ' ', '\\'], "").to_lowercase();
        none || plain(gold) == plain(answer)
            || gold.contains(answer.trim_start_matches('-')) && answer.contains("infty")
            || gold.contains("infinitely many") && answer == r"\infty"
            || answer == "1=1" && gold.ends_with("=1")
    };
    let wrong: Vec<_> = paid(golds.iter().map(String::as_str))
        .into_iter()
        .filter(|(gold, answer)| !same(gold, answer))
        .collect();
    assert_eq!(wrong, []);
}
