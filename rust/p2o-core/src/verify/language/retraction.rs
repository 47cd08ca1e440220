//! Where a text takes back what it has said: "Wait, that is wrong.", "I cannot solve it."

use super::lexicon::{self, Role};

/// Beginnings of sentences, in lower case, behind which the answer is looked for again.
const RECONSIDERS: [&str; 8] =
    ["wait", "hmm", "hold on", "let me re", "no, ", "actually, no", "but wait", "correction"];
/// What says that the answer was wrong.
const WRONG: [&str; 6] = ["wrong", "incorrect", "not right", "not correct", "a mistake", "not the answer"];

/// Where the first sentence begins that takes back what stands before the text. Who only reconsiders may come to the same
/// answer: that counts if `doubts` do.
pub(crate) fn retraction(text: &str, doubts: bool) -> Option<usize> {
    sentences(text).find(|(_, sentence)| takes_back(sentence, doubts)).map(|(at, _)| at)
}

fn takes_back(sentence: &str, doubts: bool) -> bool {
    let lower = sentence.to_ascii_lowercase();
    let reconsiders = RECONSIDERS.iter().find(|begin| lower.starts_with(**begin));
    let said = lower.rsplit([',', '-']).next().unwrap_or(&lower).trim().trim_end_matches(['*', '.']);
    let said = ["oh ", "but "].iter().find_map(|word| said.strip_prefix(word)).unwrap_or(said);
    let wrong = ["that is ", "that's ", "this is ", "that was ", "that’s ", "it is ", "it's "]
        .iter()
        .find_map(|subject| said.strip_prefix(subject))
        .is_some_and(|judged| WRONG.contains(&judged));
    let slip = said.starts_with("scratch that") || lower.starts_with("i made a mistake");
    wrong || slip || doubts && reconsiders.is_some()
}

/// Whether a sentence of the text says that its author has no answer: "I cannot solve it".
pub(crate) fn gives_up(text: &str) -> bool {
    sentences(text).any(|(_, sentence)| {
        let words: Vec<&str> = lexicon::words(sentence).collect();
        let first =
            words.first().is_some_and(|first| matches!(*first, "I" | "We" | "Sorry" | "Unfortunately"));
        first
            && words.windows(2).any(|pair| {
                let tries = matches!(pair[1], "solve" | "know" | "determine" | "answer" | "find" | "help");
                tries && (lexicon::is(pair[0], Role::Denial) || pair[0] == "to" && words.contains(&"unable"))
            })
    })
}

/// The sentences of a text, and where they begin.
fn sentences(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split(['.', '!', '?', ';', '\n', '…']).filter_map(|sentence| {
        let trimmed = sentence.trim_start_matches(|sign: char| !sign.is_alphanumeric());
        (!trimmed.is_empty()).then(|| (trimmed.as_ptr() as usize - text.as_ptr() as usize, trimmed))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_back_an_answer() {
        for (text, wrong, doubted) in [
            (". Wait, that is wrong. It is 8.", Some(2), Some(2)),
            ("$. That's incorrect: 3+5=8", None, None),
            (". That's incorrect. 8", Some(2), Some(2)),
            ("... let me re-check: 3+5=8", None, Some(4)),
            (". Hmm, the sum is 8.", None, Some(2)),
            (". This is not wrong.", None, None),
            (". The rest is easy.", None, None),
        ] {
            assert_eq!(retraction(text, false), wrong, "{text}");
            assert_eq!(retraction(text, true), doubted, "{text}");
        }
        assert!(gives_up("There are 7. I cannot solve it."));
        assert!(gives_up("I am unable to determine it."));
        assert!(!gives_up("There are 7. It cannot be solved otherwise. I know it."));
    }
}
