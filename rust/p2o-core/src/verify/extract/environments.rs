//! Mathematics between `$..$`, `$$..$$`, `\(..\)`, `\[..\]`.

use super::boxes::is_separator;
use crate::verify::language::text::boundary;
use crate::verify::language::words;

/// How many environments at the end of a text are kept apart.
pub(super) const ENVIRONMENTS: usize = 64;

/// What the last mathematics of a text says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Last<'a> {
    /// The last environment.
    pub(super) alone: Option<&'a str>,
    /// It and those before it, where only commas and "and" or "or" stand between: `$x=1$ or $x=2$`.
    pub(super) joined: Option<String>,
    /// "or" stands between them.
    pub(super) alternatives: bool,
}

/// The last environments that hold more than a sign for the end of a proof.
pub(super) fn last(text: &str) -> Last<'_> {
    let mut all = environments_at(text);
    while all.last().is_some_and(|(_, _, content)| ends_proof(content)) {
        all.pop();
    }
    let Some((mut start, _, content)) = all.pop() else { return Last::default() };
    let mut joined = vec![content];
    let mut alternatives = false;
    while let Some((before, end, content)) = all.pop() {
        let gap = &text[end..start];
        if !(is_separator(gap) || gap.trim() == "or") {
            break;
        }
        alternatives |= gap.contains("or");
        joined.insert(0, content);
        start = before;
    }
    let joint = if alternatives { " or " } else { ", " };
    Last { alone: Some(content), joined: (joined.len() > 1).then(|| joined.join(joint)), alternatives }
}

fn ends_proof(content: &str) -> bool {
    content == "Q.E.D."
        || content.strip_prefix('\\').and_then(words::command) == Some(words::Command::Invisible)
}

/// Start, end and content of each `$..$`, `$$..$$`, `\(..\)`, `\[..\]`, in order; the last ones of a long text.
pub(super) fn environments_at(text: &str) -> Vec<(usize, usize, &str)> {
    let mut found = Vec::new();
    let mut unclosed: Vec<&str> = Vec::new();
    let bytes = text.as_bytes();
    let mut index = 0;
    while index < bytes.len() {
        let rest = &text[index..];
        let (open, close) = if rest.starts_with("$$") {
            ("$$", "$$")
        } else if rest.starts_with('$') {
            ("$", "$")
        } else if rest.starts_with("\\(") {
            ("\\(", "\\)")
        } else if rest.starts_with("\\[") {
            ("\\[", "\\]")
        } else {
            index = boundary(text, index + if bytes[index] == b'\\' { 2 } else { 1 });
            continue;
        };
        let inside = index + open.len();
        let length = if unclosed.contains(&close) { None } else { closing(&text[inside..], close) };
        let Some(length) = length else {
            // Nothing closes this kind from here on; other kinds may still occur.
            unclosed.push(close);
            index = inside;
            continue;
        };
        let content = &text[inside..inside + length];
        if open == "$" && content.contains('\n') {
            index = inside;
            continue;
        }
        let end = inside + length + close.len();
        if !content.trim().is_empty() {
            found.push((index, end, content.trim()));
            if found.len() > 2 * ENVIRONMENTS {
                found.drain(..ENVIRONMENTS);
            }
        }
        index = end;
    }
    found
}

/// Where an environment closes; `\$` is a dollar sign in it.
fn closing(inside: &str, close: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + inside[from..].find(close)?;
        if !(close.starts_with('$') && inside[..at].ends_with('\\')) {
            return Some(at);
        }
        from = at + 1;
    }
}
