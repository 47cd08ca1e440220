//! Answers that nothing marks but their place at the end.

use super::super::english;
use super::super::numerals::spelled_number;
use super::super::text::{normalized_words, reals_except};
use super::environments::ENVIRONMENTS;
use super::{Candidate, LONGEST, Mark};

/// Plain answers: bold text, the last line, the last number.
pub(super) fn loose(text: &str, found: &mut Vec<Candidate>) {
    if let Some(end) = text.rfind("**")
        && let Some(start) = text[..end].rfind("**")
    {
        let bold = text[start + 2..end].trim();
        // "**Step 4:**" is a heading.
        if !bold.ends_with(':') {
            found.push(Candidate::new(bold, Mark::Loose));
        }
    }
    let last = last_line(text);
    let last = enumerator(last).map_or(last, |length| &last[length..]);
    let last = if last.ends_with("...") { last } else { last.trim_end_matches('.') };
    if !last.is_empty() && last.len() <= LONGEST {
        let prose = english::begins_with_prose(last) && !is_answer_in_words(last);
        found.push(Candidate::new(last, if prose { Mark::Prose } else { Mark::Loose }));
        for behind in [" is ", " are ", "'s ", "’s ", ": ", "="] {
            if let Some(at) = last.rfind(behind) {
                found.push(Candidate::new(last[at + behind.len()..].trim(), Mark::Loose));
            }
        }
    }
    if let Some(number) = numbers(text).pop().filter(|number| !is_denied(text, number)) {
        found.push(Candidate::new(number, Mark::Loose));
    }
}

/// Whether the text says that a part of it is not the answer: the 3 of "it is not 3".
pub(super) fn is_denied(text: &str, part: &str) -> bool {
    let start = part.as_ptr() as usize - text.as_ptr() as usize;
    english::denies_next(&text[..start])
}

/// Whether a part of the text is a name and the text goes on to say what it is: the `$x$` of "the value of $x$ is 3".
pub(super) fn is_subject(text: &str, part: &str) -> bool {
    let name = part.trim_start_matches('\\').trim_start_matches(|letter: char| letter.is_ascii_alphabetic());
    let named = name.is_empty() && part != "\\pi" || name.len() < part.len() && name.starts_with(['_', '(']);
    if !named {
        return false;
    }
    let end = part.as_ptr() as usize - text.as_ptr() as usize + part.len();
    let rest = text[end..].lines().next().unwrap_or("").trim_start_matches(['$', ' ', '\\', ')', ']']);
    let value = ["is ", "equals ", "isn't ", "= "].into_iter().find_map(|verb| rest.strip_prefix(verb));
    value.is_some_and(|value| value.bytes().any(|byte| byte.is_ascii_digit()))
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
        || reals_except(line).is_some()
        || spelled_number(&normalized_words(line)).is_some()
}

fn last_line(text: &str) -> &str {
    let text = text.trim_end();
    text[text.rfind('\n').map_or(0, |at| at + 1)..].trim()
}

/// The last of the letters A to J that stands alone in the last line, as in "so I choose B" or "(B) is right". "A" and "I" are
/// words unless they end the line or stand in brackets.
pub(super) fn letter(text: &str) -> Option<&str> {
    let around = |character: char| !character.is_alphanumeric();
    let words: Vec<&str> = last_line(text).split_whitespace().collect();
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
        if !starts || inside_word {
            index += 1;
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
        if text[end..].starts_with('%') || text[end..].starts_with('°') {
            end += text[end..].chars().next().map_or(0, char::len_utf8);
        } else if text[end..].starts_with("\\%") {
            end += 2;
        }
        found.push(&text[index - usize::from(signed)..end]);
        if found.len() > 2 * ENVIRONMENTS {
            found.drain(..ENVIRONMENTS);
        }
        index = end;
    }
    found
}

pub(super) fn number_length(text: &str) -> Option<usize> {
    if !text.starts_with(|character: char| character.is_ascii_digit() || character == '.') {
        return None;
    }
    super::super::number::literal(text, true).map(|literal| literal.length)
}
