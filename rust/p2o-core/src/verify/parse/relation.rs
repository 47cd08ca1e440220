//! Relations: `a = b`, `a < b ≤ c`, `x ∈ S`, "at least 5", `f: x \\mapsto 2x`.

use super::Parser;
use super::lex::Kind;
use crate::verify::expr::{Expr, Relation};
use crate::verify::fuel::Halt;
use crate::verify::language::english;
use crate::verify::language::lexicon::{self, Role};
use crate::verify::language::words::Word;

impl Parser<'_, '_> {
    fn relation_operator(&self) -> Option<Relation> {
        match self.peek()? {
            Kind::Op('=') => Some(Relation::Equal),
            Kind::Op('≈') => Some(Relation::Approx),
            Kind::Op('≠') => Some(Relation::NotEqual),
            Kind::Op('<') => Some(Relation::Less),
            Kind::Op('≤') => Some(Relation::LessEqual),
            Kind::Op('>') => Some(Relation::Greater),
            Kind::Op('≥') => Some(Relation::GreaterEqual),
            Kind::Text(words) => english::relation(words),
            _ => None,
        }
    }

    /// `a = b`, `a < b ≤ c`, `x ∈ S`.
    pub(super) fn relation(&mut self) -> Result<Expr, Halt> {
        // "= 5" and "≈ 3.2" leave out what they are about.
        if matches!(self.peek(), Some(Kind::Op('=' | '≈' | '∼'))) {
            self.at += 1;
        }
        // "length 8, width 5"
        if let (Some(Kind::Text(name)), Some(Kind::Number(_) | Kind::Currency(_))) =
            (self.peek(), self.peek_at(1))
            && lexicon::is(name, Role::Measure)
        {
            let name = Expr::Symbol(name.to_lowercase().into());
            self.at += 1;
            let operands = vec![name, self.set_expression()?];
            return Ok(Expr::Chain { operands, relations: vec![Relation::Equal] });
        }
        if let Some(relation) = self.relation_operator() {
            return self.half_line(relation);
        }
        if let Some(mapping) = self.mapping() {
            return mapping;
        }
        let first = self.set_expression()?;
        if self.at_end_of_item() {
            return Ok(first);
        }
        let mut operands = vec![first];
        let mut relations = Vec::new();
        while let Some(relation) = self.relation_operator() {
            self.at += 1;
            relations.push(relation);
            operands.push(self.set_expression()?);
        }
        if let ([Expr::Symbol(name)], Some(Kind::Op('→'))) = (&operands[..], self.peek()) {
            let name = format!("{name}→").into();
            self.at += 1;
            return Ok(Expr::Apply(name, vec![self.set_expression()?]));
        }
        if matches!(self.peek(), Some(Kind::Op('∈') | Kind::Word(Word::In))) {
            self.at += 1;
            let set = self.set_expression()?;
            let set = if set == Expr::Symbol("R".into()) { Expr::Reals } else { set };
            // "1 in 4"
            if let ([Expr::Number(_)], Expr::Number(_)) = (&operands[..], &set) {
                return Ok(Expr::Div(Box::new((operands.swap_remove(0), set))));
            }
            if operands.len() != 1 {
                return Err(Halt::Unsupported);
            }
            return Ok(Expr::Member(Box::new((operands.swap_remove(0), set))));
        }
        match (&operands[..], self.peek()) {
            ([Expr::Symbol(_)], Some(Kind::Text(words))) if english::says_integer(words) => {
                self.at += 1;
                let integers = Expr::Symbol("Z".into());
                return Ok(Expr::Member(Box::new((operands.swap_remove(0), integers))));
            }
            ([Expr::Apply(_, arguments), _, ..], Some(_)) if relations[0] == Relation::Equal => {
                let arguments = arguments.clone();
                self.pass_quantifier(&arguments);
            }
            _ => {}
        }
        Ok(if relations.is_empty() { operands.swap_remove(0) } else { Expr::Chain { operands, relations } })
    }

    /// `f: x \mapsto 2x`, which defines `f(x) = 2x`.
    fn mapping(&mut self) -> Option<Result<Expr, Halt>> {
        let [
            Some(Kind::Symbol(name)),
            Some(Kind::Op(':')),
            Some(Kind::Symbol(argument)),
            Some(Kind::Op('→')),
        ] = [0, 1, 2, 3].map(|offset| self.peek_at(offset))
        else {
            return None;
        };
        let applied = Expr::Apply((*name).into(), vec![Expr::Symbol((*argument).into())]);
        self.at += 4;
        Some(
            self.set_expression().map(|value| Expr::Chain {
                operands: vec![applied, value],
                relations: vec![Relation::Equal],
            }),
        )
    }

    /// "> 5", which leaves out what it is about: the numbers above 5.
    fn half_line(&mut self, relation: Relation) -> Result<Expr, Halt> {
        self.at += 1;
        let bound = self.set_expression()?;
        if self.relation_operator().is_some() {
            return Err(Halt::Unsupported);
        }
        let above = match relation {
            Relation::Greater | Relation::GreaterEqual => true,
            Relation::Less | Relation::LessEqual => false,
            _ => return Err(Halt::Unsupported),
        };
        let reached = matches!(relation, Relation::GreaterEqual | Relation::LessEqual);
        Ok(Expr::half_line(bound, above, reached))
    }
}

/// `x \\ne 0, 1` as `x \\ne 0, x \\ne 1`: a bare value behind it is left out too.
pub(super) fn distribute_unequal(items: &mut [Expr]) {
    let Some((Expr::Chain { operands, relations }, values)) = items.split_first_mut() else { return };
    let [name @ Expr::Symbol(_), _] = &operands[..] else { return };
    let bare = |item: &Expr| !matches!(item, Expr::Chain { .. } | Expr::Member(_));
    if relations[..] != [Relation::NotEqual] || !values.iter().all(bare) {
        return;
    }
    for value in values {
        let operands = vec![name.clone(), value.clone()];
        *value = Expr::Chain { operands, relations: vec![Relation::NotEqual] };
    }
}
