//! Where a sentence says of a value in it that it is not the answer: "it is not 7", "7 is wrong", "between 5 and 7".

use super::english::CHANGES;
use super::lexicon::{self, Role};

/// Whether a text ends by saying that what follows is not so: "it is not", "this cannot be".
pub(crate) fn denies_next(before: &str) -> bool {
    let before = before.strip_suffix("\\boxed{").unwrap_or(before);
    let before = before.trim_end_matches(['$', '\\', '(', '*', ' ', '}', ':']);
    if lexicon::ends_with_any(
        before.trim_end_matches("等于").trim_end_matches(['有', '是', '为', '需', '要', '选']),
        &[Role::Denial, Role::Bound, Role::Operation, Role::Hedge],
    ) {
        return true;
    }
    let mut words = before.rsplit([' ', '\n', '{']);
    // "No. 5" is a number.
    let denies = |word: &str| word != "no" && word != "No." && lexicon::is(word, Role::Denial);
    match words.next() {
        // "cannot be", "no es", "non è"
        Some("be" | "equal" | "es" | "é" | "è" | "sea") => {
            words.next().is_some_and(|word| lexicon::is_any(word, &[Role::Denial, Role::Modal]))
        }
        Some("from") => true,
        Some("out") => words.next().is_some_and(|word| matches!(word, "ruled" | "rule" | "rules")),
        Some("to") => words.next() == Some("up"),
        Some("of") => {
            words.next().is_some_and(|word| lexicon::is_any(word, &[Role::Operation, Role::Computed]))
        }
        Some("but") => words.next().is_some_and(|word| {
            matches!(word, "all" | "All" | "anything" | "Anything" | "everything" | "Everything" | "nothing")
        }),
        // "The point" is no sign of a decimal.
        last => last.is_some_and(|last| {
            denies(last)
                || is_one_side(last)
                || lexicon::is_any(last, &[Role::Hedge, Role::Heading])
                || lexicon::is(last, Role::Operation) && last != "point"
        }),
    }
}

/// Whether a sentence begins by naming a value as one of two bounds: "between 5 and 6".
pub(crate) fn is_between(sentence: &str, value: &str) -> bool {
    let bounds = sentence.split_once("between ").and_then(|(_, bounds)| bounds.split_once(" and "));
    bounds.is_some_and(|(low, high)| {
        let high = lexicon::words(high).next().unwrap_or("");
        [low, high].iter().any(|bound| bound.trim_matches(['$', ' ']) == value.trim_matches(['$', '.', ',']))
    })
}

/// Whether what is said next is only thought, and not so: "I don't think the", "it is not true that the", "if it were".
pub(crate) fn doubts_next(before: &str) -> bool {
    let clause = before.rsplit(['.', ',', ';', ':', '\n']).next().unwrap_or(before);
    let words: Vec<&str> = lexicon::words(clause).collect();
    // "The most likely number is 5" and "her guess was 5" say one.
    let supposes = |word: &&str| {
        lexicon::is(word, Role::Supposition)
            || lexicon::is(word, Role::Hedge) && !matches!(*word, "likely" | "guess" | "sometimes")
    };
    let defines = matches!(words[..], ["Let" | "let", .., "be"]);
    defines
        || words.iter().any(supposes) && !words.contains(&"then")
        || words.windows(2).any(|pair| {
            lexicon::is(pair[1], Role::Belief) && lexicon::is(pair[0], Role::Denial)
                || pair[1] == "that" && lexicon::is(pair[0], Role::Judgement)
        })
}

/// Whether a value behind a word is only a bound: "than", "least".
fn is_one_side(word: &str) -> bool {
    lexicon::is(word, Role::Bound) && !matches!(word, "more" | "less" | "up" | "within")
}

/// Whether a text begins by saying that what stands before it is not so: "is not the answer", "is wrong".
pub(crate) fn denies_previous(after: &str) -> bool {
    // "Is it 7?", "7 + 2", and the "7 -" of an answer that was cut off.
    let term = after.trim_start();
    if lexicon::starts_with_any(after, &[Role::Denial, Role::Bound, Role::Operation])
        || term.starts_with(['?', '+', '×', '÷', '^'])
        || term.strip_prefix(['-', '/']).is_some_and(|rest| rest.trim().is_empty())
    {
        return true;
    }
    let clause = after.split(['.', ',', ';', '\n']).next().unwrap_or(after);
    let number = clause.find(|sign: char| sign.is_ascii_digit() || matches!(sign, '$' | '\\'));
    let gap: Vec<&str> = lexicon::words(&clause[..number.unwrap_or(0)]).collect();
    let compares = match gap[..] {
        // "12 more than 5", "12 times 3", "12 apples less than 15"
        [first] | [first, _] if lexicon::is_any(first, &[Role::Bound, Role::Operation]) => true,
        [.., "than"] => !gap.iter().any(|word| lexicon::is_any(word, &[Role::Verb, Role::Connective])),
        _ => false,
    };
    let first = lexicon::words(clause).next().unwrap_or("");
    let another = lexicon::is(first, Role::Operation)
        && !matches!(first, "times" | "double" | "triple" | "half" | "twice");
    // "It would be 7 if all were distinct."
    let supposed = lexicon::is(first, Role::Supposition)
        && lexicon::words(clause).any(|word| matches!(word, "were" | "was" | "had"));
    compares || another || supposed || is_denied_by(clause)
}

/// Whether a clause denies what stands before it: "is wrong", "does not work", "which fails".
pub(crate) fn is_denied_by(clause: &str) -> bool {
    let mut words = lexicon::words(clause).peekable();
    // Of "7, which is not prime" the value is 7.
    let about = words.next_if(|word| matches!(*word, "which" | "that" | "it")).is_some();
    let denies = |word: &str| lexicon::is(word, Role::Judgement) || !about && lexicon::is(word, Role::Denial);
    let Some(verb) = words.next().filter(|verb| !matches!(*verb, "no" | "not")) else { return false };
    let lower = verb.ends_with(|last: char| last.is_ascii_lowercase());
    let neutral = |word: &&str| lexicon::is_any(word, &[Role::Approximation, Role::Verb]);
    lower
        && lexicon::is_any(verb, &[Role::Verb, Role::Denial])
        && (denies(verb) || words.find(|word| !neutral(word)).is_some_and(denies))
}

/// Whether words between "the answer is" and a number lead to it: not "off from", "at most", "a multiple of".
pub(crate) fn leads_to(before: &str) -> bool {
    let clause = before.rsplit([',', ';', ':', '(', '=']).next().unwrap_or(before);
    let clause = clause.rsplit(" but ").next().unwrap_or(clause);
    let words: Vec<&str> = lexicon::words(clause).collect();
    let whole = |word: &str| lexicon::is_any(word, &[Role::Answer, Role::Measure]);
    let elsewhere = match words[..] {
        [.., "from" | "before" | "until" | "toward" | "towards"] => true,
        [.., "to"] => words.contains(&"from"),
        [.., part, "of"] => !whole(part),
        _ => false,
    };
    !elsewhere && !words.iter().any(|word| lexicon::is_any(word, &CHANGES))
}
