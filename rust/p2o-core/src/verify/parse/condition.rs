//! Conditions behind a value: `k \in \mathbb{Z}`, "where k is an integer", "for all x".

use super::Parser;
use super::lex::Kind;
use crate::verify::expr::{Expr, Relation};
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

    /// Whether a symbol or a number and a sign of inequality stand at an offset.
    pub(super) fn bound_at(&self, offset: usize) -> bool {
        let sign = usize::from(self.is_op_at(offset, '-'));
        matches!(self.peek_at(offset + sign), Some(Kind::Symbol(_) | Kind::Number(_)))
            && matches!(self.peek_at(offset + sign + 1), Some(Kind::Op('<' | '≤' | '>' | '≥' | '≠')))
    }

    /// Whether `(k ∈` is next, or the `(x > 0)` that ends an equation; not that of `P(X > 0)`.
    pub(super) fn membership_ahead(&self) -> bool {
        let ends = || {
            let (before, behind) = self.tokens.split_at(self.at);
            behind.last().is_some_and(|last| last.kind == Kind::Op(')'))
                && before.last().is_some_and(|last| last.kind != Kind::Symbol("P"))
                && before.iter().any(|token| token.kind == Kind::Op('='))
        };
        self.is_op('(') && (self.symbol_in(1) || self.bound_at(1) && ends())
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

/// Leaves out that the index of a sequence is any positive integer: `a_n = 2n, n ∈ N^*`.
pub(super) fn without_index(items: &mut Vec<Expr>) {
    let [Expr::Chain { operands, .. }, condition] = &items[..] else { return };
    let Expr::Symbol(sequence) = &operands[0] else { return };
    let Some((_, index)) = sequence.split_once('_') else { return };
    let any = match condition {
        Expr::Member(member) => {
            let natural = matches!(&member.1, Expr::Symbol(set) if matches!(&**set, "N" | "N_+" | "Z_+"));
            natural.then_some(&member.0)
        }
        Expr::Chain { operands, relations }
            if relations[..] == [Relation::GreaterEqual] && operands[1] == Expr::integer(1) =>
        {
            Some(&operands[0])
        }
        _ => None,
    };
    if any == Some(&Expr::Symbol(index.into())) {
        items.pop();
    }
}
