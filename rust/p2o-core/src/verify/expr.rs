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

impl Function {
    /// Whether degrees are an angle in it, and no unit.
    pub(crate) fn is_trigonometric(self) -> bool {
        matches!(self, Self::Sin | Self::Cos | Self::Tan | Self::Cot | Self::Sec | Self::Csc)
    }
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
            "am" | "midnight" => Some(Self::Am),
            "pm" | "noon" => Some(Self::Pm),
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

/// Calls `visit` on every direct child of a node that is borrowed, mutably if iterators and pairs are.
macro_rules! children {
    ($node:expr, $visit:ident, $iter:ident, $pair:ident) => {
        match $node {
            Expr::Number(_)
            | Expr::Symbol(_)
            | Expr::Constant(_)
            | Expr::Based { .. }
            | Expr::Clock { .. }
            | Expr::Reals
            | Expr::EmptySet => {}
            Expr::Add(items)
            | Expr::Mul(items)
            | Expr::Call(_, items)
            | Expr::Apply(_, items)
            | Expr::Ratio(items)
            | Expr::Tuple { items, .. }
            | Expr::Vector(items)
            | Expr::Set(items)
            | Expr::List(items, _)
            | Expr::Chain { operands: items, .. } => items.$iter().for_each($visit),
            Expr::Neg(inner)
            | Expr::Percent(inner)
            | Expr::Degrees(inner)
            | Expr::Quantity(inner, _)
            | Expr::PlusMinus { term: inner, .. } => $visit(inner),
            Expr::Div(pair)
            | Expr::Pow(pair)
            | Expr::Member(pair)
            | Expr::SetBuilder(pair)
            | Expr::SetOperation(_, pair) => {
                let (first, second) = pair.$pair();
                $visit(first);
                $visit(second);
            }
            Expr::Series { bounds, body, .. } => {
                let (first, last) = bounds.$pair();
                $visit(first);
                $visit(last);
                $visit(body);
            }
            Expr::Piecewise(pieces) => {
                for (value, condition) in pieces {
                    $visit(value);
                    $visit(condition);
                }
            }
            Expr::Matrix(rows) => rows.$iter().flatten().for_each($visit),
        }
    };
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
        let items = if above { vec![bound, infinity] } else { vec![Self::negated(infinity), bound] };
        Self::Tuple { items, left_closed: reached && above, right_closed: reached && !above }
    }

    pub(crate) fn negated(inner: Self) -> Self {
        Self::Neg(Box::new(inner))
    }

    pub(crate) fn quotient(above: Self, below: Self) -> Self {
        Self::Div(Box::new((above, below)))
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
            || self.any(|node| matches!(node, Self::PlusMinus { .. }))
    }

    /// `left - right`.
    pub(crate) fn difference(left: &Self, right: &Self) -> Self {
        Self::Add(vec![left.clone(), Self::negated(right.clone())])
    }

    /// Calls `visit` on every direct child.
    pub(crate) fn for_each_child<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        children!(self, visit, iter, as_ref);
    }

    /// Rebuilds the tree bottom-up through `change`.
    pub(crate) fn map(&self, change: &mut dyn FnMut(Self) -> Self) -> Self {
        fn rebuild(node: &mut Expr, change: &mut dyn FnMut(Expr) -> Expr) {
            let visit = &mut |child: &mut Expr| rebuild(child, change);
            children!(node, visit, iter_mut, as_mut);
            *node = change(std::mem::replace(node, Expr::EmptySet));
        }
        let mut tree = self.clone();
        rebuild(&mut tree, change);
        tree
    }

    /// Whether `test` holds for this node or one below it.
    pub(crate) fn any(&self, mut test: impl FnMut(&Self) -> bool) -> bool {
        fn holds(node: &Expr, test: &mut dyn FnMut(&Expr) -> bool) -> bool {
            if test(node) {
                return true;
            }
            let mut found = false;
            node.for_each_child(&mut |child| found = found || holds(child, test));
            found
        }
        holds(self, &mut test)
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

    /// The tree with the symbols replaced that `value` knows.
    fn replaced(&self, value: impl Fn(&str) -> Option<Self>) -> Self {
        self.map(&mut |node| match &node {
            Self::Symbol(name) => value(name).unwrap_or(node),
            _ => node,
        })
    }

    /// The tree with a symbol replaced.
    pub(crate) fn substitute(&self, name: &str, value: &Self) -> Self {
        self.replaced(|symbol| (symbol == name).then(|| value.clone()))
    }

    /// The tree with each of several symbols replaced by the value beside it.
    pub(crate) fn at(&self, names: &[&str], values: impl IntoIterator<Item = Self>) -> Self {
        let values: Vec<(&&str, Self)> = names.iter().zip(values).collect();
        self.replaced(|symbol| {
            let (_, value) = values.iter().find(|(name, _)| **name == symbol)?;
            Some(value.clone())
        })
    }

    /// The tree with symbols renamed: each of `names` to the one at its place in `others`.
    pub(crate) fn renamed(&self, names: &[&str], others: &[&str]) -> Self {
        self.at(names, others.iter().map(|name| Self::Symbol((*name).into())))
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
