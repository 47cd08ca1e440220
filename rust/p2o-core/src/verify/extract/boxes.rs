//! `\boxed{..}` and `\fbox{..}`.

use std::borrow::Cow;

use crate::verify::language::lexicon::{self, Role, one_of};
use crate::verify::language::text::{around, behind_closing, boundary};
use crate::verify::language::{behind, denial, numerals, statement, units};
use crate::verify::parse::lex::balanced;

/// The answer in a text's boxes.
pub(super) struct Boxed<'a> {
    pub(super) content: Cow<'a, str>,
    pub(super) end: usize,
    /// Where the last box of the text begins, whatever it holds.
    last: usize,
}

/// The content of the last closed `\boxed{..}` or `\fbox{..}` that is not empty, and where it ends. Boxes that follow
/// each other with nothing between but what [`is_separator`] knows are one answer.
pub(super) fn last_box(text: &str) -> Option<Boxed<'_>> {
    let mut end_of_search = text.len();
    let mut last = None;
    // The content, those of the boxes before it, where the first of them starts, and where it ends.
    let mut joined: Option<(&str, Vec<&str>, usize, usize)> = None;
    let mut alternatives = false;
    // Each step looks at one more box from the end; unclosed ones are skipped at a cost bounded by the tail.
    for _ in 0..256 {
        let Some((start, content, end)) = box_before(text, end_of_search) else { break };
        end_of_search = start;
        last.get_or_insert(start);
        let content = content.trim();
        if content.is_empty() || is_denied(&text[..start]) || behind::denies_box(&text[end..]) {
            continue;
        }
        match &mut joined {
            None => joined = Some((content, Vec::new(), start, end)),
            Some((last, earlier, first, _)) => {
                // Of a box in a box the outer one is the answer.
                if end > *first {
                    joined = Some((content, Vec::new(), start, end));
                    continue;
                }
                let Some(gap) = text.get(end..*first).filter(|gap| is_separator(gap)) else { break };
                // Said twice it is one answer.
                if *earlier.last().unwrap_or(last) == content && !gap.contains([',', ';']) {
                    *first = start;
                    continue;
                }
                alternatives |= gap.contains("or");
                earlier.push(content);
                *first = start;
            }
        }
    }
    joined.map(|(content, earlier, start, end)| {
        let mut joined = Cow::Borrowed(content);
        if !earlier.is_empty() {
            let all: Vec<&str> = earlier.into_iter().rev().chain([content]).collect();
            joined = Cow::Owned(all.join(if alternatives { " or " } else { ", " }));
        }
        let mut content = in_its_term(text, start, end, &joined).map_or(joined, Cow::Owned);
        if let Some(other) = other_behind(&text[end..]) {
            content.to_mut().extend([" or ", other]);
        }
        Boxed { content, end, last: last.unwrap_or(start) }
    })
}

/// Boxes behind the numbers of parts, as one answer: "(a) \\boxed{3} (b) \\boxed{7}".
pub(super) fn in_parts(text: &str, boxed: &Boxed<'_>) -> Option<String> {
    // Most boxes stand in a line without a label.
    let line = text[..boxed.last].rsplit('\n').next()?;
    if !line.contains(')') && !line.contains(':') {
        return None;
    }
    let mut parts = Vec::new();
    let mut last = box_before(text, text.len());
    while let Some((start, content, _)) = last {
        last = box_before(text, start);
        let begin = last.map_or(0, |(_, _, end)| end).min(start);
        let line = text[begin..start].rsplit('\n').next().unwrap_or("");
        let label = line.trim_start_matches(|sign: char| !sign.is_alphanumeric() && sign != '(');
        let label = label.trim_start_matches("Part ").trim_start_matches('(');
        let name = &label[..label.find([')', ':']).filter(|length| *length < 4)?];
        parts.insert(0, format!("({name}) {content}"));
        if content.contains(',') || matches!(name, "a" | "i" | "1") {
            break;
        }
    }
    (parts.len() > 1).then(|| parts.join(" "))
}

/// The value that stands behind a box as another one: the 8 of "`\\boxed{7}` or 8".
fn other_behind(behind: &str) -> Option<&str> {
    let other = behind_closing(behind).strip_prefix("or ")?;
    let end = other.find(['\n', ',', ';']).into_iter().chain(other.find(". ")).min().unwrap_or(other.len());
    let value = other[..end].trim_matches(['$', '*', '.', ' ', '\\', '(', ')']);
    other.starts_with(|first: char| first.is_ascii_digit() || "$-\\".contains(first)).then_some(value)
}

/// Whether words say of the box behind them that it is not the answer: "it is not", "half of", "the answer is at least".
fn is_denied(before: &str) -> bool {
    let clause = before.rsplit('.').next().unwrap_or("");
    if statement::tempts(clause.rsplit('\n').next().unwrap_or("")) {
        return true;
    }
    if !(denial::denies_next(before) || before.ends_with("\\neq ") || before.ends_with("\\ne ")) {
        return false;
    }
    // What is asked for may be a bound: "we need at least \\boxed{7}", not "one less than \\boxed{7}".
    let sentence = &before[before.rfind(['\n', '.']).unwrap_or(0)..];
    let mut words = lexicon::words(sentence).rev();
    let (last, computes) = (words.next().unwrap_or(""), words.nth(1).is_some_and(numerals::is_number_word));
    let compares =
        last == "than" && !lexicon::words(sentence).any(|word| one_of!(word, "must need needs should"));
    let bound = lexicon::is(last, Role::Bound) && !computes && !compares && !sentence.contains("answer");
    !(matches!(last, "point" | "except") || bound)
}

/// The term that a box is a part of: `\boxed{x^2} + C`, `\sqrt{\boxed{7}}`, `\boxed{7}` dozen. None of a box that is all, or
/// that fills a gap in an equation.
fn in_its_term(text: &str, start: usize, end: usize, content: &str) -> Option<String> {
    const OPERATORS: [&str; 9] = ["^", "+", "-", "/", "\\cdot", "\\times", "\\%", "%", "_"];
    const ENDS: &[&str] = &["\\)", "\\]", "\\text", "\\quad", "\\\\", "\\,", ". "];
    let line = text[end..].split(['$', '\n', ',', ';', '&']).next().unwrap_or("");
    let ends = if line.len() < 2 { &[] } else { ENDS };
    let line = ends.iter().fold(line, |line, close| line.split(close).next().unwrap_or(line));
    let rest = &text[end + line.len()..];
    let in_mathematics = ["$", "\\)", "\\]"].iter().any(|close| rest.starts_with(close));
    let before = term_before(text, start, in_mathematics);
    let behind = line.trim().trim_end_matches('.');
    let said = behind_closing(&text[end..]);
    if before.is_empty() && behind.is_empty() && !said.starts_with(char::is_alphabetic) {
        return None;
    }
    let opens = before.matches(['{', '(']).count() > before.matches(['}', ')']).count();
    let (operand, word) = match words_of(behind, 2).next() {
        Some((at, _)) if !opens => (behind[..at].trim_end(), true),
        _ => (behind, false),
    };
    let operator = OPERATORS.iter().find_map(|sign| operand.strip_prefix(sign));
    let closes = operand.starts_with(['}', ')', ']', '|']) || operand.starts_with("\\right");
    let operated = match operator {
        Some(term) => !term.trim().is_empty() || !word && operand.ends_with('%'),
        None => in_mathematics && !operand.is_empty() && !word,
    };
    // A box fills a gap in `8 + \boxed{7} = 15`.
    let equation = operand.contains(['=', '<', '>', '≈']) || operand.contains("\\approx");
    if opens || !equation && operated && !closes {
        return Some(format!("{before}({content}){operand}"));
    }
    if !before.is_empty() && !equation {
        return Some(format!("{before}({content})"));
    }
    let said = said.strip_prefix("text{").map_or(said, |words| words.trim_start_matches([' ', '~']));
    let word = &said[..said.find(|next: char| !next.is_alphabetic()).unwrap_or(said.len())];
    let scales = numerals::scale(word).is_some()
        || matches!(word, "percent" | "squared" | "cubed" | "factorial")
        || units::alone(said) == Some(word);
    scales.then(|| format!("({content}) \\text{{ {word}}}"))
}

/// What stands before a box in its term: the `-` of `x = -\boxed{7}`.
fn term_before(text: &str, start: usize, in_mathematics: bool) -> &str {
    const LONGEST: usize = 128;
    #[rustfmt::skip]
    const BEGINS: [&str; 26] = [
        "$", "\n", "\\[", "\\(", "\\\\", "&", "=", ",", ";", ":", ". ", ") ", "**", "\\quad", "\\qquad", "\\implies", "\\Rightarrow",
        "\\therefore", "\\to", "\\rightarrow", "\\approx", "\\ge", "\\geq", "\\le", "\\leq", "\\in",
    ];
    let line = &text[boundary(text, start.saturating_sub(LONGEST))..start];
    // Most boxes stand alone, and the search for what they follow is not cheap.
    if line.trim_end().ends_with(['$', '\n', '=', ':', '&', '*']) || line.trim().is_empty() {
        return "";
    }
    let cut = BEGINS.iter().filter_map(|begin| Some(line.rfind(begin)? + begin.len())).max().unwrap_or(0);
    let line = &line[cut..];
    let word = words_of(line, if in_mathematics { 2 } else { 1 }).last().map_or(0, |(_, end)| end);
    let mut before = line[word..].trim_start_matches(['}', '.', ')', ' ', '*', '\'']);
    // What a font or nothing encloses: `\text{..\boxed{7}}`, `{\boxed{7}}`, `(\boxed{7})`.
    for layout in ["\\left(", "\\left[", "\\left\\{", "\\boxed{", "\\{", "{", "(", "["] {
        before =
            before.trim_end().strip_suffix(layout).filter(|rest| applies_nothing(rest)).unwrap_or(before);
    }
    // "Part 2 \\boxed{7}" and a list's "- \\boxed{7}" multiply and negate nothing.
    let apart = !in_mathematics && before.ends_with(' ') && {
        let before = before.trim_end();
        before.len() == 1 || before.ends_with(|last: char| last.is_alphanumeric())
    };
    if apart || applies_nothing(before) { "" } else { before }
}

/// Whether what stands before a bracket or a box does nothing to it.
fn applies_nothing(before: &str) -> bool {
    const FONTS: &str = "\\text \\textbf \\mathbf \\mathrm \\color{red} \\color{blue} \\bf \\large \\Large";
    let applies = |sign: char| sign.is_alphanumeric() || "-+/^_√∛±≠".contains(sign);
    lexicon::one_of!(before.trim_end(), FONTS) || !before.contains(applies)
}

/// Start and end of each word of a text that is no command, and has at least so many letters.
fn words_of(text: &str, least: usize) -> impl Iterator<Item = (usize, usize)> {
    text.split(|sign: char| !sign.is_alphabetic()).filter_map(move |word| {
        let at = around(text, word).0.len();
        let unspaced = word.contains(|letter: char| letter >= '\u{2e80}');
        let is_word = word.chars().count() >= least.max(1) && !text[..at].ends_with('\\');
        (is_word || unspaced).then_some((at, at + word.len()))
    })
}

/// The text behind its last box that holds something, or all of it.
pub(super) fn behind_boxes(text: &str) -> &str {
    let mut limit = text.len();
    while let Some((start, content, end)) = box_before(text, limit) {
        if !content.trim().is_empty() {
            return text.get(end..).unwrap_or(text);
        }
        limit = start;
    }
    text
}

/// The last box that starts before `limit`: where it starts, its content, where it ends.
pub(super) fn box_before(text: &str, limit: usize) -> Option<(usize, &str, usize)> {
    let mut limit = limit;
    let mut looked_at = 0;
    loop {
        // The search for one character is far faster than that for a word.
        let start = text[..limit].rfind('\\')?;
        limit = start;
        let command = &text[start + 1..];
        let Some(rest) = command.strip_prefix("boxed").or_else(|| command.strip_prefix("fbox")) else {
            continue;
        };
        let rest = rest.trim_start();
        let inside = text.len() - rest.len();
        if rest.starts_with('{') {
            looked_at += 1;
            if let Some(content) = balanced(rest) {
                return Some((start, content, inside + content.len() + 2));
            }
            if let Some(content) = unclosed(rest) {
                return Some((start, content, inside + 1 + content.len()));
            }
            if looked_at > 16 {
                return None;
            }
        } else if let Some(character) = rest.chars().next()
            && character.is_alphanumeric()
        {
            // `\boxed 7`
            let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '.')).unwrap_or(rest.len());
            return Some((start, rest[..length].trim_end_matches('.'), inside + length));
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
    let (before, _) = around(text, scanned);
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
            let before =
                named.trim_end_matches(|character: char| character.is_alphanumeric() || character == '_');
            (before, &named[before.len()..])
        }
        None => (plain, ""),
    };
    let joint = joint.trim_matches(|character: char| character.is_whitespace() || ",;".contains(character));
    let punctuated = gap.contains([',', ';']);
    name.len() < 6 && (matches!(joint, "and" | "or" | "&") || joint.is_empty() && (punctuated || spaced))
}
