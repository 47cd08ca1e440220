//! Any text can be offered as a gold; one that parses is answered by itself in a box.
#![no_main]

use libfuzzer_sys::fuzz_target;
use p2o_core::verify::{Gold, Options, Profile, verify};

/// Whether a box around the text holds the whole text, and the text is no completion with marks of its own.
fn fits_a_box(text: &str) -> bool {
    let marks = [
        "$", "box", "\\(", "\\)", "\\[", "\\]", "**", "##", "~~", "think", "<|", "</", "<e", "[/INST]",
        "nswer",
    ];
    let mut depth = 0_i32;
    let mut escaped = false;
    for letter in text.chars() {
        depth += match letter {
            '{' if !escaped => 1,
            '}' if !escaped => -1,
            _ => 0,
        };
        escaped = letter == '\\' && !escaped;
        if depth < 0 || letter.is_control() {
            return false;
        }
    }
    depth == 0 && !escaped && !marks.iter().any(|mark| text.contains(mark))
}

fuzz_target!(|gold: &str| {
    for profile in [Profile::Default, Profile::MathVerify, Profile::Strict] {
        let options = Options { profile, deadline: None, ..Options::default() };
        let verdict = verify(&format!("\\boxed{{{gold}}}"), gold, &options);
        if profile == Profile::Default && Gold::parse(gold, &options).is_ok() && fits_a_box(gold) {
            assert!(verdict.is_correct(), "{verdict:?}");
        }
    }
});
