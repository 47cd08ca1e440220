//! Conditions behind a value: `k \in \mathbb{Z}`, "where k is an integer", "for all x".

use super::Parser;
use super::lex::Kind;
use crate::verify::expr::Expr;
use crate::verify::fuel::Halt;
use crate::verify::language::english;
use crate::verify::language::words::Word;

impl Parser<'_, '_> {
    /// `(k ∈ Z)` or "for any integer k" at the end of a list: the index of what stands before it.
    pub(super) fn declared_index(&mut self) -> Option<Result<Expr, Halt>> {
        if self.membership_ahead() {
            self.at += 1;
            let member = self.relation();
            return Some(member.and_then(|member| self.expect_op(')').map(|()| member)));
        }
        let (Some(Kind::Text(words)), Some(Kind::Symbol(name))) = (self.peek(), self.peek_at(1)) else {
            return None;
        };
        let index = Expr::Symbol((*name).into());
        if !english::declares_integer(words) || self.peek_at(2).is_some() {
            return None;
        }
        self.at += 2;
        Some(Ok(Expr::Member(Box::new((index, Expr::Symbol("Z".into()))))))
    }

    /// Whether a symbol and "∈" stand at an offset.
    pub(super) fn symbol_in(&self, offset: usize) -> bool {
        matches!(self.peek_at(offset), Some(Kind::Symbol(_)))
            && matches!(self.peek_at(offset + 1), Some(Kind::Op('∈') | Kind::Word(Word::In)))
    }

    /// Whether a symbol and "is an integer" stand at an offset.
    pub(super) fn integer_at(&self, offset: usize) -> bool {
        matches!(self.peek_at(offset), Some(Kind::Symbol(_)))
            && matches!(self.peek_at(offset + 1), Some(Kind::Text(words)) if english::says_integer(words))
    }

    /// Whether `(k ∈` is next.
    pub(super) fn membership_ahead(&self) -> bool {
        self.is_op('(') && self.symbol_in(1)
    }

    /// Passes over "for all x ∈ R" behind an equation that defines a function of x.
    pub(super) fn pass_quantifier(&mut self, arguments: &[Expr]) {
        let start = self.at;
        self.take_op(',');
        let quantifies = match self.peek() {
            Some(Kind::Text(words)) => english::quantifies(words),
            Some(Kind::Command("forall") | Kind::Op('∀')) => true,
            _ => false,
        };
        let argument = matches!(self.peek_at(1), Some(Kind::Symbol(name))
            if arguments.iter().any(|argument| *argument == Expr::Symbol((*name).into())));
        if quantifies && argument {
            self.at += 2;
            let everywhere = if matches!(self.peek(), Some(Kind::Op('∈') | Kind::Word(Word::In))) {
                self.at += 1;
                matches!(self.ratio(), Ok(Expr::Reals))
                    || matches!(self.tokens[self.at - 1].kind, Kind::Text("Z" | "N" | "Q" | "C"))
            } else {
                true
            };
            let ends = matches!(
                self.peek(),
                None | Some(Kind::Op(',' | ';' | ')' | '}') | Kind::Word(Word::And | Word::Or))
            );
            if everywhere && ends {
                return;
            }
        }
        self.at = start;
    }
}
