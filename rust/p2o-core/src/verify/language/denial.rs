//! Where a sentence says of a value in it that it is not the answer: "it is not 7", "7 is wrong", "between 5 and 7".

use super::lexicon::{self, Role};

/// Whether a text ends by saying that what follows is not so: "it is not", "this cannot be".
pub(crate) fn denies_next(before: &str) -> bool {
    let before = before.strip_suffix("\\boxed{").unwrap_or(before);
    let before = before.trim_end_matches(['$', '\\', '(', '*', ' ', '}', ':']);
    if lexicon::ends_with_any(
        before.strip_suffix("等于").unwrap_or(before).trim_end_matches(['有', '是', '为', '需', '要', '选']),
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
        Some("out") => {
            words.next().is_some_and(|word| matches!(word, "ruled" | "rule" | "rules" | "ruling" | "Ruling"))
        }
        Some("to") => matches!(words.next(), Some("up" | "close" | "near" | "next")),
        // "más de", "mehr als", "la mitad de"
        Some("de" | "que" | "als" | "von" | "di" | "чем") => words
            .next()
            .is_some_and(|word| word == "plus" || lexicon::is_any(word, &[Role::Bound, Role::Operation])),
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

/// Whether a clause denies what stands before it: "is wrong", "does not work", "which fails", "is too small", "must be halved".
pub(crate) fn is_denied_by(clause: &str) -> bool {
    let mut words = lexicon::words(clause).peekable();
    // Of "7, which is not prime" the value is 7.
    let about = words.next_if(|word| matches!(*word, "which" | "that" | "it")).is_some();
    let denies = |word: &str| lexicon::is(word, Role::Judgement) || !about && lexicon::is(word, Role::Denial);
    words.next_if_eq(&"still");
    let Some(verb) = words.next().filter(|verb| !matches!(*verb, "no" | "not" | "none")) else {
        return false;
    };
    let turns = matches!(verb, "turned" | "turns" | "proved" | "proves");
    if !turns && !lexicon::is_any(verb, &[Role::Verb, Role::Denial]) || verb.ends_with(char::is_uppercase) {
        return false;
    }
    let neutral = [Role::Article, Role::Approximation, Role::Verb];
    let is_neutral = |word: &&str| lexicon::is_any(word, &neutral) || matches!(*word, "to" | "out");
    let said = if denies(verb) { Some(verb) } else { words.find(|word| !is_neutral(word)) };
    let behind = words.next();
    match said {
        // "7 is not prime" says something else of it, as "7 is an even number" does.
        Some("not") if matches!(verb, "is" | "was") => {
            const RIGHT: &str = "the right correct valid possible allowed true it a what";
            behind.is_none_or(|word| RIGHT.split(' ').any(|right| right == word))
        }
        Some("too" | "off") => !about,
        // "needs no proof"
        Some("no") => matches!(verb, "is" | "was"),
        Some(said) => denies(said) || behind == Some("bound") || !about && is_changed(said),
        None => false,
    }
}

/// Whether a word says that a value is still to be made another one: "doubled", "rounded".
fn is_changed(word: &str) -> bool {
    lexicon::is(word, Role::Operation) && word.ends_with("ed")
        || lexicon::one_of!(word, "increased decreased reduced rounded adjusted corrected")
}
