//! `\boxed{..}` and `\fbox{..}`.

use crate::verify::parse::lex::balanced;

/// The content of the last closed `\boxed{..}` or `\fbox{..}` that is not empty, and where it ends. Boxes that follow
/// each other with nothing between but what [`is_separator`] knows are one answer.
pub(super) fn last_box(text: &str) -> Option<(String, usize)> {
    let mut end_of_search = text.len();
    let mut joined: Option<(Vec<&str>, usize, usize)> = None;
    let mut alternatives = false;
    // Each step looks at one more box from the end; unclosed ones are skipped at a cost bounded by the tail.
    for _ in 0..256 {
        let Some((start, content, end)) = box_before(text, end_of_search) else { break };
        end_of_search = start;
        let content = content.trim();
        // "It is not \\boxed{7}" names no answer.
        let words = text[..start].trim_end_matches([' ', '$', '\\', '(', ':', '*']);
        let denied = words.ends_with(" not") || words.ends_with("n't") || words.ends_with("不是");
        if content.is_empty() || denied {
            continue;
        }
        match &mut joined {
            None => joined = Some((vec![content], start, end)),
            Some((contents, first, _)) => {
                // Of a box in a box the outer one is the answer.
                if end > *first {
                    joined = Some((vec![content], start, end));
                    continue;
                }
                let Some(gap) = text.get(end..*first).filter(|gap| is_separator(gap)) else { break };
                // Said twice it is one answer.
                if contents[0] == content && !gap.contains([',', ';']) {
                    *first = start;
                    continue;
                }
                alternatives |= gap.contains("or");
                contents.insert(0, content);
                *first = start;
            }
        }
    }
    joined.map(|(contents, start, end)| {
        let joined = contents.join(if alternatives { " or " } else { ", " });
        (in_its_term(text, start, end, &joined).unwrap_or(joined), end)
    })
}

/// The term that a box is a part of: `\boxed{x^2} + C`, `-\boxed{7}`, `\boxed{7}^2`. None of a box that is all, or that fills
/// a gap in an equation.
fn in_its_term(text: &str, start: usize, end: usize, content: &str) -> Option<String> {
    let line = text[end..].split(['$', '\n', ',']).next().unwrap_or("");
    let line = ["\\)", "\\]", "\\text", "\\quad", ". "]
        .iter()
        .fold(line, |line, close| line.split(close).next().unwrap_or(line));
    let behind = line.trim().trim_end_matches('.');
    let operator =
        ["^", "+", "-", "/", "\\cdot", "\\times"].iter().find_map(|sign| behind.strip_prefix(sign));
    let prose = |text: &str| {
        text.split(|sign: char| !sign.is_alphabetic() && sign != '\\')
            .any(|word| word.len() > 1 && !word.contains('\\'))
    };
    let continued =
        operator.is_some_and(|term| !term.trim().is_empty() && !prose(term) && !term.contains('='));
    let negated = text[..start]
        .strip_suffix('-')
        .is_some_and(|before| before.is_empty() || before.ends_with(['$', ' ', '=', '(', '[']));
    let sign = if negated { "-" } else { "" };
    let behind = if continued { behind } else { "" };
    (negated || continued).then(|| format!("{sign}({content}){behind}"))
}

/// The last box that starts before `limit`: where it starts, its content, where it ends.
pub(super) fn box_before(text: &str, limit: usize) -> Option<(usize, &str, usize)> {
    let mut limit = limit;
    let mut looked_at = 0;
    loop {
        let found = text[..limit].rfind("box")?;
        limit = found;
        let command = ["\\boxed", "\\fbox"].into_iter().find(|command| {
            let before = command.find("box").unwrap_or(0);
            text.as_bytes()[..found].ends_with(&command.as_bytes()[..before])
                && text[found..].starts_with(&command[before..])
        });
        let Some(command) = command else { continue };
        let start = found - command.find("box").unwrap_or(0);
        let after = start + command.len();
        let rest = &text[after..];
        let gap = rest.len() - rest.trim_start().len();
        let rest = rest.trim_start();
        if rest.starts_with('{') {
            looked_at += 1;
            if let Some(content) = balanced(rest) {
                return Some((start, content, after + gap + content.len() + 2));
            }
            if let Some(content) = unclosed(rest) {
                return Some((start, content, after + gap + 1 + content.len()));
            }
            if looked_at > 16 {
                return None;
            }
        } else if let Some(character) = rest.chars().next()
            && character.is_alphanumeric()
        {
            // `\boxed 7`
            let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '.')).unwrap_or(rest.len());
            return Some((start, rest[..length].trim_end_matches('.'), after + gap + length));
        }
    }
}

/// The content of a box whose brace is missing, if the text goes on after it: a completion that ends inside its box
/// was cut off and has no answer.
fn unclosed(rest: &str) -> Option<&str> {
    let inside = &rest[1..];
    let end = inside.find(['\n', '$']).or_else(|| inside.find("\\]")).or_else(|| inside.find("\\)"))?;
    let content = inside[..end].trim();
    (content.len() < 256 && !content.is_empty()).then_some(&inside[..end])
}

/// Whether a box opens in front of `scanned`, the tail of `text`, and is still open where that begins.
pub(super) fn opens_before(text: &str, scanned: &str) -> bool {
    let before = &text[..scanned.as_ptr() as usize - text.as_ptr() as usize];
    if before.is_empty() || scanned.is_empty() || before.ends_with("</think>") {
        return false;
    }
    let Some(start) = before.rfind("\\boxed{") else { return false };
    let rest = &text[start + "\\boxed".len()..];
    balanced(rest).is_none_or(|content| content.len() + 2 > before.len() - start)
}

/// Whether the completion was cut off inside its last box.
pub(super) fn ends_inside_box(text: &str) -> bool {
    let Some(start) = text.rfind("\\boxed{").or_else(|| text.rfind("\\fbox{")) else { return false };
    let rest = &text[start + text[start..].find('{').unwrap_or(0)..];
    balanced(rest).is_none() && unclosed(rest).is_none()
}

/// Whether the text between two boxes only separates them: punctuation, "and", "or", spacing that is written out, and the
/// name of what follows.
pub(super) fn is_separator(gap: &str) -> bool {
    let longest = if gap.contains("\\text") || gap.contains("\\q") { 64 } else { 24 };
    if gap.len() > longest || gap.contains("\n\n") {
        return false;
    }
    let mut plain = gap.to_string();
    for sign in
        ["\\text", "\\mbox", "\\mathrm", "\\quad", "\\qquad", "\\hspace", "\\left", "\\right", "~", "\\ "]
    {
        plain = plain.replace(sign, " ");
    }
    let spaced = gap.contains("\\q") || gap.contains("\\ ");
    let plain: String =
        plain.chars().filter(|character| !matches!(character, '$' | '{' | '}' | '\\')).collect();
    let plain = plain.trim_matches(|character: char| character.is_whitespace() || "()[]".contains(character));
    // `\boxed{1}$ and $y = \boxed{2}`
    let (joint, name) = match plain.strip_suffix('=') {
        Some(named) => {
            let named = named.trim_end();
            let start = named.rfind(|character: char| !(character.is_alphanumeric() || character == '_'));
            named.split_at(start.map_or(0, |start| start + 1))
        }
        None => (plain, ""),
    };
    let joint = joint.trim_matches(|character: char| character.is_whitespace() || ",;".contains(character));
    let punctuated = gap.contains([',', ';']);
    name.len() < 6 && (matches!(joint, "and" | "or" | "&") || joint.is_empty() && (punctuated || spaced))
}
