//! What tests of answers in boxes share.

use p2o_core::verify::{Options, Status, verify};

/// Verifies lines of `gold || answer`, each answer in a box, and names those that come to another status.
pub(crate) fn check(cases: &str, expected: Status) {
    let failures: Vec<&str> = cases
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .filter(|line| {
            let (gold, answer) = line.split_once(" || ").expect("gold || answer");
            let completion = format!("So it is \\boxed{{{answer}}}.");
            verify(&completion, gold, &Options::default()).status != expected
        })
        .collect();
    assert!(failures.is_empty(), "not {expected}:\n{}", failures.join("\n"));
}
