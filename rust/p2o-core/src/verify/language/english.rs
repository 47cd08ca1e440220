//! What English words around a value say about it.

use super::lexicon::{self, Role};
use super::numerals;
use super::units;
use super::words::{self, Word};
use crate::verify::expr::Relation;

/// The relation that words in front of a bound say: "at least", "is greater than", "all real numbers less than".
pub(crate) fn relation(words: &str) -> Option<Relation> {
    let bound = ["all real numbers ", "all numbers ", "any real number ", "any number ", "is ", "are "]
        .iter()
        .find_map(|before| words.strip_prefix(before))
        .unwrap_or(words);
    Some(match bound {
        "at least" | "greater than or equal to" | "no less than" | "not less than" => Relation::GreaterEqual,
        "at most" | "less than or equal to" | "no more than" | "not more than" => Relation::LessEqual,
        "greater than" | "more than" => Relation::Greater,
        "less than" | "fewer than" => Relation::Less,
        _ => return None,
    })
}

/// Whether words in front of a symbol begin a condition on it: "for all x", "where k".
pub(crate) fn opens_condition(words: &str) -> bool {
    matches!(words.split(' ').next(), Some("for" | "where" | "with"))
}

/// Whether words in front of a symbol say that it may be anything of its kind: "for all", "for every positive integer".
pub(crate) fn quantifies(words: &str) -> bool {
    let mut integer = false;
    let mut positive = false;
    let known = words.split([' ', '-']).all(|word| {
        integer |= matches!(word, "integer" | "integers");
        positive |= matches!(word, "positive" | "nonnegative" | "negative");
        matches!(word, "for" | "all" | "any" | "every" | "each" | "real" | "rational" | "complex" | "natural")
            || matches!(word, "number" | "numbers" | "values" | "of" | "integer" | "integers")
            || matches!(word, "positive" | "nonnegative" | "non" | "negative")
    });
    // "For all positive x" is a condition, "for all positive integers n" the domain.
    let all = words.split(' ').any(|word| matches!(word, "all" | "any" | "every" | "each"));
    known && all && (integer || !positive)
}

/// Whether words in front of a symbol say that it is any integer: "for any integer", "where the integer".
pub(crate) fn declares_integer(words: &str) -> bool {
    opens_condition(words)
        && words.split(' ').skip(1).all(|word| {
            matches!(word, "all" | "any" | "every" | "each" | "some" | "an" | "the" | "integer" | "integers")
        })
        && words.ends_with(['r', 's'])
        && words.contains("integer")
}

/// Whether words behind a symbol say that it is any integer: "is an integer".
pub(crate) fn says_integer(words: &str) -> bool {
    matches!(words, "is an integer" | "is any integer" | "an integer" | "any integer" | "integer")
}

/// What words do to a value that is not meant as it stands.
const CHANGES: [Role; 5] = [Role::Denial, Role::Bound, Role::Hedge, Role::Judgement, Role::Operation];

/// Whether words beside a value make another value of it: "at least", "half of", "or more", "squared".
pub(crate) fn changes_value(words: &str) -> bool {
    words.split(|character: char| !character.is_alphabetic()).any(|word| lexicon::is_any(word, &CHANGES))
}

/// Whether words behind a value are no unit of it: a clause ("is wrong"), a bound ("or more"), an operation ("squared",
/// "minus one"). Of "5 times", "5 more apples" and "5 years less" the value is 5.
pub(crate) fn changes_preceding_value(words: &str) -> bool {
    // "the 7th prime", "7-gon", `8以上`
    let ordinal = ["th ", "st ", "nd ", "rd ", "-"].iter().any(|ending| words.starts_with(ending));
    // "or so", "and a bit"
    let alternative = words.starts_with("or ") || words.starts_with("and ");
    if ordinal
        || alternative
        || lexicon::starts_with_any(words, &[Role::Denial, Role::Bound, Role::Operation, Role::Hedge])
    {
        return true;
    }
    let (mut previous, mut joined) = ("", false);
    // "5 above", "5 short" and "5 more" may be what is asked for.
    let alone = lexicon::words(words).count() == 1
        && lexicon::is(words, Role::Bound)
        && !matches!(
            words,
            "more"
                | "less"
                | "up"
                | "fewer"
                | "above"
                | "below"
                | "over"
                | "under"
                | "greater"
                | "higher"
                | "lower"
                | "off"
                | "short"
                | "shy"
                | "past"
        );
    let clause = alone
        || lexicon::words(words).any(|word| {
            // "17 more than that"
            let compared = previous == "than" && lexicon::is(word, Role::Pronoun);
            previous = word;
            joined |= matches!(word, "or" | "and" | "at");
            lexicon::is(word, Role::Bound) && joined
                || compared
                || lexicon::is_any(word, &[Role::Verb, Role::Denial, Role::Hedge])
                || lexicon::is(word, Role::Connective) && !matches!(word, "or" | "and")
                || lexicon::is(word, Role::Operation) && !matches!(word, "times" | "double" | "triple")
                || numerals::is_number_word(word)
        });
    clause || lexicon::is(previous, Role::Judgement) || numerals::is_fraction_word(previous)
}

/// The text without its words of scale, as Math-Verify reads it; none if it has no such word.
pub(crate) fn without_scale(text: &str) -> Option<String> {
    if !["illion", "thousand", "hundred"].iter().any(|part| text.contains(part)) {
        return None;
    }
    let is_letter = |letter: char| letter.is_ascii_alphabetic();
    let kept: String = text
        .split_inclusive(|letter| !is_letter(letter))
        .map(|piece| {
            let word = piece.trim_end_matches(|letter| !is_letter(letter));
            if numerals::scale(word).is_some() { &piece[word.len()..] } else { piece }
        })
        .collect();
    (kept.len() < text.len()).then_some(kept)
}

/// Short English words that would otherwise read as products of letters. Capitals are names of points.
pub(crate) fn is_english(run: &str) -> bool {
    const CLOSED: [Role; 7] = [
        Role::Article,
        Role::Pronoun,
        Role::Verb,
        Role::Preposition,
        Role::Connective,
        Role::Conclusion,
        Role::Denial,
    ];
    let capitals = run.bytes().all(|byte| byte.is_ascii_uppercase());
    let other = matches!(run, "all" | "one" | "two" | "let" | "Let" | "as" | "than" | "when" | "where");
    other || run.len() >= 2 && !capitals && !matches!(run, "am" | "do") && lexicon::is_any(run, &CLOSED)
}

/// Whether upright words say that the value follows.
pub(crate) fn announces(words: &str) -> bool {
    lexicon::words(words).next_back().is_some_and(|last| {
        lexicon::is_any(last, &[Role::Verb, Role::Answer, Role::Measure, Role::Approximation])
    })
}

/// Whether words before a value leave it as it is: "The answer is", "John has", "a total of", "exactly".
pub(crate) fn introduces(words: &str) -> bool {
    const NEUTRAL: [Role; 7] = [
        Role::Article,
        Role::Pronoun,
        Role::Verb,
        Role::Approximation,
        Role::Conclusion,
        Role::Answer,
        Role::Measure,
    ];
    let all: Vec<&str> = lexicon::words(words).collect();
    let Some((last, before)) = all.split_last() else { return false };
    if lexicon::ends_with_any(last, &[Role::Verb]) {
        return !lexicon::contains_any(last, &[Role::Denial, Role::Bound]);
    }
    if all.iter().any(|word| lexicon::is_any(word, &[Role::Denial, Role::Hedge, Role::Judgement])) {
        return false;
    }
    if lexicon::is(last, Role::Verb) {
        return !before.iter().any(|word| lexicon::is(word, Role::Operation));
    }
    let mut says = false;
    all.iter().all(|word| {
        let neutral = lexicon::is_any(word, &NEUTRAL);
        says |= neutral;
        neutral || says && matches!(*word, "of" | "to" | "in")
    })
}

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
    const SUPPOSES: [&str; 6] = ["whether", "if", "suppose", "supposing", "assuming", "unless"];
    let clause = before.rsplit(['.', ',', ';', ':', '\n']).next().unwrap_or(before);
    let words: Vec<&str> = lexicon::words(clause).collect();
    // "The most likely number is 5" and "her guess was 5" say one.
    let supposes = |word: &&str| {
        SUPPOSES.iter().any(|other| other.eq_ignore_ascii_case(word))
            || lexicon::is(word, Role::Hedge) && !matches!(*word, "likely" | "guess" | "sometimes")
    };
    let defines = matches!(words[..], ["Let" | "let", .., "be"]);
    defines || words.iter().any(supposes) && !words.contains(&"then")
        || words.windows(2).any(|pair| {
            const THINKS: &str =
                " think thinks believe believes say says sure certain convinced know knows true ";
            let thinks = THINKS.split(' ').any(|word| word == pair[1]);
            thinks && lexicon::is(pair[0], Role::Denial)
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
    let supposed = matches!(first, "if" | "unless")
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

/// Whether a label in lower case fits every answer.
pub(crate) fn says_nothing(label: &str) -> bool {
    matches!(
        label,
        "ans" | "answer" | "final answer" | "the answer" | "result" | "solution" | "value" | "total"
    )
}

/// Whether words in brackets behind an answer explain it or say it again, and are no part of it.
pub(crate) fn is_remark(inside: &str) -> bool {
    let words: Vec<&str> =
        inside.split(|character: char| !character.is_alphabetic()).filter(|word| !word.is_empty()).collect();
    let explains = words.first().is_some_and(|first| {
        matches!(
            first.to_ascii_lowercase().as_str(),
            "since" | "because" | "as" | "where" | "which" | "given" | "see" | "from" | "using" | "after"
        )
    });
    let prose = inside
        .chars()
        .all(|character| character.is_alphabetic() || matches!(character, ' ' | '-' | ',' | '.' | '\''));
    let long = words.iter().any(|word| word.len() >= 4);
    explains || prose && long && !words.iter().any(|word| matters(word))
}

/// Whether words stand in front of the first number: the line is a sentence, in whatever language.
pub(crate) fn begins_with_prose(line: &str) -> bool {
    let before = line.split(|character: char| character.is_ascii_digit()).next().unwrap_or(line);
    let before = before.split(['\\', '$', '=', '(', '[', '{']).next().unwrap_or(before);
    before.split(|character: char| !character.is_alphabetic()).any(|word| {
        let foreign = word.chars().any(|letter| !letter.is_ascii() && words::letter_name(letter).is_none());
        foreign && !word.contains(['π', 'Π']) || word.len() >= 4 && !names_mathematics(word)
    })
}

/// Whether a text ends with a long word that is no function: what stands in brackets behind it is no argument.
pub(crate) fn ends_with_noun(text: &str) -> bool {
    let word = text.trim_end().rsplit(' ').next().unwrap_or("");
    word.len() >= 4 && word.chars().all(char::is_alphabetic) && !names_mathematics(word)
}

fn names_mathematics(word: &str) -> bool {
    words::plain_word(word).is_some() || words::spelled_letter(word).is_some()
}

/// Whether a word in brackets may be a part of the answer in front of them: "(at least)", "(meters)", "(theta)".
fn matters(word: &str) -> bool {
    match word {
        "or" | "and" | "mod" | "if" => true,
        // "(half of the apples)" says the value again, and "(in this order)" is no inch.
        "half" | "twice" | "double" | "times" | "in" => false,
        _ => {
            changes_value(word)
                || units::normal(word).is_some()
                || words::spelled_letter(word).is_some()
                || matches!(words::plain_word(word), Some(Word::Function(_) | Word::Log | Word::Pi))
        }
    }
}

/// The words that label an answer and what stands behind them: "Total cost: 5", `\text{Area: } 5`.
pub(crate) fn label(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches([' ', '$']);
    let (label, rest) =
        match ["\\text{", "\\textbf{", "\\mathrm{"].iter().find_map(|font| text.strip_prefix(font)) {
            Some(inside) => {
                let (label, rest) = inside.split_once('}')?;
                match label.trim_end().strip_suffix(':') {
                    Some(label) => (label, rest),
                    None => (label, rest.trim_start().strip_prefix(':')?),
                }
            }
            None => text.split_once(':')?,
        };
    let words = label.chars().all(|character| character.is_ascii_alphabetic() || character == ' ');
    let long = label.split(' ').any(|word| word.len() >= 4) || matches!(label, "Ans" | "ans" | "ANS");
    // Of "boys:girls = 2:3" neither word is a label.
    let ends = !rest.starts_with(|character: char| character.is_alphabetic());
    let labels = words && long && ends && !changes_value(label) && !rest.trim().is_empty();
    labels.then_some((label, rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_remarks() {
        assert_eq!(label("Total cost: 5"), Some(("Total cost", "5")));
        assert_eq!(label("\\text{Area: } 5"), Some(("Area", "5")));
        assert_eq!(label("\\textbf{Answer}: 5"), Some(("Answer", "5")));
        for text in ["boys:girls = 2:3", "at least: 5", "x: 5", "3:4", "Ratio:", "f: x"] {
            assert_eq!(label(text), None, "{text}");
        }
        for remark in ["since 2+3=5", "one half", "as required", "which is $5$", "in this order"] {
            assert!(is_remark(remark), "{remark}");
        }
        for part in ["mod 7", "or 6", "B", "meters", "or more", "if x is even", "x+1", "not prime", "theta"] {
            assert!(!is_remark(part), "{part}");
        }
    }
}
