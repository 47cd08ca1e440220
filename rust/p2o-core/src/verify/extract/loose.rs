//! Answers that nothing marks but their place at the end.

use std::borrow::Cow;

use super::environments::ENVIRONMENTS;
use super::sentence::counted;
use super::{Candidate, LONGEST, Mark};
use crate::verify::language::lexicon::{self, Role};
use crate::verify::language::numerals::spelled_number;
use crate::verify::language::retraction::retraction;
use crate::verify::language::text::{around, boundary, choice, normalized_words, reals_in_words};
use crate::verify::language::{denial, english, statement, units};
use crate::verify::parse::lex::balanced;

/// Plain answers: bold text, the last line, the last number.
pub(super) fn loose<'a>(text: &'a str, found: &mut Vec<Candidate<'a>>) {
    if let Some(end) = text.rfind("**")
        && let Some(start) = text[..end].rfind("**")
    {
        let bold = text[start + 2..end].trim();
        // "**Step 4:**" is a heading.
        if !bold.ends_with(':') {
            found.push(Candidate::new(bold, Mark::Loose));
        }
    }
    let last = last_line(text).trim_start_matches("=>").trim_start_matches(['→', '⇒', '∴', ' ']);
    let last = enumerator(last).map_or(last, |length| &last[length..]);
    let last = if last.ends_with("...") { last } else { counted(last.trim_end_matches('.')) };
    // What ends a list of choices is not chosen.
    let is_option = choice(last).is_some() && line_of_choice(text).is_none();
    if !last.is_empty() && last.len() <= LONGEST && !is_option {
        let prose = english::begins_with_prose(last) && !is_answer_in_words(last);
        found.push(Candidate::new(last, if prose { Mark::Prose } else { Mark::Loose }));
        if let Some(concluded) = without_conclusion(last) {
            found.push(Candidate::new(concluded, Mark::Loose));
        }
        for behind in [" is ", " are ", " equals ", "'s ", "’s ", ": ", "=", "为", "是"] {
            if let Some(at) = last.rfind(behind) {
                let said = last[at + behind.len()..].trim().trim_start_matches("at ");
                if !is_denied(text, said) {
                    found.push(Candidate::new(said, Mark::Loose));
                }
            }
        }
    }
    if let Some(number) = numbers(text).pop().filter(|number| !is_denied(text, number)) {
        let unit = around(text, number).1.strip_prefix(' ').and_then(units::alone);
        let with_unit = unit.map(|unit| format!("{number} {unit}").into());
        found.push(Candidate::new(with_unit.unwrap_or(Cow::Borrowed(number)), Mark::Loose));
    }
}

/// Whether the text says that a part of it is not the answer: the 3 of "it is not 3".
pub(super) fn is_denied(text: &str, part: &str) -> bool {
    let (before, behind) = around(text, part);
    // "They meet at 7:20", "the vertex is at (1, 2)"
    let before = before.strip_suffix("at ").filter(|_| part.contains([':', '('])).unwrap_or(before);
    // "15% of 60"
    let percent = behind.strip_prefix(" percent").or_else(|| part.ends_with('%').then_some(behind));
    let share = percent
        .and_then(|behind| behind.strip_prefix(" of "))
        .is_some_and(|whole| whole.starts_with(|first: char| first.is_ascii_digit() || first == '$'));
    share
        || denial::denies_next(before)
        || retraction(behind, false).is_some()
        || !statement::states(before, behind)
}

/// Whether a part of the text is what the text goes on to give the value of: the `$x$` of "the value of $x$ is 3".
pub(super) fn is_subject(text: &str, part: &str) -> bool {
    let rest =
        around(text, part).1.lines().next().unwrap_or("").trim_start_matches(['$', ' ', '\\', ')', ']']);
    let value = ["is ", "equals ", "isn't ", "= "].into_iter().find_map(|verb| rest.strip_prefix(verb));
    !part.contains('=')
        && value.is_some_and(|value| {
            value.trim_start_matches(['$', '-']).starts_with(|next: char| next.is_ascii_digit())
        })
}

/// The one number of a conclusion behind the last formula: the 12 of "Hence there are 12 of them.", and of ", the value is 12".
pub(super) fn concluded<'a>(text: &'a str, formula: &str) -> Option<&'a str> {
    let behind = around(text, formula).1.trim_end().trim_end_matches('.');
    let valued = |clause: &&str| match lexicon::words(clause).collect::<Vec<_>>()[..] {
        [article, name, verb, _] => {
            lexicon::is(article, Role::Article)
                && lexicon::is_any(name, &[Role::Answer, Role::Measure])
                && lexicon::is(verb, Role::Verb)
        }
        _ => false,
    };
    let clause = || {
        let start = behind.rfind([':', '\n']).max(behind.rfind(". ")).max(behind.rfind(", so "))? + 1;
        let first = lexicon::words(&behind[start..]).next()?;
        lexicon::is(first, Role::Conclusion).then(|| &behind[start..])
    };
    let clause = behind.rsplit_once(", ").map(|(_, clause)| clause).filter(valued).or_else(clause)?;
    match numbers(clause)[..] {
        [number] if !is_denied(text, number) => Some(number),
        _ => None,
    }
}

/// A line without the words that announce its conclusion: the "x > 2" of "So x > 2".
fn without_conclusion(line: &str) -> Option<&str> {
    let (first, rest) = line.split_once(' ')?;
    lexicon::is(first.trim_end_matches(','), Role::Conclusion).then(|| rest.trim_start())
}

/// The length of the "3. " that numbers a line of a list.
fn enumerator(line: &str) -> Option<usize> {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let item = line[digits..].strip_prefix(['.', ')'])?.strip_prefix(' ')?;
    ((1..=2).contains(&digits) && item.starts_with(|first: char| first.is_alphabetic() || first == '*'))
        .then_some(digits + 2)
}

/// Whether words are known to say a value: "Total: 5", "five", "all real numbers except 3".
fn is_answer_in_words(line: &str) -> bool {
    english::label(line).is_some()
        || reals_in_words(line).is_some()
        || spelled_number(&normalized_words(line)).is_some()
}

pub(super) fn last_line(text: &str) -> &str {
    let text = text.trim_end();
    text[text.rfind('\n').map_or(0, |at| at + 1)..].trim()
}

/// The last of the letters A to J that stands alone in the last line, as in "so I choose B" or "(B) is right". "A" and "I" are
/// words unless they end the line or stand in brackets.
pub(super) fn letter(text: &str) -> Option<&str> {
    let line = last_line(text);
    // "C rather than A" and "D, it can't be A" choose what they name first.
    let denial = DENIALS.iter().filter_map(|denial| Some((line.find(denial)?, denial))).min();
    let cut = denial.map_or(line, |(end, denial)| {
        // "B is not right" does not choose B.
        let (before, behind) = (&line[..end], &line[end + denial.len()..]);
        let chosen = last_letter(before)
            .is_some_and(|letter| !lexicon::is(around(before, letter).1.trim(), Role::Verb));
        if chosen && last_letter(behind).is_some() { before.trim_end_matches(" and") } else { line }
    });
    let letter = last_letter(cut)?;
    (!is_denied(cut, letter) && !is_second(cut, letter)).then_some(letter)
}

/// The letter of a last line that is a choice and its value, "(B) $12$", behind no other choice.
pub(super) fn line_of_choice(text: &str) -> Option<char> {
    let line = last_line(text);
    let (letter, value) = choice(line).filter(|_| choice(last_line(around(text, line).0)).is_none())?;
    let judged = |word| lexicon::is_any(word, &[Role::Verb, Role::Judgement]);
    (!lexicon::words(&value).any(judged)).then_some(letter)
}

/// Whether a letter is the last of several: the B of "A or B".
fn is_second(line: &str, letter: &str) -> bool {
    let before = around(line, letter).0.trim_end_matches(['(', ' ']);
    let first = ["or", "and", "/", "&", ","].iter().find_map(|joint| before.strip_suffix(joint));
    let first = first.map(|first| first.trim_end_matches([')', ' ', ',']));
    first.is_some_and(|first| {
        first.ends_with(|last: char| ('A'..='J').contains(&last))
            && !first[..first.len() - 1].ends_with(char::is_alphanumeric)
    })
}

/// The text without the afterthought that ends its last sentence: "7, attained at x = 3", "7 when x = 3", "7, not 8".
pub(super) fn without_afterthought(text: &str) -> &str {
    #[rustfmt::skip]
    const BEGINS: [&str; 15] = [
        " attained ", ", achieved ", " achieved ", " when ", ", where ", " which occurs ", "此时", "当", ", not ",
        " rather than ", " instead of ", "而不是", " for $", " as $", " at $",
    ];
    let end = text.trim_end();
    let line = last_line(text);
    let start = end.len() - line.len();
    let Some(at) = BEGINS.iter().filter_map(|begin| line.rfind(begin)).min() else { return text };
    let (said, thought) = (&line[..at], line[at..].trim_end_matches('.'));
    let says =
        [" is ", "'s ", "imum ", " are ", "=", " equals ", "是", "为"].iter().any(|verb| said.contains(verb));
    let goes_on = thought.contains(". ")
        || lexicon::words(thought).any(|word| lexicon::is_any(word, &[Role::Verb, Role::Conclusion]));
    if says && !goes_on { text[..start + at].trim_end_matches([',', ' ']) } else { text }
}

const DENIALS: [&str; 8] =
    [" rather than ", " instead of ", " not ", "n't ", "n’t ", " cannot ", " non ", "不是"];

fn last_letter(line: &str) -> Option<&str> {
    let around = |character: char| !character.is_ascii_alphanumeric();
    let words: Vec<&str> = line.split_whitespace().collect();
    words.iter().enumerate().rev().find_map(|(place, word)| {
        let letter = word.trim_matches(around);
        let single = letter.len() == 1 && matches!(letter.as_bytes()[0], b'A'..=b'J');
        let named = place.checked_sub(1).is_some_and(|before| {
            matches!(words[before], "option" | "Option" | "choice" | "Choice" | "answer" | "Answer")
        });
        let is_word = matches!(letter, "A" | "I") && place + 1 < words.len() && !word.contains('(') && !named;
        (single && !is_word).then_some(letter)
    })
}

/// Plain numbers with sign, fraction and percent sign; the last ones of a long text.
pub(super) fn numbers(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let bytes = text.as_bytes();
    let mut index = 0;
    while index < bytes.len() {
        let starts = bytes[index].is_ascii_digit()
            || bytes[index] == b'.' && bytes.get(index + 1).is_some_and(u8::is_ascii_digit);
        let inside_word = index > 0 && (bytes[index - 1].is_ascii_alphanumeric() || bytes[index - 1] == b'_');
        if starts
            && text[..index].trim_end_matches(' ').ends_with('\n')
            && let Some(length) = enumerator(&text[index..])
        {
            index += length;
            continue;
        }
        if let Some(length) = fraction_length(&text[index..]).filter(|_| bytes[index] == b'\\') {
            let signed = text[..index].ends_with('-');
            found.push(&text[index - usize::from(signed)..index + length]);
            index += length;
            continue;
        }
        if !starts || inside_word {
            index = boundary(text, index + 1);
            continue;
        }
        let Some(length) = number_length(&text[index..]) else {
            index += 1;
            continue;
        };
        let signed = index > 0
            && bytes[index - 1] == b'-'
            && (index < 2 || !(bytes[index - 2].is_ascii_alphanumeric() || bytes[index - 2] == b')'));
        let mut end = index + length;
        if bytes.get(end) == Some(&b'/')
            && let Some(more) = number_length(&text[end + 1..])
        {
            end += 1 + more;
        }
        // "3:45 PM"
        if let Some(minutes) = text[end..].strip_prefix(':')
            && minutes.bytes().take_while(u8::is_ascii_digit).count() == 2
        {
            end += 3;
            let half = [" AM", " PM", " am", " pm", " a.m", " p.m"]
                .iter()
                .find(|half| text[end..].starts_with(**half));
            end += half.map_or(0, |half| half.len());
        }
        if text[end..].starts_with('%') || text[end..].starts_with('°') {
            end += text[end..].chars().next().map_or(0, char::len_utf8);
        } else if text[end..].starts_with("\\%") {
            end += 2;
        }
        // "the 36th term", "a 36-gon"
        let rest = &text[end..];
        let glued = ["th", "st", "nd", "rd"].iter().any(|ending| rest.starts_with(ending))
            || rest
                .strip_prefix('-')
                .is_some_and(|word| word.starts_with(|next: char| next.is_ascii_alphabetic()));
        if !glued {
            found.push(&text[index - usize::from(signed)..end]);
        }
        if found.len() > 2 * ENVIRONMENTS {
            found.drain(..ENVIRONMENTS);
        }
        index = end;
    }
    found
}

/// The length of a `\frac{2}{5}` of two numbers at the start of `text`.
pub(super) fn fraction_length(text: &str) -> Option<usize> {
    let command = ["\\frac", "\\dfrac", "\\tfrac"].into_iter().find(|command| text.starts_with(command))?;
    let number = |group: &&str| {
        let digits = group.strip_prefix('-').unwrap_or(group);
        number_length(digits) == Some(digits.len())
    };
    let top = balanced(&text[command.len()..]).filter(number)?;
    let middle = command.len() + top.len() + 2;
    let bottom = balanced(&text[middle..]).filter(number)?;
    Some(middle + bottom.len() + 2)
}

pub(super) fn number_length(text: &str) -> Option<usize> {
    crate::verify::parse::lex::number::literal(text, true).map(|literal| literal.length)
}
