//! The table of rules in docs/equal-answers.md says what the verifier does.

use p2o_core::verify::{Options, Profile, verify};

const PROFILES: [Profile; 3] = [Profile::Default, Profile::Strict, Profile::MathVerify];

/// What stands between backquotes.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn every_rule_of_the_page_holds_in_every_profile() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/equal-answers.md");
    // The published crate has no pages beside it.
    let Ok(page) = std::fs::read_to_string(page) else { return };
    let (mut held, mut failures) = ([0, 0], Vec::new());
    for line in page.lines() {
        let cells: Vec<&str> = line.trim().trim_matches('|').split(" | ").map(str::trim).collect();
        let [_, gold, answers, marks @ ..] = &cells[..] else { continue };
        let Some(gold) = quoted(gold).next().filter(|_| marks.len() == 3) else { continue };
        // Behind these stand an explanation and the rule the other way round.
        let end = [" (base", "; and", "; `"].iter().filter_map(|stop| answers.find(stop)).min();
        for answer in quoted(&answers[..end.unwrap_or(answers.len())]) {
            for (mark, profile) in marks.iter().zip(PROFILES) {
                if !["✓", "–"].contains(mark) {
                    continue;
                }
                let options = Options { profile, ..Options::default() };
                let correct = verify(&format!("\\boxed{{{answer}}}"), gold, &options).is_correct();
                held[usize::from(correct)] += 1;
                if correct != (*mark == "✓") {
                    failures.push(format!("{gold} || {answer} under {profile:?}: {correct}"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(held.iter().all(|&count| count > 100), "{held:?}");
}
