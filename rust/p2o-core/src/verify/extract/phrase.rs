//! Phrases that say the answer: "the answer is 5", "Answer: 5", `"answer": 5`.

use super::environments::environments_at;
use super::loose::{is_denied, is_subject, numbers};
use super::sentence::{line, sentence, yes_or_no};
use super::{Candidate, Mark};
use crate::verify::language::statement;
use crate::verify::language::text::{around, has_prefix, has_suffix};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phrase {
    Final,
    Plain,
    /// A field of an object of JSON, which is the answer whatever it holds.
    Field,
}

/// What follows the last "final answer is", or else the last "answer is" / "answer:".
pub(super) fn phrase(text: &str, boxed_end: usize) -> Option<(Phrase, &str, usize)> {
    let mut best: Option<(Phrase, &str, usize)> = None;
    let mut limit = text.len();
    // The last phrase wins; a final answer beats any other.
    for _ in 0..64 {
        let Some(at) = answer_before(text, limit) else { break };
        limit = at;
        let after = &text[at + "answer".len()..];
        if let Some(value) = json_value(after) {
            best = best.or(Some((Phrase::Field, value, at)));
            continue;
        }
        let Some(skip) = introduction(after) else { continue };
        if at >= boxed_end && !statement::names_answer(&text[..text.len() - after.len() + skip]) {
            continue;
        }
        let named = |name: &str| has_suffix(text[..at].trim_end(), name);
        // Behind a box "the correct answer" is another one than that.
        let corrects = at >= boxed_end && boxed_end > 0 && named("correct");
        let kind = if corrects || named("final") { Phrase::Final } else { Phrase::Plain };
        let found = Some((kind, &after[skip..], at));
        if kind == Phrase::Final {
            return found;
        }
        best = best.or(found);
    }
    best.or_else(|| {
        // "Ans. 42", "答案: 42"
        let lower = text.to_ascii_lowercase();
        ["ans. ", "ans: ", "答案", "故选", "应选"].into_iter().find_map(|word| {
            let at = lower.rfind(word).filter(|at| !lower[..*at].ends_with(char::is_alphabetic))?;
            let after = lower[at + word.len()..].trim_start_matches(['是', '为', '选', '】', ':', ' ']);
            Some((Phrase::Plain, &text[lower.len() - after.len()..], at))
        })
    })
}

/// The last place where "answer" stands in front of another one, in whatever case.
fn answer_before(text: &str, limit: usize) -> Option<usize> {
    let mut end = limit;
    // The search for one character is far faster than that for a word, and few words have this one.
    let mut small = text[..end].rfind('w');
    loop {
        let gap = small.map_or(0, |at| at + 1);
        if let Some(at) = text[gap..end].rfind('W') {
            end = gap + at;
        } else {
            end = small?;
            small = text[..end].rfind('w');
        }
        let start = end.saturating_sub("ans".len());
        let word = text.as_bytes()[..limit].get(start..start + "answer".len());
        if word.is_some_and(|word| word.eq_ignore_ascii_case(b"answer")) {
            return Some(start);
        }
    }
}

/// The value behind `"answer` in an object of JSON.
fn json_value(after: &str) -> Option<&str> {
    let value = after.strip_prefix('"')?.trim_start().strip_prefix(':')?.trim_start();
    match value.strip_prefix('"') {
        Some(string) => {
            let mut escaped = false;
            let end = string.find(|next: char| {
                let ends = next == '"' && !escaped;
                escaped = next == '\\' && !escaped;
                ends
            })?;
            Some(&string[..end])
        }
        None if value.starts_with('[') => Some(&value[..=value.find(']')?]),
        None => value.split([',', '}', '\n']).next(),
    }
}

/// The length of " is", ":", " is:" and the like behind "answer".
fn introduction(after: &str) -> Option<usize> {
    let trimmed = after.trim_start_matches(['*', '_', ' ', '#']);
    if trimmed.starts_with('\n') && trimmed.len() < after.len().max(1) || after.starts_with('\n') {
        // A heading: "**Final answer**" on a line of its own.
        return Some(after.len() - trimmed.trim_start().len());
    }
    for start in ["is:", "is", ":", "=", "s are:", "s are", "to the problem is", "to the question is"] {
        if has_prefix(trimmed, start) {
            let rest = &trimmed[start.len()..];
            if matches!(start, "is" | "s are")
                && rest.starts_with(|character: char| character.is_alphabetic())
            {
                continue;
            }
            let rest = rest.trim_start_matches(['*', '_', ' ', ':']);
            if has_prefix(rest, "not ") {
                // "not 3 but 4"
                let but = line(rest).to_ascii_lowercase().find(" but ")?;
                return Some(after.len() - rest.len() + but + " but ".len());
            }
            return Some(after.len() - rest.len());
        }
    }
    // "the answer to part (a) is"
    let near: String =
        trimmed.chars().take(48).take_while(|&character| !matches!(character, '\n' | '.' | '$')).collect();
    let is = near.to_ascii_lowercase().find(" is ")?;
    Some(after.len() - trimmed.len() + is + " is ".len())
}

/// Readings of what follows a phrase: the sentence, its mathematics, its first number.
pub(super) fn stated<'a>(content: &'a str, found: &mut Vec<Candidate<'a>>) {
    let quoted = content.trim_start_matches(' ').starts_with('\n');
    let content = content.trim_start();
    let content = content.strip_prefix("> ").filter(|_| quoted).unwrap_or(content);
    let display = ["$$", "\\[", "$", "\\("].iter().any(|open| content.starts_with(open));
    let sentence = sentence(if display { content } else { line(content) });
    found.extend(yes_or_no(sentence).map(|said| Candidate::new(said, Mark::YesNo)));
    if !sentence.is_empty() {
        found.push(Candidate::new(sentence, Mark::Stated));
    }
    if let Some(letter) = reasoned_choice(sentence) {
        found.push(Candidate::new(letter, Mark::Letter));
    }
    let said = if display { content } else { sentence };
    // Of "5, or maybe 6" and of "at most 9" nothing is the answer.
    let mut value = |text: &str, parts: &[&'a str], mark: fn(&str) -> Mark| {
        let says = |part: &&&str| {
            !is_subject(text, part) && !is_denied(text, part) && statement::leads_to(around(text, part).0)
        };
        let Some(part) = parts.iter().find(says) else { return };
        found.push(Candidate::new(*part, mark(part)));
    };
    // What stands between two prices is no formula.
    let formula = |part: &str| if part.contains('\\') { Mark::Formula } else { Mark::Stated };
    let formulas: Vec<&str> = environments_at(said).into_iter().map(|(_, _, content)| content).collect();
    value(said, &formulas, formula);
    let all = numbers(sentence);
    value(sentence, &all, |_| Mark::Stated);
    if !numbers(line(content)).is_empty() {
        found.push(Candidate::new(sentence, Mark::Formula));
    }
}

/// The letter of "C, because D is too large".
fn reasoned_choice(sentence: &str) -> Option<&str> {
    let bare =
        sentence.strip_prefix('(').filter(|bare| bare.get(1..).is_some_and(|behind| behind.starts_with(')')));
    let letter =
        bare.unwrap_or(sentence).get(..1).filter(|letter| matches!(letter.as_bytes()[0], b'A'..=b'J'))?;
    let sentence = &sentence[if bare.is_some() { 2 } else { 0 }..];
    let reason = sentence[1..].trim_start_matches([',', ';', ' ']);
    let word = reason.split(|next: char| !next.is_alphabetic()).next()?;
    // "D, it cannot be A" chooses, "D, or A" and "D, A" do not.
    let clause =
        sentence[1..].starts_with([',', ';']) && word.len() > 1 && !matches!(word, "or" | "and" | "maybe");
    (clause
        || matches!(word, "because" | "since" | "as" | "so" | "for" | "which" | "where" | "not" | "rather"))
    .then_some(letter)
}
