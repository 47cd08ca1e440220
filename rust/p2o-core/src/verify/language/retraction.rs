//! Where a text takes back what it has said: "Wait, that is wrong.", "I cannot solve it."

use super::lexicon::{self, Role};

/// Beginnings of sentences, in lower case, behind which the answer is looked for again.
const RECONSIDERS: [&str; 8] =
    ["wait", "hmm", "hold on", "let me re", "no, ", "actually, no", "but wait", "correction"];
/// What such a sentence is about, and what it says of it.
const SUBJECTS: [&str; 7] = ["that is ", "that's ", "that’s ", "this is ", "that was ", "it is ", "it's "];
const WRONG: [&str; 6] = ["wrong", "incorrect", "not right", "not correct", "a mistake", "not the answer"];

/// Where the first sentence begins that takes back what stands before the text. Who only reconsiders may come to the same
/// answer: that counts if `doubts` do.
pub(crate) fn retraction(text: &str, doubts: bool) -> Option<usize> {
    sentences(text).find(|(_, sentence)| takes_back(sentence, doubts)).map(|(at, _)| at)
}

fn takes_back(sentence: &str, doubts: bool) -> bool {
    let said = sentence.rsplit([',', '-']).next().unwrap_or(sentence).trim().trim_end_matches('*');
    let said =
        ["oh ", "but "].iter().find(|word| has_prefix(said, word)).map_or(said, |word| &said[word.len()..]);
    let wrong = WRONG.iter().any(|judged| {
        said.strip_suffix(judged)
            .is_some_and(|subject| SUBJECTS.iter().any(|known| known.eq_ignore_ascii_case(subject)))
    });
    let slip = has_prefix(said, "scratch that") || has_prefix(sentence, "i made a mistake");
    wrong || slip || doubts && RECONSIDERS.iter().any(|begin| has_prefix(sentence, begin))
}

/// Whether a text begins so, in whatever case.
fn has_prefix(text: &str, begin: &str) -> bool {
    text.get(..begin.len()).is_some_and(|first| first.eq_ignore_ascii_case(begin))
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
