//! Brackets and environments: tuples, intervals, sets, matrices.

use super::Parser;
use super::lex::{Kind, Token};
use crate::verify::expr::{Expr, Function, Joint, Relation};
use crate::verify::fuel::Halt;
use crate::verify::licence::Licence;

impl Parser<'_, '_> {
    /// After `(` or `[`: a grouping, a tuple or an interval.
    pub(super) fn bracket(&mut self, open: char) -> Result<Expr, Halt> {
        let context = (self.bars, self.colons, self.reversed);
        (self.bars, self.colons, self.reversed) = (0, 0, false);
        let inner = self.list();
        (self.bars, self.colons, self.reversed) = context;
        let inner = inner?;
        let right_closed = match self.peek() {
            Some(Kind::Op(')')) => false,
            Some(Kind::Op(']')) => true,
            Some(Kind::Op('[')) if open == '[' => false,
            _ => return Err(Halt::Unsupported),
        };
        self.at += 1;
        let inner = self.base_behind(inner)?;
        Ok(match inner {
            Expr::List(items, Joint::Comma) => {
                let signed = |item: &&Expr| item.any(|node| matches!(node, Expr::PlusMinus { .. }));
                if items.iter().filter(signed).count() > 1 {
                    self.note(Licence::SignsIndependent);
                }
                Expr::Tuple { items, left_closed: open == '[', right_closed }
            }
            other if (open == '[') == right_closed => other,
            _ => return Err(Halt::Unsupported),
        })
    }

    /// `(1101)_2`.
    fn base_behind(&mut self, inner: Expr) -> Result<Expr, Halt> {
        if !self.is_op('_') || !matches!(inner, Expr::Number(_)) || self.at < 2 {
            return Ok(inner);
        }
        let number = self.at - 2;
        if !matches!(self.tokens[number].kind, Kind::Number(_)) {
            return Err(Halt::Unsupported);
        }
        self.based(number)
    }

    /// `]a, b[` and `]a, b]`.
    pub(super) fn french_interval(&mut self) -> Result<Expr, Halt> {
        self.reversed = true;
        let inner = self.list();
        self.reversed = false;
        let inner = inner?;
        let right_closed = match self.peek() {
            Some(Kind::Op('[')) => false,
            Some(Kind::Op(']')) => true,
            _ => return Err(Halt::Unsupported),
        };
        self.at += 1;
        match inner {
            Expr::List(items, Joint::Comma) if items.len() == 2 => {
                Ok(Expr::Tuple { items, left_closed: false, right_closed })
            }
            _ => Err(Halt::Unsupported),
        }
    }

    /// After `{`: a LaTeX group, or a set written with plain braces.
    pub(super) fn brace(&mut self) -> Result<Expr, Halt> {
        if self.is_op('}') && matches!(self.peek_at(1), Some(Kind::Op('_' | '^'))) {
            self.at += 1;
            return self.scripts_in_front();
        }
        // `{x|x>0}` of a gold that has lost its backslashes
        if self.is_op_at(1, '|') {
            return self.either(Self::set, Self::group);
        }
        self.group()
    }

    fn group(&mut self) -> Result<Expr, Halt> {
        let bars = std::mem::take(&mut self.bars);
        let inner = self.list();
        self.bars = bars;
        let inner = inner?;
        if self.take_command("choose") {
            let lower = self.sum()?;
            self.expect_op('}')?;
            return Ok(Expr::Call(Function::Binomial, vec![inner, lower]));
        }
        if self.take_command("over") {
            let lower = self.sum()?;
            self.expect_op('}')?;
            return Ok(Expr::Div(Box::new((inner, lower))));
        }
        self.expect_op('}')?;
        Ok(match inner {
            Expr::List(items, Joint::Comma) => Expr::Set(items),
            // `{(1,2)}`
            point @ Expr::Tuple { .. } if self.at == self.tokens.len() => Expr::Set(vec![point]),
            other => other,
        })
    }

    /// After `\{`.
    pub(super) fn set(&mut self) -> Result<Expr, Halt> {
        if self.peek() == Some(&Kind::SetClose) {
            self.at += 1;
            return Ok(Expr::EmptySet);
        }
        // `\\left\\{ \\begin{array}..`: the brace of a system has no other.
        if self.take_command("begin") {
            let system = self.environment()?;
            if self.at == self.tokens.len() {
                return Ok(system);
            }
            self.close_set()?;
            return Ok(Expr::Set(vec![system]));
        }
        self.bars += 1;
        self.colons += 1;
        let inner = self.list();
        self.bars -= 1;
        self.colons -= 1;
        let inner = inner?;
        if matches!(self.peek(), Some(Kind::Op('|' | ':'))) {
            self.at += 1;
            let condition = self.list()?;
            self.close_set()?;
            return Ok(Expr::SetBuilder(Box::new((inner, condition))));
        }
        self.close_set()?;
        Ok(match inner {
            Expr::List(items, _) => Expr::Set(items),
            single => Expr::Set(vec![single]),
        })
    }

    fn close_set(&mut self) -> Result<(), Halt> {
        let closed = matches!(self.peek(), Some(Kind::SetClose | Kind::Op('}')));
        self.at += usize::from(closed);
        if closed { Ok(()) } else { Err(Halt::Unsupported) }
    }

    /// After `\begin`: a matrix, or a system.
    pub(super) fn environment(&mut self) -> Result<Expr, Halt> {
        let name = self.flattened();
        match name.trim_end_matches('*') {
            "aligned" | "align" | "split" | "gathered" | "gather" => return self.aligned(),
            "cases" | "dcases" | "rcases" => return self.either(Self::piecewise, Self::aligned),
            "array" => {
                self.flattened();
                return self.either(Self::matrix, |parser| parser.either(Self::piecewise, Self::aligned));
            }
            "vmatrix" => {
                let Expr::Matrix(rows) = self.matrix()? else { return Err(Halt::Unsupported) };
                let rows: Vec<Vec<&Expr>> = rows.iter().map(|row| row.iter().collect()).collect();
                return determinant(&rows).ok_or(Halt::Unsupported);
            }
            "matrix" | "pmatrix" | "bmatrix" | "Bmatrix" | "smallmatrix" => {}
            _ => return Err(Halt::Unsupported),
        }
        self.matrix()
    }

    /// What one rule reads, else what another does.
    fn either(
        &mut self,
        first: impl FnOnce(&mut Self) -> Result<Expr, Halt>,
        second: impl FnOnce(&mut Self) -> Result<Expr, Halt>,
    ) -> Result<Expr, Halt> {
        let start = self.at;
        first(self).or_else(|_| {
            self.at = start;
            second(self)
        })
    }

    /// Relations one below the other; a row that begins with a sign of equality goes on with the one above.
    fn aligned(&mut self) -> Result<Expr, Halt> {
        // What is aligned is no part of what is said.
        let mut depth = 0usize;
        let mut kept = self.tokens.split_off(self.at);
        kept.retain(|token| {
            match token.kind {
                Kind::Command("begin") => depth += 1,
                Kind::Command("end") => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth > 0 || token.kind != Kind::Op('&')
        });
        self.tokens.append(&mut kept);
        let mut rows: Vec<Expr> = Vec::new();
        loop {
            self.fuel.spend(4)?;
            while matches!(self.peek(), Some(Kind::NewRow | Kind::Op(',' | ';' | '→'))) {
                self.at += 1;
            }
            if self.take_command("end") {
                self.flattened();
                break;
            }
            let continues = self.is_op('=');
            let row = self.relation()?;
            match rows.last_mut() {
                Some(Expr::Chain { operands, relations }) if continues => {
                    operands.push(row);
                    relations.push(Relation::Equal);
                }
                Some(first) if continues => {
                    let operands = vec![first.clone(), row];
                    *first = Expr::Chain { operands, relations: vec![Relation::Equal] };
                }
                _ => rows.push(row),
            }
        }
        match rows.len() {
            0 => Err(Halt::Unsupported),
            1 => Ok(rows.swap_remove(0)),
            _ => Ok(Expr::List(rows, Joint::Comma)),
        }
    }

    fn matrix(&mut self) -> Result<Expr, Halt> {
        let mut rows = vec![Vec::new()];
        loop {
            self.fuel.spend(4)?;
            match self.peek() {
                Some(Kind::Command("end")) => {
                    self.at += 1;
                    self.flattened();
                    break;
                }
                Some(Kind::Op('&')) => self.at += 1,
                Some(Kind::NewRow) => {
                    self.at += 1;
                    rows.push(Vec::new());
                }
                Some(_) => {
                    let cell = self.sum()?;
                    if let Some(row) = rows.last_mut() {
                        row.push(cell);
                    }
                }
                None => return Err(Halt::Unsupported),
            }
        }
        rows.retain(|row: &Vec<Expr>| !row.is_empty());
        let width = rows.first().map_or(0, Vec::len);
        if width == 0 || rows.iter().any(|row| row.len() != width) {
            return Err(Halt::Unsupported);
        }
        if width == 1 && rows.len() == 1 {
            return rows[0].pop().ok_or(Halt::Unsupported);
        }
        Ok(Expr::Matrix(rows))
    }
}

/// The determinant of a small square matrix, by its first row.
fn determinant(rows: &[Vec<&Expr>]) -> Option<Expr> {
    const LARGEST: usize = 4;
    if rows.len() != rows[0].len() || rows.len() > LARGEST {
        return None;
    }
    if rows.len() == 1 {
        return Some(rows[0][0].clone());
    }
    let terms = (0..rows.len()).map(|column| {
        let minor: Vec<Vec<&Expr>> = rows[1..]
            .iter()
            .map(|row| {
                row.iter().enumerate().filter(|(place, _)| *place != column).map(|(_, cell)| *cell).collect()
            })
            .collect();
        let product = Expr::Mul(vec![rows[0][column].clone(), determinant(&minor)?]);
        Some(if column % 2 == 0 { product } else { Expr::Neg(Box::new(product)) })
    });
    terms.collect::<Option<_>>().map(Expr::Add)
}

/// Drops doubled brackets, `((x))` or `{{x}}`, so that nesting without meaning costs no recursion.
pub(super) fn without_redundant_brackets(tokens: Vec<Token<'_>>) -> Vec<Token<'_>> {
    let doubled =
        |pair: &[Token<'_>]| matches!(pair[0].kind, Kind::Op('(' | '{')) && pair[0].kind == pair[1].kind;
    if !tokens.windows(2).any(doubled) {
        return tokens;
    }
    let closes = |open: &Kind, close: &Kind| {
        matches!((open, close), (Kind::Op('('), Kind::Op(')')) | (Kind::Op('{'), Kind::Op('}')))
    };
    let mut partner = vec![None; tokens.len()];
    let mut open = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        match &token.kind {
            Kind::Op('(' | '{' | '[') | Kind::SetOpen => open.push(index),
            Kind::Op(')' | '}' | ']') | Kind::SetClose => {
                if let Some(start) = open.pop().filter(|start| closes(&tokens[*start].kind, &token.kind)) {
                    partner[start] = Some(index);
                }
            }
            _ => {}
        }
    }
    let mut redundant = vec![false; tokens.len()];
    for index in 0..tokens.len() - 1 {
        if let (Some(outer), Some(inner)) = (partner[index], partner[index + 1])
            && outer == inner + 1
            && tokens[index].kind == tokens[index + 1].kind
        {
            redundant[index + 1] = true;
            redundant[inner] = true;
        }
    }
    tokens.into_iter().zip(redundant).filter(|(_, redundant)| !redundant).map(|(token, _)| token).collect()
}
