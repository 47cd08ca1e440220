//! Lines and sentences.

use super::LONGEST;
use crate::verify::language::lexicon::{self, Role};
use crate::verify::language::text::boundary;
use crate::verify::language::units;

/// The first line that is not empty.
pub(super) fn line(text: &str) -> &str {
    let text = text.trim_start();
    text[..text.find('\n').unwrap_or(text.len())].trim_end()
}

/// Up to the full stop that ends the sentence.
pub(super) fn sentence(text: &str) -> &str {
    let text = text.trim_start();
    let bytes = text.as_bytes();
    let mut end = boundary(text, LONGEST);
    let mut in_math = false;
    for (index, &byte) in bytes.iter().enumerate().take(end) {
        match byte {
            b'$' => in_math = !in_math,
            b'.' if !in_math => {
                let next = bytes.get(index + 1);
                // An ellipsis belongs to its number.
                let ellipsis = bytes[..index].ends_with(b"..");
                if !ellipsis
                    && next.is_none_or(|next| next.is_ascii_whitespace() || matches!(next, b'*' | b'"'))
                {
                    end = index;
                    break;
                }
            }
            _ => {}
        }
    }
    let sentence = text[..end].trim().trim_matches(|character| matches!(character, '*' | '_' | '"')).trim();
    counted(sentence)
}

/// What is counted, without "in total" and the time that it took: the "36 tickets" of "36 tickets in 2 hours".
pub(super) fn counted(said: &str) -> &str {
    let said = [" in total", " in all"].iter().fold(said, |said, all| said.strip_suffix(all).unwrap_or(said));
    let counts = said.starts_with(|first: char| first.is_ascii_digit());
    if !counts || !said.contains(' ') || said.contains('\\') {
        return said;
    }
    let Some((counted, time)) = said.rsplit_once(" in ") else { return said };
    let unit = time.trim_start_matches(|digit: char| digit.is_ascii_digit() || digit == '.');
    let lasts = || units::spelled(unit.trim()).and_then(|unit| units::conversion(&unit, "s")).is_some();
    let is_time = unit.len() < time.len() && counted.contains(' ') && lasts();
    if is_time { counted } else { said }
}

/// The "yes" of "yes: take $x = 2$", the "No" of "No. For n = 4 it fails.", where nothing behind it doubts.
pub(super) fn yes_or_no(text: &str) -> Option<&str> {
    let (said, reason) = text.split_once([':', ',', '.'])?;
    let doubts = lexicon::words(reason).any(|word| {
        lexicon::is_any(word, &[Role::Hedge, Role::Supposition, Role::Alternative])
            || lexicon::one_of!(word, "no yes No Yes")
    });
    let answers = ["yes", "no", "true", "false"].iter().any(|word| word.eq_ignore_ascii_case(said));
    (answers && !doubts).then_some(said)
}
