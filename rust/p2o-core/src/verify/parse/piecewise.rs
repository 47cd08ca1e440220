//! Functions defined in pieces: a value and its condition a row.

use super::super::expr::{Expr, Joint};
use super::super::fuel::Halt;
use super::super::lex::{Kind, Token};
use super::super::words::Word;
use super::Parser;

impl<'a> Parser<'a, '_> {
    /// After `\\begin{cases}`, if every row has a condition: `x & x > 0`, `1, & \\text{if } n \\text{ is even}`.
    pub(super) fn piecewise(&mut self) -> Result<Expr, Halt> {
        let mut pieces = Vec::new();
        loop {
            self.fuel.spend(4)?;
            while matches!(self.peek(), Some(Kind::NewRow | Kind::Op(',' | ';'))) {
                self.at += 1;
            }
            if self.take_command("end") {
                self.flattened();
                break;
            }
            let value = self.set_expression()?;
            let separated = self.skip_separators();
            let introduced = self.take_word(&["if", "for", "when", "where", "on", "若", "当"]);
            if !separated && !introduced {
                return Err(Halt::Unsupported);
            }
            pieces.push((value, self.condition_of_piece(introduced)?));
        }
        if pieces.is_empty() { Err(Halt::Unsupported) } else { Ok(Expr::Piecewise(pieces)) }
    }

    fn skip_separators(&mut self) -> bool {
        let start = self.at;
        while matches!(self.peek(), Some(Kind::Op('&' | ',' | ';' | ':'))) {
            self.at += 1;
        }
        self.tokens[start..self.at].iter().any(|token| token.kind == Kind::Op('&'))
    }

    /// The upright words ahead, or the short word that prose outside of a font command is read as.
    fn words_ahead(&self) -> Option<&'a str> {
        match self.tokens.get(self.at)? {
            Token { kind: Kind::Text(words), .. } => Some(words),
            Token { kind: Kind::Op('¶'), start, end, .. } => Some(&self.text[*start..*end]),
            _ => None,
        }
    }

    fn take_word(&mut self, words: &[&str]) -> bool {
        let found = self.words_ahead().is_some_and(|ahead| words.contains(&ahead));
        self.at += usize::from(found);
        found
    }

    /// `x > 0`, "n is even", "otherwise".
    fn condition_of_piece(&mut self, introduced: bool) -> Result<Expr, Halt> {
        if !introduced && self.take_word(&["otherwise", "else", "elsewhere", "Otherwise", "其他", "其它"])
        {
            return Ok(Expr::Symbol("otherwise".into()));
        }
        self.take_word(&["if", "for", "when", "where"]);
        let mut conditions = Vec::new();
        let mut joint = Joint::And;
        loop {
            let condition = match (self.peek(), self.peek_at(1)) {
                (Some(Kind::Symbol(name)), Some(Kind::Text(_) | Kind::Op('¶'))) => {
                    let name = Expr::Symbol((*name).into());
                    self.at += 1;
                    name
                }
                _ => self.relation()?,
            };
            let mut property = String::new();
            while let Some(words) = self.words_ahead() {
                let words = words.strip_prefix("is ").unwrap_or(words);
                property.push_str(if words == "is" { "" } else { words });
                self.at += 1;
            }
            conditions.push(if property.is_empty() {
                condition
            } else {
                Expr::Apply(property.into(), vec![condition])
            });
            match self.peek() {
                Some(Kind::Word(Word::And)) => {}
                Some(Kind::Word(Word::Or)) => joint = Joint::Or,
                Some(Kind::NewRow | Kind::Command("end") | Kind::Op(',' | ';')) => break,
                _ => return Err(Halt::Unsupported),
            }
            self.at += 1;
        }
        Ok(if conditions.len() == 1 { conditions.swap_remove(0) } else { Expr::List(conditions, joint) })
    }
}
