//! The syntax tree of an answer. One type covers scalars and the structures around them; what a node means beside
//! another one is decided in [`super::compare`].

use dashu_int::IBig;
use dashu_ratio::RBig;

/// A number as it was written. Two with one value are equal, however many zeros one of them ends in.
#[derive(Clone, Debug, Eq)]
pub(crate) struct Number {
    /// The exact value of the literal: `0.35` is 7/20.
    pub(crate) value: RBig,
    /// Written with a decimal point or an exponent, so a rounded value may be meant.
    pub(crate) decimal: bool,
    /// Digits behind the point.
    pub(crate) places: usize,
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value && self.decimal == other.decimal
    }
}

/// Named constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Constant {
    Pi,
    E,
    I,
    Infinity,
}

/// Functions of one argument unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Function {
    Sin,
    Cos,
    Tan,
    Cot,
    Sec,
    Csc,
    Arcsin,
    Arccos,
    Arctan,
    Arccot,
    Sinh,
    Cosh,
    Tanh,
    Arcsinh,
    Arccosh,
    Arctanh,
    Ln,
    /// `Log(base, x)`.
    Log,
    Exp,
    Abs,
    Floor,
    Ceil,
    Factorial,
    /// `Binomial(n, k)`.
    Binomial,
    /// `Root(index, x)`, the real root where the index is odd.
    Root,
    Re,
    Im,
    Gcd,
    Lcm,
    Min,
    Max,
}

/// `\sum` or `\prod`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Series {
    Sum,
    Product,
}

/// A relation between neighbours of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Relation {
    Equal,
    Approx,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Relation {
    /// The relation read from right to left.
    pub(crate) fn flipped(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessEqual => Self::GreaterEqual,
            Self::Greater => Self::Less,
            Self::GreaterEqual => Self::LessEqual,
            same => same,
        }
    }
}

/// How the members of a bare list were joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Joint {
    Comma,
    And,
    Or,
}

/// Half of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Half {
    Am,
    Pm,
}

impl Half {
    /// The half that a unit in its normal spelling names.
    pub(crate) fn named(unit: &str) -> Option<Self> {
        match unit {
            "am" => Some(Self::Am),
            "pm" => Some(Self::Pm),
            _ => None,
        }
    }
}

/// Operations on sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SetOperation {
    Union,
    Intersection,
    Difference,
}

/// A node of the tree.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    Number(Number),
    Symbol(Box<str>),
    Constant(Constant),
    Add(Vec<Self>),
    Mul(Vec<Self>),
    Neg(Box<Self>),
    Div(Box<(Self, Self)>),
    Pow(Box<(Self, Self)>),
    Call(Function, Vec<Self>),
    /// `name(arguments)`, where the name is not a known function.
    Apply(Box<str>, Vec<Self>),
    /// `±x`; `lower` is `∓x`.
    PlusMinus {
        term: Box<Self>,
        lower: bool,
    },
    Percent(Box<Self>),
    Degrees(Box<Self>),
    /// Digits in a base: `1011_2`. `plain` are the same digits read in base ten.
    Based {
        value: RBig,
        plain: RBig,
    },
    /// A quantity with its unit, in a normal spelling.
    Quantity(Box<Self>, Box<str>),
    /// `a:b`.
    Ratio(Vec<Self>),
    /// `5:30`, `5:30 p.m.`: a time of day, which is no ratio.
    Clock {
        hour: u8,
        minute: u8,
        half: Option<Half>,
    },
    Series {
        kind: Series,
        variable: Box<str>,
        bounds: Box<(Self, Self)>,
        body: Box<Self>,
    },
    /// `operands[0] relations[0] operands[1] relations[1] ..`.
    Chain {
        operands: Vec<Self>,
        relations: Vec<Relation>,
    },
    /// `x ∈ S`.
    Member(Box<(Self, Self)>),
    /// `(a, b)`, `[a, b)`, `(a, b, c)`: an interval or a tuple, as what it is compared with decides.
    Tuple {
        items: Vec<Self>,
        left_closed: bool,
        right_closed: bool,
    },
    /// `\langle a, b \rangle`.
    Vector(Vec<Self>),
    Set(Vec<Self>),
    /// `{x | condition}`.
    SetBuilder(Box<(Self, Self)>),
    SetOperation(SetOperation, Box<(Self, Self)>),
    Reals,
    EmptySet,
    List(Vec<Self>, Joint),
    /// Values, each with the condition under which it holds: `\begin{cases} x & x > 0 \\ .. \end{cases}`.
    Piecewise(Vec<(Self, Self)>),
    Matrix(Vec<Vec<Self>>),
}

impl Expr {
    /// An integer literal.
    pub(crate) fn integer(value: i64) -> Self {
        Self::rational(RBig::from(value))
    }

    /// An exact literal.
    pub(crate) fn rational(value: RBig) -> Self {
        Self::Number(Number { value, decimal: false, places: 0 })
    }

    /// The numbers above a bound, or below it; `reached` if it is one of them.
    pub(crate) fn half_line(bound: Self, above: bool, reached: bool) -> Self {
        let infinity = Self::Constant(Constant::Infinity);
        let items = if above { vec![bound, infinity] } else { vec![Self::Neg(Box::new(infinity)), bound] };
        Self::Tuple { items, left_closed: reached && above, right_closed: reached && !above }
    }

    /// The value of an integer literal with its sign, none of anything else.
    pub(crate) fn literal_integer(&self) -> Option<IBig> {
        match self {
            Self::Number(number) if number.value.is_int() && !number.decimal => {
                Some(number.value.numerator().clone())
            }
            Self::Neg(inner) => Some(-inner.literal_integer()?),
            _ => None,
        }
    }

    /// Whether it is more than one value: a list, a set, a tuple, `±`.
    pub(crate) fn is_several(&self) -> bool {
        matches!(self, Self::List(..) | Self::Set(_) | Self::Tuple { .. } | Self::Vector(_))
            || self.any(&|node| matches!(node, Self::PlusMinus { .. }))
    }

    /// `left - right`.
    pub(crate) fn difference(left: &Self, right: &Self) -> Self {
        Self::Add(vec![left.clone(), Self::Neg(Box::new(right.clone()))])
    }

    /// Calls `visit` on every direct child.
    pub(crate) fn for_each_child<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        match self {
            Self::Number(_)
            | Self::Symbol(_)
            | Self::Constant(_)
            | Self::Based { .. }
            | Self::Clock { .. }
            | Self::Reals
            | Self::EmptySet => {}
            Self::Add(items)
            | Self::Mul(items)
            | Self::Call(_, items)
            | Self::Apply(_, items)
            | Self::Ratio(items)
            | Self::Tuple { items, .. }
            | Self::Vector(items)
            | Self::Set(items)
            | Self::List(items, _)
            | Self::Chain { operands: items, .. } => items.iter().for_each(visit),
            Self::Neg(inner) | Self::Percent(inner) | Self::Degrees(inner) | Self::Quantity(inner, _) => {
                visit(inner);
            }
            Self::PlusMinus { term, .. } => visit(term),
            Self::Div(pair)
            | Self::Pow(pair)
            | Self::Member(pair)
            | Self::SetBuilder(pair)
            | Self::SetOperation(_, pair) => {
                visit(&pair.0);
                visit(&pair.1);
            }
            Self::Series { bounds, body, .. } => {
                visit(&bounds.0);
                visit(&bounds.1);
                visit(body);
            }
            Self::Piecewise(pieces) => {
                for (value, condition) in pieces {
                    visit(value);
                    visit(condition);
                }
            }
            Self::Matrix(rows) => rows.iter().flatten().for_each(visit),
        }
    }

    /// Rebuilds the tree bottom-up through `change`.
    pub(crate) fn map(&self, change: &mut dyn FnMut(Self) -> Self) -> Self {
        let pair = |pair: &(Self, Self), change: &mut dyn FnMut(Self) -> Self| {
            Box::new((pair.0.map(change), pair.1.map(change)))
        };
        let all = |items: &[Self], change: &mut dyn FnMut(Self) -> Self| -> Vec<Self> {
            items.iter().map(|item| item.map(change)).collect()
        };
        let rebuilt = match self {
            Self::Number(_)
            | Self::Symbol(_)
            | Self::Constant(_)
            | Self::Based { .. }
            | Self::Clock { .. }
            | Self::Reals
            | Self::EmptySet => self.clone(),
            Self::Add(items) => Self::Add(all(items, change)),
            Self::Mul(items) => Self::Mul(all(items, change)),
            Self::Neg(inner) => Self::Neg(Box::new(inner.map(change))),
            Self::Div(operands) => Self::Div(pair(operands, change)),
            Self::Pow(operands) => Self::Pow(pair(operands, change)),
            Self::Call(function, items) => Self::Call(*function, all(items, change)),
            Self::Apply(name, items) => Self::Apply(name.clone(), all(items, change)),
            Self::PlusMinus { term, lower } => {
                Self::PlusMinus { term: Box::new(term.map(change)), lower: *lower }
            }
            Self::Percent(inner) => Self::Percent(Box::new(inner.map(change))),
            Self::Degrees(inner) => Self::Degrees(Box::new(inner.map(change))),
            Self::Quantity(inner, unit) => Self::Quantity(Box::new(inner.map(change)), unit.clone()),
            Self::Ratio(items) => Self::Ratio(all(items, change)),
            Self::Series { kind, variable, bounds, body } => Self::Series {
                kind: *kind,
                variable: variable.clone(),
                bounds: pair(bounds, change),
                body: Box::new(body.map(change)),
            },
            Self::Chain { operands, relations } => {
                Self::Chain { operands: all(operands, change), relations: relations.clone() }
            }
            Self::Member(operands) => Self::Member(pair(operands, change)),
            Self::Tuple { items, left_closed, right_closed } => Self::Tuple {
                items: all(items, change),
                left_closed: *left_closed,
                right_closed: *right_closed,
            },
            Self::Vector(items) => Self::Vector(all(items, change)),
            Self::Set(items) => Self::Set(all(items, change)),
            Self::SetBuilder(parts) => Self::SetBuilder(pair(parts, change)),
            Self::SetOperation(operation, operands) => Self::SetOperation(*operation, pair(operands, change)),
            Self::List(items, joint) => Self::List(all(items, change), *joint),
            Self::Piecewise(pieces) => {
                let mapped = |(value, condition): &(Self, Self)| (value.map(change), condition.map(change));
                Self::Piecewise(pieces.iter().map(mapped).collect())
            }
            Self::Matrix(rows) => Self::Matrix(rows.iter().map(|row| all(row, change)).collect()),
        };
        change(rebuilt)
    }

    /// Whether `test` holds for this node or one below it.
    pub(crate) fn any(&self, test: &dyn Fn(&Self) -> bool) -> bool {
        if test(self) {
            return true;
        }
        let mut found = false;
        self.for_each_child(&mut |child| found = found || child.any(test));
        found
    }

    /// The names of the free symbols, sorted, each once.
    pub(crate) fn symbols(&self) -> Vec<&str> {
        fn collect<'a>(expr: &'a Expr, names: &mut Vec<&'a str>) {
            match expr {
                Expr::Symbol(name) | Expr::Apply(name, _) => names.push(name),
                Expr::Series { variable, bounds, body, .. } => {
                    let mut inner = Vec::new();
                    collect(body, &mut inner);
                    names.extend(inner.into_iter().filter(|name| **name != **variable));
                    collect(&bounds.0, names);
                    collect(&bounds.1, names);
                    return;
                }
                _ => {}
            }
            expr.for_each_child(&mut |child| collect(child, names));
        }
        let mut names = Vec::new();
        collect(self, &mut names);
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The tree with a symbol replaced.
    pub(crate) fn substitute(&self, name: &str, value: &Self) -> Self {
        self.map(&mut |node| match &node {
            Self::Symbol(symbol) if **symbol == *name => value.clone(),
            _ => node,
        })
    }

    /// The tree with each of several symbols replaced by the value beside it.
    pub(crate) fn at(&self, names: &[&str], values: impl IntoIterator<Item = Self>) -> Self {
        names.iter().zip(values).fold(self.clone(), |expr, (name, value)| expr.substitute(name, &value))
    }

    /// The tree with symbols renamed: each of `names` to the one at its place in `others`.
    pub(crate) fn renamed(&self, names: &[&str], others: &[&str]) -> Self {
        self.map(&mut |node| match &node {
            Self::Symbol(symbol) => match names.iter().position(|name| **name == **symbol) {
                Some(place) => Self::Symbol(others[place].into()),
                None => node,
            },
            _ => node,
        })
    }

    /// Whether the node is a structure (list, set, relation, ..) and not something with a numeric value.
    pub(crate) fn is_structure(&self) -> bool {
        matches!(
            self,
            Self::Chain { .. }
                | Self::Clock { .. }
                | Self::Member(_)
                | Self::Tuple { .. }
                | Self::Vector(_)
                | Self::Set(_)
                | Self::SetBuilder(_)
                | Self::SetOperation(..)
                | Self::Reals
                | Self::EmptySet
                | Self::List(..)
                | Self::Piecewise(_)
                | Self::Matrix(_)
        )
    }
}
