//! Where a text takes back what it has said: "Wait, that is wrong.", "I cannot solve it."

use std::borrow::Cow;

use super::lexicon::{self, Role, has, one_of};
use super::statement::is_digit;
use super::text::{around, has_prefix};
use super::{denial, numerals};

/// Beginnings of sentences behind which the answer is looked for again, single words that are such a beginning, and those that
/// only lead to one.
const RECONSIDERS: &str = "just kidding|or rather|hold on|let me re|no, |no wait|actually, no|actually, it|but wait|on second thought";
const DOUBTS: &str = "wait hmm hmmm oops correction";
const HESITATES: &str = "no actually oh sorry but however";
/// Beginnings of sentences that put another value in the place of one: "Edit: 8", "Recounting gives 8".
const CORRECTS: &str = "edit:|edit,|oops|my apologies|apologies|sorry|rather,|after correction|correction|on second count|on closer|\
    on reflection|recalculating|recounting|recomputing|counting again|so really|actually, it is|no, it is";
/// What was done wrong, by whom.
const MISTAKES: &str = "mistake error slip miscalculation overcount undercount miscount typo";
const MISSES: &str = "double counts ignores misses forgets neglects includes";
const ERRS: &str =
    "misread miscounted miscalculated misunderstood overcounted undercounted forgot overlooked meant";
const REDOES: &str = "recounted recomputed recalculated rechecked redid";
/// What a sentence about a value begins with, and the beginnings of one that takes it back.
const SUBJECTS: &str = "that this it the there above previous my answer result value";
const TAKEN: &str = "scratch that|strike that|disregard|ignore that|ignore the above|never mind|nevermind";
/// What is still to be done with a value, and the words that lead to it.
const ALTERS: &str = "subtract add divide multiply exclude remove double halve discard deduct include";
const NEEDS: &str = "we We I must should need have to still also now then Finally finally";

/// Where the first sentence begins that takes back what stands before the text. Who only reconsiders may come to the same
/// answer: that counts if `doubts` do. Without them a sentence further on is about something else.
pub(crate) fn retraction(text: &str, doubts: bool) -> Option<usize> {
    if !text.contains(char::is_alphanumeric) {
        return None;
    }
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
    let clauses = sentence.match_indices([',', '-']).map(|(at, _)| (&sentence[..at], &sentence[at + 1..]));
    let reconsiders = || {
        let first = lexicon::words(sentence).next().unwrap_or("");
        RECONSIDERS.split('|').any(|begin| has_prefix(sentence, begin)) || is_among(first, DOUBTS)
    };
    clauses.chain([("", sentence)]).any(|(before, said)| slips(before, said)) || doubts && reconsiders()
}

/// Whether a clause says that what was found is wrong or is still to be changed.
fn slips(before: &str, said: &str) -> bool {
    let contrasts = |text| has_prefix(text, "but") || has_prefix(text, "however");
    let contrasts = contrasts(before) || contrasts(said);
    let said = said.trim().trim_end_matches('*');
    let concludes = has_prefix(said, "so ");
    let corrects = CORRECTS.split('|').any(|begin| has_prefix(said, begin));
    let said = ["oh ", "but ", "so ", "edit: ", "update: "]
        .iter()
        .find(|word| has_prefix(said, word))
        .map_or(said, |word| &said[word.len()..]);
    // Of "who counts 8, that is wrong" only 8 is.
    let first = lexicon::words(before).next().unwrap_or("wait");
    let hesitant = is_among(first, DOUBTS)
        || lexicon::words(before).all(|word| is_among(word, DOUBTS) || is_among(word, HESITATES));
    let plain = if said.contains(['\'', '’']) {
        Cow::Owned(said.replace("'s ", " is ").replace("’s ", " is "))
    } else {
        Cow::Borrowed(said)
    };
    let words: Vec<&str> = lexicon::words(&plain).collect();
    let subject = words.iter().take_while(|word| is_among(word, SUBJECTS)).count();
    let of_it = if subject > 0 { &words[subject..] } else { &[] };
    let (wrong, absurd) = match *of_it {
        ["is" | "was", "no", "solution" | "answer"] => (false, contrasts),
        ["is", "only" | "just" | "merely", .., "bound"]
        | ["doesn't" | "doesn’t", "look" | "seem", ..]
        | ["does", "not", "look" | "seem", ..] => (true, false),
        ["is" | "was", ref judged @ ..] => (is_wrong(judged), false),
        ["should" | "must", "be", number, ..] => (!before.is_empty() && is_digit(number), false),
        ["cannot" | "can't" | "can’t", "be", ..] => (false, true),
        // "However, this counts each pair twice."
        [verb, ..] if contrasts || !before.is_empty() => {
            (one_of!(verb, MISSES) || verb.ends_with('s') && lexicon::is(verb, Role::Denial), false)
        }
        [verb, ..] => (matches!(verb, "contradicts" | "violates"), false),
        [] => (false, false),
    };
    let begin = &words[..words.len().min(6)];
    let erred = has_prefix(said, "i made a") && begin.iter().any(|word| one_of!(word, MISTAKES))
        || words.first() == Some(&"I")
            && begin.iter().any(|word| one_of!(word, ERRS))
            && !begin.contains(&"mention");
    // "But we must still subtract 2."
    let step = words.iter().find(|word| !one_of!(word, NEEDS));
    let altered = |by: &[&str]| by.len() == 1 || matches!(by[1], "by" | "it" | "this") || is_digit(by[1]);
    // "The question asks for pairs, so divide by 2."
    let changes = step.is_some_and(|step| one_of!(step, ALTERS))
        && (contrasts
            || words.first().is_some_and(|first| one_of!(first, "Finally finally"))
            || concludes && words.first() == step && altered(&words));
    let asked =
        contrasts && words.windows(2).any(|pair| matches!(pair, ["asked" | "asks" | "wants", "for" | "the"]));
    // "So the true count is 20", "the answer should be 20", "I recounted and got 20", "the number is one less, 20"
    let restated = words.windows(4).any(|part| {
        let named = match part[1..3] {
            ["answer", "is"] => one_of!(part[0], "true correct actual real"),
            [noun, "is"] => {
                one_of!(part[0], "true correct actual real final required desired requested")
                    && (one_of!(noun, "count one") || lexicon::is_any(noun, &[Role::Answer, Role::Computed]))
            }
            ["is", "actually" | "really"] | ["should" | "must", "be"] => lexicon::is(part[0], Role::Answer),
            ["to", "be"] => part[0] == "ought",
            ["have", "been"] => one_of!(part[0], "should must"),
            ["and", "got" | "get" | "found"] => one_of!(part[0], REDOES),
            _ => false,
        };
        named && is_digit(part[3])
    }) || words.windows(3).any(|part| {
        part[0] == "is" && numerals::is_number_word(part[1]) && one_of!(part[2], "less fewer more")
    }) && !words.contains(&"than");
    let judged = matches!(words[..], [word] if lexicon::is(word, Role::Judgement));
    asked
        || restated
        || corrects && (words.len() == 1 || words.iter().any(|word| is_digit(word)))
        || judged
        || concludes && erred
        || absurd
        || TAKEN.split('|').any(|begin| has_prefix(said, begin))
        || hesitant && (wrong || erred)
        || changes
}

/// Whether what is said of a value is that it is none: "wrong", "an overcount", "off by one", "too small", "false because ..".
fn is_wrong(judged: &[&str]) -> bool {
    let neutral = |word: &&&str| lexicon::is_any(word, &[Role::Article, Role::Approximation]);
    match &judged[judged.iter().take_while(neutral).count()..] {
        ["too", ..] => true,
        ["not", said @ .., "answer"] => {
            said.iter().all(|word| one_of!(word, "the my our final correct right"))
        }
        ["not", said @ ("right" | "correct"), rest @ ..] | [said, rest @ ..] => {
            let ends = rest.first().is_none_or(|next| one_of!(next, "because since as by"));
            ends && (judged.contains(&"not")
                || lexicon::is(said, Role::Judgement)
                || one_of!(said, MISTAKES)
                || *said == "off")
        }
        [] => false,
    }
}

fn is_among(word: &str, known: &str) -> bool {
    known.split(' ').any(|known| known.eq_ignore_ascii_case(word))
}

/// Whether a sentence of the text says that its author has no answer: "I cannot solve it".
pub(crate) fn gives_up(text: &str) -> bool {
    sentences(text).any(|(_, sentence)| {
        let words: Vec<&str> = lexicon::words(sentence).collect();
        let first = words.contains(&"I")
            || words.first().is_some_and(|first| one_of!(first, "We Sorry Unfortunately"));
        let fails = |pair: &[&str]| {
            one_of!(pair[1], "solve know determine answer find help compute calculate tell")
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
            (". Adding 1 for the empty set, the final count is 8.", Some(2), Some(2)),
            (". I recounted and got 8.", Some(2), Some(2)),
            (". Edit: 8", Some(2), Some(2)),
            (". Oops! It is 8.", Some(2), Some(2)),
            (". Counting again gives the same.", None, None),
            (". So the desired product is 8.", Some(2), Some(2)),
            (". Finally, subtract 1.", Some(2), Some(2)),
            (". On reflection it ought to be 8.", Some(2), Some(2)),
            (". The number asked for is one less, namely 8.", Some(2), Some(2)),
            (". This is one more than 6.", None, None),
            (". We want pairs, so divide by 2.", Some(2), Some(2)),
            (". The factor is 2, so divide both sides first.", None, None),
        ] {
            assert_eq!(retraction(text, false), wrong, "{text}");
            assert_eq!(retraction(text, true), doubted, "{text}");
        }
        assert!(gives_up("There are 7. I cannot solve it."));
        assert!(gives_up("I am unable to determine it."));
        assert!(!gives_up("There are 7. It cannot be solved otherwise. I know it."));
    }
}
