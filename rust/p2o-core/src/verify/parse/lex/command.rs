//! LaTeX commands, and the upright text they set.

use super::{Kind, Lexer};
use crate::verify::fuel::Halt;
use crate::verify::language::words::{self, Command, Word};
use crate::verify::language::{english, units};

impl<'a> Lexer<'a, '_> {
    pub(super) fn command(&mut self) -> Result<(), Halt> {
        let rest = self.rest();
        let after = &rest[1..];
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        if letters == 0 {
            let Some(character) = after.chars().next() else {
                self.skip(1);
                return Ok(());
            };
            match character {
                '{' => self.bracket(Kind::SetOpen, 2, true),
                '}' => self.bracket(Kind::SetClose, 2, false),
                '\\' => {
                    let space = row_spacing(&after[1..]);
                    self.push(Kind::NewRow, 2 + space);
                }
                '%' => self.push(Kind::Op('%'), 2),
                '#' => self.push(Kind::Symbol("#"), 2),
                '|' => self.push(Kind::Op('‖'), 2),
                '&' => self.push(Kind::Word(Word::And), 2),
                '!' => self.at += 2,
                '\'' => self.push(Kind::Op('\''), 2),
                '$' => self.currency("$", 2),
                // Spacing, `\(`, `\)`, `\[`, `\]`.
                _ => self.skip(1 + character.len_utf8()),
            }
            return Ok(());
        }
        let name = &after[..letters];
        let length = 1 + letters;
        match words::command(name) {
            Some(Command::Invisible) => {
                self.skip(length);
                if self.rest().trim_start().starts_with('.') && matches!(name, "left" | "right") {
                    self.at += self.rest().find('.').unwrap_or(0) + 1;
                }
            }
            Some(Command::Font) => return self.text_command(name, length),
            Some(Command::Operator(operator)) => self.push(Kind::Op(operator), length),
            Some(Command::Word(word)) => self.push(Kind::Word(word), length),
            Some(Command::Structural) => self.push(Kind::Command(name), length),
            None => match name {
                "tag" => {
                    // The number of a line is no part of it.
                    let number = balanced(&self.rest()[length..]).map_or(0, |number| number.len() + 2);
                    self.skip(length + number);
                }
                "color" | "textcolor" => {
                    // The colour is no part of the answer.
                    let colour = balanced(&self.rest()[length..]).map_or(0, |colour| colour.len() + 2);
                    self.skip(length + colour);
                }
                "dollar" | "textdollar" => self.currency("$", length),
                "euro" => self.currency("€", length),
                "pounds" | "textsterling" => self.currency("£", length),
                "nicefrac" | "flatfrac" => self.push(Kind::Command("frac"), length),
                "lbrace" => self.bracket(Kind::SetOpen, length, true),
                "rbrace" => self.bracket(Kind::SetClose, length, false),
                "cr" | "newline" => self.push(Kind::NewRow, length),
                _ => self.push(Kind::Symbol(words::letter_command(name)), length),
            },
        }
        Ok(())
    }

    fn bracket(&mut self, kind: Kind<'a>, length: usize, open: bool) {
        self.depth = if open { self.depth + 1 } else { self.depth.saturating_sub(1) };
        self.push(kind, length);
    }

    /// `\text{..}`, `\mathrm{..}`: words stay words, mathematics inside is read as if the command were not there.
    fn text_command(&mut self, name: &'a str, length: usize) -> Result<(), Halt> {
        let after = &self.rest()[length..];
        let gap = after.len() - after.trim_start().len();
        let Some(inside) = balanced(after.trim_start()) else {
            // `\mathbb R` takes one letter; `\rm cm` is a switch and has no argument.
            if matches!(name, "mathbb" | "Bbb") && after.trim_start().starts_with('R') {
                self.push(Kind::Word(Word::Reals), length + gap + 1);
                return Ok(());
            }
            self.skip(length);
            return Ok(());
        };
        let total = length + gap + inside.len() + 2;
        self.fuel.spend(inside.len() as u64 / 16)?;
        if let Some(operator) = punctuation(inside.trim()) {
            match operator {
                '$' => self.currency("$", total),
                '(' => self.bracket(Kind::Op('('), total, true),
                ')' => self.bracket(Kind::Op(')'), total, false),
                other => self.push(Kind::Op(other), total),
            }
            return Ok(());
        }
        if matches!(name, "mathbb" | "Bbb") {
            let kind = match inside.trim() {
                "R" => Kind::Word(Word::Reals),
                other => Kind::Text(other),
            };
            self.push(kind, total);
            return Ok(());
        }
        let content = inside.trim_matches(|c: char| c.is_whitespace() || c == '~').trim_start_matches("\\,");
        let content = content.trim_start_matches("\\ ").trim_end_matches(['.', ',', ';', ':']).trim();
        if content.is_empty() {
            self.skip(total);
        } else if let Some(word) = words::plain_word(content) {
            // The minutes of `5 \text{ min}` and the name of `\text{max} = 3` are no functions.
            let kind = if lacks_argument(word, &self.rest()[total..]) {
                Kind::Text(content)
            } else {
                Kind::Word(word)
            };
            self.push(kind, total);
        } else if let Some(words) = content.strip_suffix(" and").or_else(|| content.strip_suffix(" or")) {
            // "7 \text{ goats and } 4 \text{ ducks}"
            let joint = if content.ends_with("or") { Word::Or } else { Word::And };
            self.push(Kind::Text(words.trim_end()), 0);
            self.push(Kind::Word(joint), total);
        } else if content.len() == 1
            && (content.as_bytes()[0].is_ascii_lowercase() && units::normal(content).is_none()
                || matches!(name, "mathcal" | "mathscr" | "mathfrak"))
        {
            // `\mathbf{i}`, `3 + 4\mathrm{i}`
            self.push(Kind::Symbol(content), total);
        } else if let Some((name, sign)) = relation_behind(content) {
            // `\\text{Area = } 5`
            if !name.is_empty() {
                self.push(if name.len() == 1 { Kind::Symbol(name) } else { Kind::Text(name) }, 0);
            }
            self.push(Kind::Op(sign), total);
        } else if content == "(or" {
            self.bracket(Kind::Op('('), 0, true);
            self.push(Kind::Word(Word::Or), total);
        } else if english::relation(content).is_some() {
            self.push(Kind::Text(content), total);
        } else if content.contains(['\\', '$', '=', '+', '^', '_', '{', ','])
            || content.contains(" and ")
            || content.contains(" or ")
            || content.bytes().any(|byte| byte.is_ascii_digit())
        {
            self.skip(length);
            self.upright_until = self.at + total - length;
        } else {
            self.push(Kind::Text(content), total);
        }
        Ok(())
    }
}

/// The name and the sign of a text that ends with one of relation.
fn relation_behind(content: &str) -> Option<(&str, char)> {
    let sign = content.chars().next_back().filter(|sign| "=<>≤≥≠≈".contains(*sign))?;
    let name = content.strip_suffix(sign)?.trim();
    name.chars().all(|letter| letter.is_alphabetic() || letter == ' ').then_some((name, sign))
}

/// Whether nothing follows that a function or "in" could be about: the text ends, or goes on with a sign, perhaps behind
/// an exponent.
pub(super) fn lacks_argument(word: Word, rest: &str) -> bool {
    if !matches!(word, Word::Function(_) | Word::In) {
        return false;
    }
    let mut rest = rest.trim_start();
    if let Some(exponent) = rest.strip_prefix('^') {
        rest = match balanced(exponent) {
            Some(inside) => &exponent[inside.len() + 2..],
            None => exponent.strip_prefix(|digit: char| digit.is_ascii_digit()).unwrap_or(exponent),
        };
    }
    let rest = rest.trim_start();
    let goes_on = ["\\right", "\\)", "\\]", "\\\\", "\\cdot", "\\times", "\\approx", "\\end"];
    rest.is_empty()
        || rest.starts_with(['.', ',', ';', ')', ']', '}', '$', '=', '+', '/'])
        || goes_on.iter().any(|sign| rest.starts_with(sign))
}

/// The one sign of `\\text{-}` or `\\text{\\$}`.
fn punctuation(text: &str) -> Option<char> {
    Some(match text {
        "$" | "\\$" => '$',
        "-" | "−" | "–" => '-',
        "+" => '+',
        "=" => '=',
        "(" => '(',
        ")" => ')',
        "," => ',',
        _ => return None,
    })
}

/// The length of the `[4pt]` behind a `\\\\`.
fn row_spacing(text: &str) -> usize {
    let Some(end) = text.strip_prefix('[').and_then(|inside| inside.find(']')) else { return 0 };
    let inside = &text[1..=end];
    let unit = inside.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | ' '));
    let is_length =
        unit.len() < inside.len() && matches!(unit, "pt" | "em" | "ex" | "mm" | "cm" | "in" | "mu" | "px");
    if is_length { end + 2 } else { 0 }
}

/// The inside of the brace group at the start of `text`.
pub(crate) fn balanced(text: &str) -> Option<&str> {
    if !text.starts_with('{') {
        return None;
    }
    let bytes = text.as_bytes();
    let mut depth = 0usize;
    let mut index = 0;
    while index < bytes.len() {
        match bytes[index] {
            b'\\' => index += 1,
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(&text[1..index]);
                }
            }
            _ => {}
        }
        index += 1;
    }
    None
}
