//! The smallest things: literals, symbols, brackets, commands with arguments.

use dashu_int::IBig;
use dashu_ratio::RBig;

use super::Parser;
use super::figure::ends_of_segment;
use super::lex::Kind;
use crate::verify::expr::{Constant, Expr, Function, Series};
use crate::verify::fuel::Halt;
use crate::verify::language::words::Word;
use crate::verify::language::{numerals, statement};

impl Parser<'_, '_> {
    pub(super) fn atom(&mut self) -> Result<Expr, Halt> {
        self.fuel.spend(2)?;
        let Some(kind) = self.peek().cloned() else { return Err(Halt::Unsupported) };
        self.at += 1;
        match kind {
            Kind::Number(literal) => {
                let in_base = matches!(self.peek(), Some(Kind::Text("base" | "in base")))
                    && matches!(self.peek_at(1), Some(Kind::Number(_)));
                if self.is_op('_') || in_base {
                    return self.based(self.at - 1);
                }
                // "1101 (base 2)"
                let braced = usize::from(self.is_op('{'));
                if self.is_op_at(braced, '(')
                    && matches!(self.peek_at(braced + 1), Some(Kind::Text("base" | "in base")))
                {
                    let number = self.at - 1;
                    self.at += 1 + braced;
                    let number = self.based(number)?;
                    self.expect_op(')')?;
                    self.at += braced;
                    return Ok(number);
                }
                let exponent = literal.exponent;
                let mantissa = Expr::Number(literal.number);
                Ok(if exponent == 0 {
                    mantissa
                } else {
                    let power = Expr::Pow(Box::new((Expr::integer(10), Expr::integer(exponent))));
                    Expr::Mul(vec![mantissa, power])
                })
            }
            Kind::Digits(_) => self.based(self.at - 1),
            Kind::Symbol(name) => match self.figure(name) {
                Some(figure) => Ok(figure),
                None => self.symbol(name),
            },
            // Words in front of a value introduce it: `\text{The answer is } -5`.
            Kind::Text(words)
                if (self.starts_factor() || matches!(self.peek(), Some(Kind::Op('-' | '+' | '±'))))
                    && statement::introduces(words) =>
            {
                self.nested(Self::signed_factor)
            }
            // Beside any other word a number is a part of a name: "Sphere 3".
            Kind::Text(words)
                if words.chars().count() > 1
                    && matches!(
                        self.peek(),
                        Some(Kind::Number(_) | Kind::Word(Word::Function(Function::Min | Function::Max)))
                    ) =>
            {
                Err(Halt::Unsupported)
            }
            Kind::Text("constant" | "const" | "const.") => Ok(Expr::Symbol("C".into())),
            Kind::Text(words) => {
                let name: String = words.chars().filter(|character| !character.is_whitespace()).collect();
                // Capitals are a product however they are set: `\text{MR} = \text{MC}`.
                let capitals = (2..=6).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_uppercase());
                if capitals && !matches!(self.peek(), Some(Kind::Op('_' | '\'' | '('))) {
                    let letters = name.chars().map(|letter| Expr::Symbol(letter.to_string().into()));
                    return Ok(Expr::Mul(letters.collect()));
                }
                let constant = matches!(name.as_str(), "e" | "i");
                // "Area" begins a sentence or is set so: the name is the same.
                let word = name.is_ascii()
                    && name.len() >= 4
                    && name[1..].bytes().all(|letter| letter.is_ascii_lowercase());
                self.symbol_or_constant(if word { name.to_lowercase() } else { name }, constant)
            }
            Kind::Word(word) => self.word(word),
            Kind::Command(name) => self.command(name),
            Kind::SetOpen => self.set(),
            Kind::Op(op) => match op {
                '(' | '[' => self.bracket(op),
                '{' => self.brace(),
                '|' => self.absolute(),
                ']' => self.french_interval(),
                '_' | '^' => {
                    self.at -= 1;
                    self.scripts_in_front()
                }
                _ => Err(Halt::Unsupported),
            },
            Kind::SetClose | Kind::NewRow | Kind::Currency(_) => Err(Halt::Unsupported),
        }
    }

    fn word(&mut self, word: Word) -> Result<Expr, Halt> {
        match word {
            Word::Function(Function::Factorial) => {
                let argument = self.nested(Self::atom)?;
                Ok(Expr::Call(Function::Factorial, vec![argument]))
            }
            Word::Function(function) => self.function(function),
            Word::Cis => self.cis(),
            Word::Log => self.logarithm(),
            Word::SquareRoot => self.root(2, true),
            Word::CubeRoot => self.root(3, true),
            Word::Pi => Ok(Expr::Constant(Constant::Pi)),
            Word::Infinity => Ok(Expr::Constant(Constant::Infinity)),
            Word::Reals => Ok(Expr::Reals),
            Word::EmptySet => Ok(Expr::EmptySet),
            _ => Err(Halt::Unsupported),
        }
    }

    fn command(&mut self, name: &str) -> Result<Expr, Halt> {
        match name {
            "frac" | "dfrac" | "tfrac" | "cfrac" | "sfrac" | "binom" | "dbinom" | "tbinom" => {
                let (top, bottom) = (self.macro_argument()?, self.macro_argument()?);
                Ok(if name.ends_with("binom") {
                    Expr::Call(Function::Binomial, vec![top, bottom])
                } else {
                    Expr::Div(Box::new((top, bottom)))
                })
            }
            "vulgar" => Ok(Expr::Div(Box::new((self.atom()?, self.atom()?)))),
            "sqrt" => {
                let unicode = self.text[self.tokens[self.at - 1].start..].starts_with('√');
                self.root(2, unicode)
            }
            "cbrt" => self.word(Word::CubeRoot),
            "lfloor" => self.closed_by("rfloor", Function::Floor),
            "lceil" => self.closed_by("rceil", Function::Ceil),
            "langle" => {
                let inner = self.list()?;
                if !self.take_command("rangle") {
                    return Err(Halt::Unsupported);
                }
                Ok(match inner {
                    Expr::List(items, _) => Expr::Vector(items),
                    other => Expr::Vector(vec![other]),
                })
            }
            "begin" => self.environment(),
            "sum" => self.series(Series::Sum),
            "prod" => self.series(Series::Product),
            "overline" | "bar" | "hat" | "widehat" | "vec" | "tilde" | "widetilde" | "dot" | "ddot"
            | "overrightarrow" => {
                let decorated = self.flattened();
                if decorated.is_empty() {
                    return Err(Halt::Unsupported);
                }
                let name = if name == "overrightarrow" { "vec" } else { name };
                let segment = matches!(name, "overline" | "bar");
                let decorated = if segment { ends_of_segment(decorated) } else { decorated };
                self.symbol_or_constant(format!("{name}({decorated})"), false)
            }
            "boxed" | "fbox" => self.macro_argument(),
            _ => Err(Halt::Unsupported),
        }
    }

    fn closed_by(&mut self, close: &str, function: Function) -> Result<Expr, Halt> {
        let inner = self.sum()?;
        if self.take_command(close) { Ok(Expr::Call(function, vec![inner])) } else { Err(Halt::Unsupported) }
    }

    fn absolute(&mut self) -> Result<Expr, Halt> {
        self.bars += 1;
        let inner = self.sum();
        self.bars -= 1;
        let inner = inner?;
        self.expect_op('|')?;
        Ok(Expr::Call(Function::Abs, vec![inner]))
    }

    /// A letter, with its subscript and arguments.
    fn symbol(&mut self, name: &str) -> Result<Expr, Halt> {
        self.symbol_or_constant(name.to_string(), true)
    }

    fn symbol_or_constant(&mut self, mut name: String, constants: bool) -> Result<Expr, Halt> {
        let bare = name.clone();
        if self.take_op('_') {
            let subscript = self.flattened();
            name.push('_');
            name.push_str(&subscript);
        } else if constants {
            match name.as_str() {
                "e" => return Ok(Expr::Constant(Constant::E)),
                "i" => return Ok(Expr::Constant(Constant::I)),
                _ => {}
            }
        }
        while self.take_op('\'') {
            name.push('\'');
        }
        if let Some(condition) = self.condition() {
            name.push_str(&condition);
            return Ok(Expr::Symbol(name.into()));
        }
        let applies = matches!(bare.as_str(), "f" | "g" | "h" | "F" | "G" | "H") && self.is_op('(');
        // A factor of zero is never written: `I(0)` is a value of I.
        let at_zero = self.is_op('(') && self.is_zero(1) && self.is_op_at(2, ')');
        // "y(t) = ..": an unknown function.
        let solution = matches!(bare.as_str(), "y" | "x" | "u" | "v" | "s" | "r" | "N" | "P" | "T")
            && self.at == 1
            && matches!(
                [0, 1, 2, 3].map(|offset| self.peek_at(offset)),
                [
                    Some(Kind::Op('(')),
                    Some(Kind::Symbol("x" | "t" | "n")),
                    Some(Kind::Op(')')),
                    Some(Kind::Op('='))
                ]
            );
        if applies || at_zero || solution {
            self.at += 1;
            let argument = self.bracket('(')?;
            // `f(x)_{\max}`
            if self.take_op('_') {
                name = format!("{name}_{}", self.flattened());
            }
            return Ok(match argument {
                Expr::Tuple { items, .. } => Expr::Apply(name.into(), items),
                other => Expr::Apply(name.into(), vec![other]),
            });
        }
        Ok(Expr::Symbol(name.into()))
    }

    /// The `(A | B)` of a conditional probability `P(A | B) =`, which is a part of its name: one bar is no absolute value.
    fn condition(&mut self) -> Option<String> {
        if !self.is_op('(') {
            return None;
        }
        let (mut depth, mut bars) = (0usize, 0usize);
        let end = (self.at..self.tokens.len()).find(|&index| {
            match self.tokens[index].kind {
                Kind::Op('(') => depth += 1,
                Kind::Op(')') => depth -= 1,
                Kind::Op('|') => bars += 1,
                _ => {}
            }
            depth == 0
        })?;
        if bars != 1 || self.tokens.get(end + 1).is_none_or(|token| token.kind != Kind::Op('=')) {
            return None;
        }
        let name = self.tokens[self.at..=end]
            .iter()
            .map(|token| match &token.kind {
                Kind::Op(op) => op.to_string(),
                Kind::Text(words) => words.to_string(),
                _ => self.text[token.start..token.end].to_string(),
            })
            .collect();
        self.at = end + 1;
        Some(name)
    }

    /// The tokens of a subscript or an accent run together: `{\text{max}}` is `max`.
    pub(super) fn flattened(&mut self) -> String {
        let mut name = String::new();
        let mut depth = 0usize;
        while let Some(token) = self.tokens.get(self.at) {
            match &token.kind {
                Kind::Op('{') => depth += 1,
                Kind::Op('}') => {
                    if depth == 0 {
                        break;
                    }
                    depth -= 1;
                }
                Kind::Text(words) => name.extend(words.chars().filter(|c| !c.is_whitespace())),
                Kind::Symbol(letter) => name.push_str(letter),
                _ => name.push_str(self.text[token.start..token.end].trim_start_matches('\\')),
            }
            if depth == 0 {
                // A subscript without braces is one token, and one digit of a number.
                self.at += 1;
                break;
            }
            self.at += 1;
        }
        name
    }

    /// `1011_2`, "1011 base 2": the number before the underscore or the word in the base behind it.
    pub(super) fn based(&mut self, number: usize) -> Result<Expr, Halt> {
        let digits = self.text[self.tokens[number].start..self.tokens[number].end].to_string();
        self.at += 1;
        let base = self.flattened();
        let base = base.trim_matches(|c| c == '(' || c == ')').trim_start_matches("base");
        let spelled = numerals::spelled_number(base).and_then(|base| u32::try_from(base).ok());
        let base: u32 = spelled.or_else(|| base.parse().ok()).ok_or(Halt::Unsupported)?;
        if digits.len() > 2000
            || !digits.bytes().all(|byte| byte.is_ascii_digit() || base > 10 && byte.is_ascii_alphabetic())
        {
            return Err(Halt::Unsupported);
        }
        let value = IBig::from_str_radix(&digits, base).map_err(|_| Halt::Unsupported)?;
        // Digits beyond nine have no other reading.
        let plain = IBig::from_str_radix(&digits, 10).unwrap_or_else(|_| value.clone());
        Ok(Expr::Based { value: RBig::from(value), plain: RBig::from(plain) })
    }

    /// `\sum_{k=1}^{n} body` after the name.
    fn series(&mut self, kind: Series) -> Result<Expr, Halt> {
        self.expect_op('_')?;
        let lower = self.macro_argument_relation()?;
        self.expect_op('^')?;
        let upper = self.macro_argument()?;
        let Expr::Chain { operands, relations } = lower else { return Err(Halt::Unsupported) };
        if relations.len() != 1 || operands.len() != 2 {
            return Err(Halt::Unsupported);
        }
        let variable: Box<str> = match &operands[0] {
            Expr::Symbol(name) => name.clone(),
            Expr::Constant(Constant::I) => "i".into(),
            _ => return Err(Halt::Unsupported),
        };
        let mut body = self.product()?;
        if &*variable == "i" {
            body = body.map(&mut |node| match node {
                Expr::Constant(Constant::I) => Expr::Symbol("i".into()),
                other => other,
            });
        }
        // Of two indices with one name a substitution would not know which is meant.
        if body.any(|node| matches!(node, Expr::Series { variable: inner, .. } if *inner == variable)) {
            return Err(Halt::Unsupported);
        }
        let bounds = Box::new((operands[1].clone(), upper));
        // The index is bound: what it is called does not matter.
        let inner = std::cell::Cell::new(0);
        let count = |node: &Expr| {
            inner.set(inner.get() + usize::from(matches!(node, Expr::Series { .. })));
            false
        };
        body.any(&count);
        let name: Box<str> = format!("∑{}", inner.get()).into();
        let body = body.substitute(&variable, &Expr::Symbol(name.clone()));
        Ok(Expr::Series { kind, variable: name, bounds, body: Box::new(body) })
    }

    fn macro_argument_relation(&mut self) -> Result<Expr, Halt> {
        self.expect_op('{')?;
        let inner = self.relation()?;
        self.expect_op('}')?;
        Ok(inner)
    }
}
