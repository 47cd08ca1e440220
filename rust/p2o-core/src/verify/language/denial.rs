//! Where a sentence says of a value in it that it is not the answer: "it is not 7", "7 is wrong", "between 5 and 7".

use super::english::{self, CHANGES};
use super::lexicon::{self, Role};
use super::numerals;

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
        // "No. 5" is a number, "the point" no sign of a decimal, and "more" alone no bound.
        last => last.is_some_and(|last| {
            const OTHERS: [Role; 5] =
                [Role::Denial, Role::Bound, Role::Hedge, Role::Heading, Role::Operation];
            let leaves = matches!(last, "no" | "No." | "more" | "less" | "up" | "within" | "point");
            !leaves && lexicon::is_any(last, &OTHERS)
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
    let misled = |word: &str| {
        lexicon::is(word, Role::Judgement)
            || matches!(word, "old" | "naive" | "previous" | "initial" | "tentative")
    };
    matches!(words[..], ["Let" | "let", .., "be"])
        || words.last().is_some_and(|last| misled(last))
        || words.iter().any(supposes) && !words.contains(&"then")
        || words.windows(2).any(|pair| {
            let others = lexicon::is_any(pair[0], &[Role::Denial, Role::Modal])
                || matches!(pair[0], "Some" | "some" | "Many" | "many" | "people" | "would");
            // "Some think that", "the wrong answer", "it is false that"
            others && lexicon::is(pair[1], Role::Belief)
                || misled(pair[0]) && (pair[1] == "that" || lexicon::is(pair[1], Role::Answer))
        })
}

/// Whether a text begins by saying that what stands before it is not so: "is not the answer", "is wrong".
pub(crate) fn denies_previous(after: &str) -> bool {
    // "Is it 7?", "7 + 2", and the "7 -" of an answer that was cut off.
    let term = after.trim_start();
    if lexicon::starts_with_any(term, &[Role::Denial, Role::Bound, Role::Operation])
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
    if !lexicon::is_any(verb, &[Role::Verb, Role::Denial]) || verb.ends_with(char::is_uppercase) {
        return false;
    }
    let neutral = [Role::Article, Role::Approximation, Role::Verb];
    let said = if denies(verb) { Some(verb) } else { words.find(|word| !lexicon::is_any(word, &neutral)) };
    let behind = words.next();
    match said {
        // "7 is not prime" says something else of it, as "7 is an even number" does.
        Some("not") if matches!(verb, "is" | "was") => {
            const RIGHT: &str = "the right correct valid possible allowed true it a what";
            behind.is_none_or(|word| RIGHT.split(' ').any(|right| right == word))
        }
        Some(said) => denies(said) || behind == Some("bound"),
        None => false,
    }
}

/// Whether words between "the answer is" and a number lead to it: "therefore", "a total of"; not "off from", "divisible by".
pub(crate) fn leads_to(before: &str) -> bool {
    let (earlier, clause) = match before.rfind([',', ';', ':', '=']) {
        Some(end) => before.split_at(end + 1),
        None => ("", before),
    };
    let clause = clause.rsplit(" but ").next().unwrap_or(clause);
    let words: Vec<&str> = lexicon::words(clause).collect();
    let whole = |word: &str| lexicon::is_any(word, &[Role::Answer, Role::Measure]);
    match words[..] {
        // Of "in the interval (1, 7)" the 7 is no answer.
        [] => !earlier.ends_with(',') || !earlier.contains(|sign: char| sign.is_ascii_digit()),
        [.., part, "of"] if !whole(part) => false,
        [only] if only.len() == 1 || numerals::is_number_word(only) => true,
        _ if words.iter().any(|word| lexicon::is_any(word, &CHANGES)) => false,
        // "Answer: The train travels 7 miles."
        [first, ..] if first.starts_with(char::is_uppercase) => !matches!(words[..], [.., "from" | "to"]),
        // "the integer", "given by", "the maximum value"
        _ => {
            const SAYS: &str = "integer maximum minimum largest smallest given obtained found by as";
            let rest: Vec<&str> =
                words.into_iter().filter(|word| !SAYS.split(' ').any(|says| says == *word)).collect();
            rest.is_empty() || english::introduces(&rest.join(" "))
        }
    }
}
