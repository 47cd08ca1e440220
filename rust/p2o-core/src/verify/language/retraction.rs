//! Where a text takes back what it has said: "Wait, that is wrong.", "I cannot solve it."

use super::denial;
use super::lexicon::{self, Role, has, one_of};
use super::text::around;

/// Beginnings of sentences behind which the answer is looked for again, and single words that are such a beginning.
const RECONSIDERS: [&str; 10] = [
    "just kidding",
    "or rather",
    "hold on",
    "let me re",
    "no, ",
    "no wait",
    "actually, no",
    "actually, it",
    "but wait",
    "on second thought",
];
#[rustfmt::skip]
const HESITATES: [&str; 11] = [
    "wait", "hmm", "hmmm", "oops", "correction", "no", "actually", "oh", "sorry", "but", "however",
];
/// What was done wrong, by whom.
const MISTAKES: &str = "mistake error slip miscalculation overcount undercount miscount typo";
const MISSES: &str =
    "double counts overcounts undercounts ignores misses forgets neglects includes excludes omits";
const ERRS: &str =
    "misread miscounted miscalculated misunderstood overcounted undercounted forgot overlooked";

/// Where the first sentence begins that takes back what stands before the text. Who only reconsiders may come to the same
/// answer: that counts if `doubts` do. Without them a sentence further on is about something else.
pub(crate) fn retraction(text: &str, doubts: bool) -> Option<usize> {
    let near = if doubts { usize::MAX } else { 2 };
    // "7 is wrong.", "7 (wrong)", "7 was my first guess, but it is wrong."
    let goes_on = |at: usize, sentence: &str| {
        let verb = lexicon::words(sentence).next().is_some_and(|first| lexicon::is(first, Role::Verb));
        let later = || sentence.split(',').skip(1).any(|part| takes_back(part.trim(), false));
        !text[..at].contains(['.', '\n'])
            && (denial::is_denied_by(sentence)
                || verb && later()
                || is_wrong(&lexicon::words(sentence).collect::<Vec<_>>()))
    };
    let mut near = sentences(text).take(near);
    near.find(|(at, sentence)| takes_back(sentence, doubts) || goes_on(*at, sentence)).map(|(at, _)| at)
}

fn takes_back(sentence: &str, doubts: bool) -> bool {
    let (before, said) = sentence.rsplit_once([',', '-']).unwrap_or(("", sentence));
    let said = said.trim().trim_end_matches('*');
    let said = ["oh ", "but ", "so ", "edit: "]
        .iter()
        .find(|word| has_prefix(said, word))
        .map_or(said, |word| &said[word.len()..]);
    // Of "who counts 8, that is wrong" only 8 is.
    let first = lexicon::words(before).next().unwrap_or("wait");
    let hesitant = is_one_of(first, &HESITATES[..5]) || is_one_of(before.trim(), &HESITATES);
    let subject = ["that", "this", "it", "the above"].into_iter().find(|subject| has_prefix(said, subject));
    let of_it: Vec<&str> = lexicon::words(&said[subject.map_or(said.len(), str::len)..]).collect();
    let (wrong, absurd) = match of_it[..] {
        ["s" | "is" | "was", ref judged @ ..] => (is_wrong(judged), false),
        ["doesn't" | "doesn’t", "look" | "seem", ..] | ["does", "not", "look" | "seem", ..] => {
            (true, false)
        }
        ["cannot" | "can't" | "can’t", "be", ..] => (false, true),
        // "However, this counts each pair twice."
        [verb, ..] => (!before.is_empty() && one_of(verb, MISSES), false),
        [] => (false, false),
    };
    let erred = said.starts_with(['I', 'i']) && {
        let words: Vec<&str> = lexicon::words(said).take(6).collect();
        has_prefix(said, "i made a") && words.iter().any(|word| one_of(word, MISTAKES))
            || words[0] == "I" && words.iter().any(|word| one_of(word, ERRS)) && !words.contains(&"mention")
    };
    let slip = absurd || has_prefix(said, "scratch that") || hesitant && (wrong || erred);
    let reconsiders = || {
        let first = lexicon::words(sentence).next().unwrap_or("");
        RECONSIDERS.iter().any(|begin| has_prefix(sentence, begin)) || is_one_of(first, &HESITATES[..5])
    };
    slip || doubts && reconsiders()
}

/// Whether what is said of a value is that it is none: "wrong", "an overcount", "off by one", "too small", "false because ..".
fn is_wrong(judged: &[&str]) -> bool {
    let neutral = |word: &&&str| lexicon::is_any(word, &[Role::Article, Role::Approximation]);
    match &judged[judged.iter().take_while(neutral).count()..] {
        ["too", ..] | ["not", "right" | "correct"] | ["not", "the", "answer"] => true,
        [said, rest @ ..] => {
            let ends = rest.first().is_none_or(|next| one_of(next, "because since as by"));
            ends && (lexicon::is(said, Role::Judgement) || one_of(said, MISTAKES) || *said == "off")
        }
        [] => false,
    }
}

fn is_one_of(text: &str, known: &[&str]) -> bool {
    known.iter().any(|known| known.eq_ignore_ascii_case(text))
}

/// Whether a text begins so, in whatever case.
fn has_prefix(text: &str, begin: &str) -> bool {
    text.get(..begin.len()).is_some_and(|first| first.eq_ignore_ascii_case(begin))
}

/// Whether a sentence of the text says that its author has no answer: "I cannot solve it".
pub(crate) fn gives_up(text: &str) -> bool {
    sentences(text).any(|(_, sentence)| {
        let words: Vec<&str> = lexicon::words(sentence).collect();
        let first = words.contains(&"I")
            || words.first().is_some_and(|first| one_of(first, "We Sorry Unfortunately"));
        let fails = |pair: &[&str]| {
            one_of(pair[1], "solve know determine answer find help compute calculate tell")
                && (lexicon::is(pair[0], Role::Denial) || pair[0] == "to" && words.contains(&"unable"))
        };
        first && words.windows(2).any(fails)
            || sentence.contains("enough information") && has(&words, &[Role::Denial])
    })
}

/// The sentences of a text, and where they begin.
fn sentences(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split(['.', '!', '?', ';', '\n', '…']).filter_map(|sentence| {
        let trimmed = sentence.trim_start_matches(|sign: char| !sign.is_alphanumeric());
        (!trimmed.is_empty()).then(|| (around(text, trimmed).0.len(), trimmed))
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
            (". Waiting takes longer.", None, None),
            (". Who counts 8, that is wrong.", None, None),
            (". It is odd. Some say 8. That is wrong.", None, Some(25)),
        ] {
            assert_eq!(retraction(text, false), wrong, "{text}");
            assert_eq!(retraction(text, true), doubted, "{text}");
        }
        assert!(gives_up("There are 7. I cannot solve it."));
        assert!(gives_up("I am unable to determine it."));
        assert!(!gives_up("There are 7. It cannot be solved otherwise. I know it."));
    }
}
