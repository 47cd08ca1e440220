//! Tokens to a tree: recursive descent over the levels
//! list < relation < set operation < sum < product < power < atom.
//!
//! The parser accepts what people write, not a language: juxtaposition multiplies, functions swallow the product that
//! follows them, a unit may end a quantity. What it cannot read is [`Halt::Unsupported`], never a guess.

mod atom;
mod condition;
mod ellipsis;
mod figure;
mod function;
pub(super) mod lex;
mod modulo;
mod piecewise;
mod power;
mod product;
mod ratio;
mod relation;
mod structure;
mod unit;

use crate::verify::language::english;
use dashu_int::IBig;
use dashu_ratio::RBig;

use super::expr::{Expr, Joint, SetOperation};
use super::fuel::{Fuel, Halt};
use super::licence::{Licence, Licences};
use crate::verify::language::words::Word;
pub(crate) use function::{combinations, permutations};
use lex::{Kind, Token, Tokens, lex};

/// Deepest nesting. The parser and everything that walks the tree recurse, so this bounds their stack: without
/// optimization a level takes up to 36 KiB, of the 2 MiB that a thread has.
const DEPTH: usize = 40;

/// Most set operations in a row; each is a level of the tree.
const SET_OPERATIONS: usize = 160;
/// Most items that an ellipsis stands for.
const PROGRESSION: usize = 512;
/// Most tokens. A longer text is no answer.
const TOKENS: usize = 1 << 13;

/// A parsed text.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) expr: Expr,
    /// The conventions by which it is read so.
    pub(crate) notation: Licences,
    /// A comma was read as a thousands separator; the text is a list too.
    pub(crate) grouped_by_comma: bool,
}

/// Parses a whole answer. `commas` allows `1,234` to be one number.
pub(crate) fn parse(text: &str, commas: bool, fuel: &mut Fuel) -> Result<Parsed, Halt> {
    let Tokens { list, notation, grouped_by_comma } = lex(text, commas, fuel)?;
    if list.len() > TOKENS {
        return Err(Halt::Unsupported);
    }
    let tokens = structure::without_redundant_brackets(list);
    let mut parser = Parser {
        text,
        tokens,
        at: 0,
        depth: 0,
        bars: 0,
        colons: 0,
        reversed: false,
        currency: None,
        notation,
        fuel,
    };
    parser.skip_noise();
    let expr = parser.list()?;
    // "3.14159..."
    let decimal = |token: &Token<'_>| matches!(&token.kind, Kind::Number(literal) if literal.number.decimal);
    if parser.at > 0 && decimal(&parser.tokens[parser.at - 1]) {
        parser.take_op('…');
    }
    parser.skip_noise();
    if parser.at < parser.tokens.len() {
        return Err(Halt::Unsupported);
    }
    Ok(Parsed { expr, notation: parser.notation, grouped_by_comma })
}

struct Parser<'a, 'f> {
    text: &'a str,
    tokens: Vec<Token<'a>>,
    at: usize,
    depth: usize,
    /// Open `|`: a bar behind an operand closes it instead of opening another.
    bars: usize,
    /// Contexts in which `:` separates instead of forming a ratio.
    colons: usize,
    /// Inside `]a, b[` an opening bracket closes.
    reversed: bool,
    /// That of the product being read.
    currency: Option<&'static str>,
    /// The conventions used so far.
    notation: Licences,
    fuel: &'f mut Fuel,
}

impl<'a> Parser<'a, '_> {
    /// Notes that a convention was used.
    fn note(&mut self, licence: Licence) {
        self.notation = self.notation.union(licence.into());
    }

    fn peek(&self) -> Option<&Kind<'a>> {
        self.tokens.get(self.at).map(|token| &token.kind)
    }

    fn peek_at(&self, offset: usize) -> Option<&Kind<'a>> {
        self.tokens.get(self.at + offset).map(|token| &token.kind)
    }

    fn is_op(&self, op: char) -> bool {
        self.is_op_at(0, op)
    }

    fn is_op_at(&self, offset: usize, op: char) -> bool {
        matches!(self.peek_at(offset), Some(Kind::Op(found)) if *found == op)
    }

    fn take_op(&mut self, op: char) -> bool {
        let found = self.is_op(op);
        self.at += usize::from(found);
        found
    }

    fn expect_op(&mut self, op: char) -> Result<(), Halt> {
        if self.take_op(op) { Ok(()) } else { Err(Halt::Unsupported) }
    }

    fn take_command(&mut self, name: &str) -> bool {
        let found = matches!(self.peek(), Some(Kind::Command(found)) if *found == name);
        self.at += usize::from(found);
        found
    }

    /// Runs a rule one level deeper.
    fn nested<T>(&mut self, rule: impl FnOnce(&mut Self) -> Result<T, Halt>) -> Result<T, Halt> {
        self.nested_by(1, rule)
    }

    /// Runs a rule several levels deeper: power towers take more stack to evaluate than to parse.
    fn nested_by<T>(
        &mut self,
        levels: usize,
        rule: impl FnOnce(&mut Self) -> Result<T, Halt>,
    ) -> Result<T, Halt> {
        self.fuel.spend(4)?;
        if self.depth >= DEPTH {
            self.fuel.give_up();
            return Err(Halt::Exhausted);
        }
        self.depth += levels;
        let result = rule(self);
        self.depth -= levels;
        result
    }

    /// Punctuation that may surround an answer.
    fn skip_noise(&mut self) {
        while let Some(Kind::Op(',' | ';' | ':' | '&' | '→') | Kind::NewRow) = self.peek() {
            self.at += 1;
        }
    }

    /// Items between commas, semicolons, "and", "or". One item is itself.
    fn list(&mut self) -> Result<Expr, Halt> {
        let first = self.relation()?;
        if self.at_end_of_list() {
            return Ok(first);
        }
        let mut items = vec![first];
        let mut joint = Joint::Comma;
        loop {
            let before = self.at;
            let mut separated = false;
            loop {
                match self.peek() {
                    Some(Kind::Word(Word::Or)) => joint = Joint::Or,
                    Some(Kind::Word(Word::And)) if joint != Joint::Or => joint = Joint::And,
                    Some(Kind::Op(',' | ';') | Kind::Word(Word::And)) => {}
                    // "where k ∈ Z" is said as if it were one more item.
                    Some(Kind::Text(words))
                        if english::opens_condition(words)
                            && (self.symbol_in(1) || self.integer_at(1) || self.bound_at(1)) => {}
                    _ => break,
                }
                separated = true;
                self.at += 1;
            }
            // "1/2 (or 0.5)"
            if self.alternative_ahead() {
                self.at += 2;
                items.push(self.relation()?);
                self.expect_op(')')?;
                joint = Joint::Or;
                continue;
            }
            if let Some(member) = self.declared_index() {
                items.push(member?);
                break;
            }
            // "1 hour 30 minutes", `(1, 2) \quad (3, 4)`
            let joined = match items.last() {
                Some(Expr::Quantity(..)) => self.quantity_ahead(),
                Some(Expr::Tuple { .. }) => self.is_op('('),
                _ => false,
            };
            if !separated && !joined {
                break;
            }
            if self.at_end_of_list() {
                // A trailing comma is noise, as is "1, 2 and".
                if self.at < self.tokens.len() && before + 1 < self.at {
                    return Err(Halt::Unsupported);
                }
                break;
            }
            if self.take_op('…') {
                if self.at_end_of_list() {
                    items = vec![endless(items).ok_or(Halt::Unsupported)?];
                    break;
                }
                if !matches!(self.peek(), Some(Kind::Op(',' | ';') | Kind::Word(Word::And))) {
                    return Err(Halt::Unsupported);
                }
                self.at += 1;
                let last = self.relation()?;
                progress(&mut items, last).ok_or(Halt::Unsupported)?;
                self.note(Licence::EllipsisFilled);
                continue;
            }
            items.push(self.relation()?);
        }
        relation::distribute_unequal(&mut items);
        condition::without_index(&mut items);
        Ok(if items.len() == 1 { items.swap_remove(0) } else { Expr::List(items, joint) })
    }

    /// Whether "(or" is next.
    fn alternative_ahead(&self) -> bool {
        self.is_op('(') && self.peek_at(1) == Some(&Kind::Word(Word::Or))
    }

    fn at_end_of_list(&self) -> bool {
        matches!(self.peek(), None | Some(Kind::Op(')' | ']' | '}') | Kind::SetClose))
    }

    /// Whether what has been read goes on behind no operator: a comma, a closing bracket or nothing is next.
    fn at_end_of_item(&self) -> bool {
        matches!(self.peek(), None | Some(Kind::Op(',' | ';' | ')' | ']') | Kind::SetClose))
    }

    fn set_expression(&mut self) -> Result<Expr, Halt> {
        let mut left = self.ratio()?;
        for _ in 0..SET_OPERATIONS {
            let operation = match self.peek() {
                Some(Kind::Op('∪') | Kind::Word(Word::Union)) => SetOperation::Union,
                Some(Kind::Op('∩')) => SetOperation::Intersection,
                Some(Kind::Op('∖')) => SetOperation::Difference,
                _ => return Ok(left),
            };
            self.at += 1;
            let right = self.ratio()?;
            left = Expr::SetOperation(operation, Box::new((left, right)));
        }
        Err(Halt::Unsupported)
    }

    fn sum(&mut self) -> Result<Expr, Halt> {
        let first = self.product()?;
        if self.at_end_of_item() {
            return Ok(first);
        }
        let mut terms = vec![first];
        while let Some(Kind::Op(sign @ ('+' | '-' | '±' | '∓'))) = self.peek() {
            let sign = *sign;
            self.at += 1;
            if sign == '+' && self.is_op('…') && self.is_op_at(1, '+') {
                self.at += 2;
                let last = self.product()?;
                terms = vec![ellipsis::sum(&terms, &last).ok_or(Halt::Unsupported)?];
                self.note(Licence::EllipsisFilled);
                continue;
            }
            let term = self.product()?;
            terms.push(signed(sign, term));
        }
        while self.continues_quantity(&terms[terms.len() - 1]) {
            terms.push(self.product()?);
        }
        if self.modulus_ahead() {
            let sum = if terms.len() == 1 { terms.swap_remove(0) } else { Expr::Add(terms) };
            return self.modulo(sum);
        }
        if terms.len() == 1 {
            return Ok(terms.swap_remove(0));
        }
        // `\mathbb{R} - \{0\}`
        if matches!(terms[..], [Expr::Reals, Expr::Neg(ref set)] if matches!(**set, Expr::Set(_)))
            && let Some(Expr::Neg(set)) = terms.pop()
        {
            return Ok(Expr::SetOperation(SetOperation::Difference, Box::new((Expr::Reals, *set))));
        }
        Ok(Expr::Add(terms))
    }
}

/// The items that `…` stands for in an arithmetic progression of integers, up to `last`: `1, 2, …, 5`, `1, 3, 5, …, 11`.
fn progress(items: &mut Vec<Expr>, last: Expr) -> Option<()> {
    let given: Vec<IBig> = items.iter().map(Expr::literal_integer).collect::<Option<_>>()?;
    // "1, …, 10"
    let step = given.get(1).map_or(IBig::ONE, |second| second - &given[0]);
    let end = last.literal_integer()?;
    let mut next = given.last()? + &step;
    if step.is_zero() || given.windows(2).any(|pair| &pair[1] - &pair[0] != step) {
        return None;
    }
    while next != end {
        if items.len() >= PROGRESSION || (next > end) == (step > IBig::ZERO) {
            return None;
        }
        items.push(Expr::rational(RBig::from(next.clone())));
        next += &step;
    }
    items.push(last);
    Some(())
}

/// The progression `4, 8, 12, …`, which is named by its first terms.
fn endless(items: Vec<Expr>) -> Option<Expr> {
    let given: Vec<IBig> = items.iter().map(Expr::literal_integer).collect::<Option<_>>()?;
    let step = given.get(1)? - &given[0];
    let steady = given.len() > 2 && given.windows(2).all(|pair| &pair[1] - &pair[0] == step);
    steady.then(|| Expr::Apply("…".into(), items.into_iter().take(2).collect()))
}

/// A term with the sign that stood before it.
fn signed(sign: char, term: Expr) -> Expr {
    match sign {
        '-' => Expr::Neg(Box::new(term)),
        '±' => Expr::PlusMinus { term: Box::new(term), lower: false },
        '∓' => Expr::PlusMinus { term: Box::new(term), lower: true },
        _ => term,
    }
}
