//! What English words around a value say about it.

use super::lexicon::{self, Role};
use super::words::{self, Word};
use super::{numerals, statement, text, units};
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
    const QUANTIFIERS: &str = "for all any every each real rational complex natural number numbers values of integer \
        integers positive nonnegative non negative";
    let mut integer = false;
    let mut positive = false;
    let known = words.split([' ', '-']).all(|word| {
        integer |= matches!(word, "integer" | "integers");
        positive |= matches!(word, "positive" | "nonnegative" | "negative");
        QUANTIFIERS.split(' ').any(|known| known == word)
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
pub(super) const CHANGES: [Role; 5] =
    [Role::Denial, Role::Bound, Role::Hedge, Role::Judgement, Role::Operation];

/// Whether words beside a value make another value of it: "at least", "half of", "or more", "squared".
pub(crate) fn changes_value(words: &str) -> bool {
    words
        .split(|character: char| !character.is_alphabetic())
        .any(|word| lexicon::is_any(word, &CHANGES) || word == "bound")
}

/// The text without its words of scale, as Math-Verify reads it; none if it has no such word.
pub(crate) fn without_scale(text: &str) -> Option<String> {
    if !text.contains('n') || !["illion", "thousand", "hundred"].iter().any(|part| text.contains(part)) {
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
    #[rustfmt::skip]
    const CLOSED: [Role; 7] = [
        Role::Article, Role::Pronoun, Role::Verb, Role::Preposition, Role::Connective, Role::Conclusion, Role::Denial,
    ];
    let capitals = run.bytes().all(|byte| byte.is_ascii_uppercase());
    let other = matches!(run, "all" | "one" | "two" | "let" | "Let" | "as" | "than" | "when" | "where");
    other || run.len() >= 2 && !capitals && !matches!(run, "am" | "do") && lexicon::is_any(run, &CLOSED)
}

/// Whether a label in lower case fits every answer.
pub(crate) fn says_nothing(label: &str) -> bool {
    matches!(
        label,
        "ans" | "answer" | "final answer" | "the answer" | "result" | "solution" | "value" | "total"
    )
}

/// What words that explain an answer begin with.
const EXPLAINS: &str =
    "since because as where which given see from using after rejecting discarding taking noting";

/// Whether words in brackets behind an answer explain it or say it again, and are no part of it.
fn is_remark(inside: &str) -> bool {
    let mut words =
        inside.split(|character: char| !character.is_alphabetic()).filter(|word| !word.is_empty()).peekable();
    let explains = words.peek().is_some_and(|first| lexicon::one_of!(&first.to_ascii_lowercase(), EXPLAINS));
    let prose = inside
        .chars()
        .all(|character| character.is_alphabetic() || matches!(character, ' ' | '-' | ',' | '.' | '\''));
    if !explains && !prose && !inside.contains('=') {
        return false;
    }
    let words: Vec<&str> = words.collect();
    let long = words.iter().any(|word| word.len() >= 4);
    // "x = 5 (x = -5 is rejected)"
    let other = inside.contains('=') && words.last().is_some_and(|last| lexicon::is(last, Role::Judgement));
    other || explains && !words.contains(&"bound") || prose && long && !words.iter().any(|word| matters(word))
}

/// A text without the brackets that end it, where words stand in them: the unit of "17 (cm)" goes on behind its number, the remark
/// of "x = 2 (double root)" is left out.
pub(crate) fn without_brackets(text: &str) -> Option<String> {
    if !text.trim_end_matches(['}', ' ', '$', '*']).ends_with(')') {
        return None;
    }
    let mut depth = 0i32;
    let open = text.bytes().rposition(|sign| {
        depth += i32::from(sign == b')') - i32::from(sign == b'(');
        sign == b'(' && depth == 0
    })?;
    let (before, inside) = (&text[..open], &text[open + 1..]);
    let value = before.trim_end().trim_end_matches("\\text{").trim_end_matches(['$', ' ', '\\', ',', '~']);
    if value.is_empty() {
        return None;
    }
    let plain = text::unwrapped(inside);
    let said = plain.trim().strip_suffix(')')?.trim();
    let (unit, power) = said.split_at(said.find('^').unwrap_or(said.len()));
    let number = value.ends_with(|last: char| last.is_ascii_digit() || last == '}');
    let known = || unit.len() > 1 && units::spelled(unit).is_some();
    let other = |word: &str| {
        lexicon::is_any(word, &[Role::Alternative, Role::Verb, Role::Approximation])
            || words::plain_word(word).is_some()
    };
    let open = text::is_prose(unit) && unit.len() > 3 && power.is_empty() && !unit.split(' ').any(other);
    let counts = || open && !changes_value(unit) && numerals::spelled_value(unit).is_none();
    if number && (known() || counts()) {
        return Some(format!("{value} \\text{{ {unit}}}{power}"));
    }
    // "5 (since 2+3=5)", "7 (not 8)", "fifty-eight (58)"
    let again =
        || ends_with_noun(before) && !statement::introduces(before) && !said.contains(char::is_alphabetic);
    let left_out = before.ends_with(' ') && (is_remark(said) || said.starts_with("not ") || again());
    (left_out || open && is_remark(unit)).then(|| value.to_string())
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
fn ends_with_noun(text: &str) -> bool {
    let word = text.trim_end().rsplit(' ').next().unwrap_or("");
    word.len() >= 4
        && word.chars().all(|sign| sign.is_alphabetic() || sign == '-')
        && !names_mathematics(word)
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
    // "The answer is no: .." is a sentence.
    let sentence = label.split(' ').any(|word| lexicon::is(word, Role::Verb));
    let labels = words && long && ends && !sentence && !changes_value(label) && !rest.trim().is_empty();
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
