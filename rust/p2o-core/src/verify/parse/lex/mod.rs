//! Text to tokens. LaTeX, Unicode and plain-text spellings of one thing become one token here, so that the parser
//! knows a single dialect. Spacing and sizing commands vanish.

mod base;
mod command;
pub(in crate::verify) mod number;

use crate::verify::fuel::{Fuel, Halt};
use crate::verify::language::lexicon::{self, Role};
use crate::verify::language::words::{self, Word};
use crate::verify::language::{english, statement, units};
use crate::verify::licence::Licences;
use crate::verify::parse::lex::number::{Literal, literal};

pub(crate) use command::balanced;

/// The words between the parts of a share: "1 out of 4".
const SHARE: &str = "out of";

/// What a token is. `Op` holds one character; the multi-byte ones stand for the LaTeX operators they look like.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind<'a> {
    Number(Literal),
    /// The digits of a number whose base follows and is larger than ten: the `1F` of `1F_{16}`.
    Digits(&'a str),
    /// A single letter, or a named one (`theta`).
    Symbol(&'a str),
    /// A function, constant or connective known by name.
    Word(Word),
    /// A LaTeX command that is not just a symbol: `frac`, `sqrt`, `begin`.
    Command(&'a str),
    /// Upright words from `\text{..}` and its kin, or a long word of plain text.
    Text(&'a str),
    /// The sign of a currency in front of its amount.
    Currency(&'static str),
    Op(char),
    SetOpen,
    SetClose,
    NewRow,
}

/// A token and where it lies.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind<'a>,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// White space stood before it.
    pub(crate) spaced: bool,
}

/// All tokens of a text, and whether a comma was read as a thousands separator.
#[derive(Debug)]
pub(crate) struct Tokens<'a> {
    pub(crate) list: Vec<Token<'a>>,
    /// The conventions by which its numbers are read.
    pub(crate) notation: Licences,
    pub(crate) grouped_by_comma: bool,
}

/// Tokenises `text`; `commas` allows `1,234` outside brackets to be one number.
pub(crate) fn lex<'a>(text: &'a str, commas: bool, fuel: &mut Fuel) -> Result<Tokens<'a>, Halt> {
    let mut lexer = Lexer {
        text,
        fuel,
        at: 0,
        depth: 0,
        commas,
        spaced: false,
        upright_until: 0,
        // Most tokens have two bytes and more.
        list: Vec::with_capacity((text.len() / 2).clamp(8, 64)),
        grouped: false,
        notation: Licences::NONE,
    };
    while lexer.at < text.len() {
        lexer.fuel.spend(4)?;
        lexer.step()?;
    }
    Ok(Tokens { list: lexer.list, notation: lexer.notation, grouped_by_comma: lexer.grouped })
}

struct Lexer<'a, 'f> {
    text: &'a str,
    fuel: &'f mut Fuel,
    at: usize,
    /// Open parentheses and brackets; commas inside them separate.
    depth: usize,
    commas: bool,
    spaced: bool,
    /// Where the argument of `\text` or its kin ends whose inside is read as mathematics.
    upright_until: usize,
    list: Vec<Token<'a>>,
    grouped: bool,
    notation: Licences,
}

impl<'a> Lexer<'a, '_> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn push(&mut self, kind: Kind<'a>, length: usize) {
        let start = self.at;
        self.at += length;
        self.list.push(Token { kind, start, end: self.at, spaced: self.spaced });
        self.spaced = false;
    }

    fn skip(&mut self, length: usize) {
        self.at += length;
        self.spaced = true;
    }

    fn step(&mut self) -> Result<(), Halt> {
        let rest = self.rest();
        let Some(character) = rest.chars().next() else { return Ok(()) };
        let length = character.len_utf8();
        match character {
            '\\' => self.command()?,
            '0'..='9' | 'A'..='Z' | '(' if self.digits_of_base() => {}
            '0'..='9' => self.number(),
            '.' => match literal(rest, false) {
                Some(_) if !self.after_digit() => self.number(),
                _ => self.dots(),
            },
            'a'..='z' | 'A'..='Z' => self.letters(),
            '{' if rest.starts_with("{:}") => self.push(Kind::Op(':'), 3),
            '(' | '[' => {
                self.depth += 1;
                self.push(Kind::Op(character), 1);
            }
            ')' | ']' => {
                self.depth = self.depth.saturating_sub(1);
                self.push(Kind::Op(character), 1);
            }
            '*' if rest.starts_with("**") => self.push(Kind::Op('^'), 2),
            '<' if rest.starts_with("<=") => self.push(Kind::Op('≤'), 2),
            '>' if rest.starts_with(">=") => self.push(Kind::Op('≥'), 2),
            '=' if rest.starts_with("==") => self.push(Kind::Op('='), 2),
            '!' if rest.starts_with("!=") => self.push(Kind::Op('≠'), 2),
            // A dollar sign without another one is no bracket around mathematics.
            '$' if self.text.matches('$').count() == 1 => self.currency("$", 1),
            '−' | '–' | '—' | '‐' | '‑' => self.push(Kind::Op('-'), length),
            '×' | '·' | '⋅' | '∙' | '•' | '∗' => self.push(Kind::Op('*'), length),
            '∶' => self.push(Kind::Op(':'), length),
            '÷' | '⁄' | '∕' => self.push(Kind::Op('/'), length),
            '⁻' | '⁰' | '¹' | '²' | '³' | '⁴'..='⁹' => self.superscript(),
            '’' | '′' => self.push(Kind::Op('\''), length),
            '⩽' => self.push(Kind::Op('≤'), length),
            '⩾' => self.push(Kind::Op('≥'), length),
            '≡' => self.push(Kind::Op('='), length),
            '″' | '"' if character == '″' || self.after_digit() && self.text.contains('\'') => {
                self.push(Kind::Op('\''), 0);
                self.push(Kind::Op('\''), length);
            }
            '$' | '~' | '`' | '"' => self.skip(1),
            '→' | '⇒' => self.push(Kind::Op('→'), length),
            '≃' => self.push(Kind::Op('≈'), length),
            '√' => self.push(Kind::Command("sqrt"), length),
            '∛' => self.push(Kind::Word(Word::CubeRoot), length),
            '∅' => self.push(Kind::Word(Word::EmptySet), length),
            'ℝ' => self.push(Kind::Word(Word::Reals), length),
            '∞' => self.push(Kind::Word(Word::Infinity), length),
            '∠' => self.push(Kind::Symbol("angle"), length),
            '△' => self.push(Kind::Symbol("triangle"), length),
            'π' => self.push(Kind::Word(Word::Pi), length),
            '½' => self.vulgar("1/2", length),
            '⅓' => self.vulgar("1/3", length),
            '¼' => self.vulgar("1/4", length),
            '¾' => self.vulgar("3/4", length),
            '⅔' => self.vulgar("2/3", length),
            '€' | '£' | '¥' | '₹' | '¢' => self.currency(&rest[..length], length),
            _ if character.is_whitespace() || character.is_control() => self.skip(length),
            '\u{200b}'..='\u{200f}' | '\u{feff}' | '\u{2060}'..='\u{2064}' => self.skip(length),
            _ => match words::letter_name(character) {
                Some(name) => self.push(Kind::Symbol(name), length),
                None if character.is_alphabetic() => self.foreign_word(),
                None => self.push(Kind::Op(character), length),
            },
        }
        Ok(())
    }

    /// The sign or the code of a currency in front of an amount or behind it; alone it says nothing.
    fn currency(&mut self, sign: &'a str, length: usize) {
        let behind = self.rest()[length..].trim_start_matches([' ', '~', '\\', '$', '-', '.', ',']);
        let amount = behind.starts_with(|next: char| next.is_ascii_digit());
        match units::normal(sign) {
            Some(unit) if amount => self.push(Kind::Currency(unit), length),
            Some(_) if matches!(self.list.last(), Some(Token { kind: Kind::Number(_), .. })) => {
                self.push(Kind::Text(sign), length);
            }
            _ => self.skip(length),
        }
    }

    fn after_digit(&self) -> bool {
        !self.spaced && matches!(self.list.last(), Some(Token { kind: Kind::Number(_), .. }))
    }

    fn number(&mut self) {
        if let Some(literal) = literal(self.rest(), self.commas && self.depth == 0) {
            self.grouped |= literal.grouped_by_comma;
            self.notation = self.notation.union(literal.notation);
            let length = literal.length;
            self.push(Kind::Number(literal), length);
        } else {
            self.skip(1);
        }
    }

    /// A full stop is noise; three of them are an ellipsis.
    fn dots(&mut self) {
        let count = self.rest().bytes().take_while(|&byte| byte == b'.').count();
        if count >= 3 { self.push(Kind::Op('…'), count) } else { self.skip(count) }
    }

    /// `10³³`, `s⁻¹`.
    fn superscript(&mut self) {
        self.push(Kind::Op('^'), 0);
        if self.rest().starts_with('⁻') {
            self.push(Kind::Op('-'), '⁻'.len_utf8());
        }
        let mut digits = String::new();
        let mut length = 0;
        for character in self.rest().chars() {
            let Some(digit) = "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().zip('0'..).find(|(above, _)| *above == character)
            else {
                break;
            };
            digits.push(digit.1);
            length += character.len_utf8();
        }
        if let Some(value) = literal(&digits, false) {
            self.push(Kind::Number(value), length);
        }
    }

    /// `½` is `(1/2)`, and after an integer the fraction of a mixed number.
    fn vulgar(&mut self, fraction: &'static str, length: usize) {
        self.push(Kind::Command("vulgar"), 0);
        for digit in [&fraction[..1], &fraction[2..]] {
            if let Some(value) = literal(digit, false) {
                self.push(Kind::Number(value), 0);
            }
        }
        self.at += length;
    }

    fn foreign_word(&mut self) {
        let rest = self.rest();
        // `k<1或k>3`
        let unspaced = rest.starts_with(|first: char| first >= '\u{2e80}');
        let goes_on = |next: char| next.is_alphabetic() && !(unspaced && next.is_ascii());
        let length = rest.find(|next: char| !goes_on(next)).unwrap_or(rest.len());
        let word = &rest[..length];
        // The measure word of "3页" stands behind its number.
        let counted =
            matches!(self.list.last(), Some(Token { kind: Kind::Number(_) | Kind::Op('}' | ')'), .. }))
                && word.chars().all(|character| character >= '\u{2e80}');
        if let Some(joint) = words::joint(word) {
            self.push(Kind::Word(joint), length);
            return;
        }
        let single = word.chars().count() == 1 && !counted && !statement::introduces(word);
        self.push(if single { Kind::Symbol(word) } else { Kind::Text(word) }, length);
    }

    /// A run of plain letters: a known word, a unit after a number, a long word, or single letters side by side.
    fn letters(&mut self) {
        let length = self.rest().bytes().take_while(u8::is_ascii_alphabetic).count();
        let run = &self.rest()[..length];
        if self.rest().starts_with("np.") || self.rest().starts_with("math.") {
            let prefix = self.rest().find('.').unwrap_or(0) + 1;
            self.at += prefix;
            return;
        }
        // "USD 20", "Rs. 20"; the "US" of `US\$20` says no more than its sign.
        if matches!(run, "USD" | "EUR" | "GBP" | "RMB" | "CNY" | "INR" | "Rs") {
            let rest = self.rest()[length..].trim_start_matches(['.', ' ', '~']);
            if rest.starts_with(|next: char| next.is_ascii_digit()) {
                self.currency(run, length);
                return;
            }
        } else if run == "US" && self.rest()[length..].trim_start_matches('\\').starts_with('$') {
            self.skip(length);
            return;
        }
        if let Some(half) = self.half_of_day() {
            self.push(Kind::Text(half), half.len());
            return;
        }
        if self.rest().starts_with(SHARE) {
            self.push(Kind::Text(SHARE), SHARE.len());
            return;
        }
        if let Some(word) = words::plain_word(run) {
            // "5 min" without anything of which it is the least.
            let is_unit = matches!(self.list.last(), Some(Token { kind: Kind::Number(_), .. }))
                && units::is_plain_unit(run)
                && command::lacks_argument(word, &self.rest()[length..]);
            self.push(if is_unit { Kind::Text(run) } else { Kind::Word(word) }, length);
            return;
        }
        if let Some(name) = words::spelled_letter(run) {
            self.push(Kind::Symbol(name), length);
            return;
        }
        if let Some(words) = self.counted(run) {
            self.push(Kind::Text(words), words.len());
            return;
        }
        if self.spaced_word(length) && english::is_english(run) {
            // Prose: no rule of the grammar accepts it.
            self.push(Kind::Op('¶'), length);
            return;
        }
        if run == "U" && self.joins_sets() {
            self.push(Kind::Word(Word::Union), length);
            return;
        }
        // "5 cm", "5 square cm", and the cm of `\mathrm{cm^2}`.
        let after_number = match self.list.last().map(|token| &token.kind) {
            Some(Kind::Number(_) | Kind::Text(_)) => true,
            // `9\pi cm`; `\frac{1}{2} mg` and `2\pi hr` are products.
            Some(Kind::Op('}') | Kind::Word(Word::Pi)) => {
                self.spaced && matches!(run, "mm" | "cm" | "dm" | "km")
            }
            _ => false,
        };
        // The m and the s of `9.8\mathrm{m/s^2}`.
        let upright_unit = self.at < self.upright_until
            && units::normal(run).is_some()
            && matches!(
                self.list.iter().rev().map(|token| &token.kind).find(|kind| **kind != Kind::Op('{')),
                Some(Kind::Number(_) | Kind::Text(_) | Kind::Op('/' | '*' | '}') | Kind::Word(Word::Pi))
            );
        if length >= 4
            || matches!(run, "per" | "now" | "old" | "men")
            || upright_unit
            || self.at < self.upright_until && self.after_digit() && matches!(run, "th" | "st" | "nd" | "rd")
            || (length >= 2 && after_number && units::is_plain_unit(run))
        {
            self.push(Kind::Text(run), length);
            return;
        }
        for index in 0..length {
            self.push(Kind::Symbol(&run[index..=index]), 1);
        }
    }

    /// The "p.m." of "5 p.m.", the "PM" of "5:30 PM". Without a time before them, "PM" are two letters.
    fn half_of_day(&self) -> Option<&'a str> {
        let [earlier @ .., Token { kind: Kind::Number(_), .. }] = &self.list[..] else { return None };
        let of_time = matches!(earlier.last(), Some(Token { kind: Kind::Op(':'), .. }));
        let rest = self.rest();
        let behind = rest.get(2..).map(|behind| behind.trim_matches(['.', '$', ' ', '}']));
        let last = self.spaced && behind.is_some_and(str::is_empty);
        let plain = if of_time || last { &["AM", "PM", "am", "pm"][..] } else { &[] };
        let half = ["a.m", "p.m", "A.M", "P.M"].iter().chain(plain).find(|half| rest.starts_with(**half))?;
        let ends = !rest[half.len()..].starts_with(|next: char| next.is_alphanumeric());
        ends.then(|| &rest[..half.len()])
    }

    /// Whether the letter ahead stands between two brackets: `[0,1] U [2,3]`.
    fn joins_sets(&self) -> bool {
        let closed =
            matches!(self.list.last(), Some(Token { kind: Kind::Op(')' | ']') | Kind::SetClose, .. }));
        let next = self.rest()[1..].trim_start();
        closed && (next.starts_with(['(', '[', '{']) || next.starts_with("\\left") || next.starts_with("\\{"))
    }

    /// The words behind a number that end the text, where one of them alone would be no noun: "slices of pizza", "red marbles".
    fn counted(&self, run: &str) -> Option<&'a str> {
        let number = self.spaced && matches!(self.list.last(), Some(Token { kind: Kind::Number(_), .. }));
        if !number || run.len() < 3 || english::is_english(run) || units::normal(run).is_some() {
            return None;
        }
        let words = self.rest().trim_end_matches(['.', ' ']);
        let is_word = |word: &str| {
            let letters = word.len() > 1 && word.bytes().all(|letter| letter.is_ascii_alphabetic());
            let computes =
                words::plain_word(word).is_some() || lexicon::is_any(word, &[Role::Operation, Role::Bound]);
            (letters || english::is_english(word)) && (word == "in" || !computes)
        };
        let short = |word: &str| word.len() == 3 || english::is_english(word);
        let counts = words.split(' ').all(is_word) && words.contains(' ') && words.split(' ').any(short);
        counts.then_some(words)
    }

    /// Whether the run of letters ahead has space around it.
    fn spaced_word(&self, length: usize) -> bool {
        let next = self.rest()[length..].chars().next();
        (self.spaced || self.at == 0)
            && next.is_none_or(|next| next.is_whitespace() || matches!(next, ',' | '.' | '\'' | '’'))
    }
}
