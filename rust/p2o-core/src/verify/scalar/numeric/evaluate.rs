//! The tree walk: expression to complex ball.

use std::cmp::Ordering;

use dashu_ratio::RBig;

use super::super::exact::{by_squaring, exact, indices, small_integer};
use super::Real;
use super::complex::Complex;
use crate::verify::expr::{Constant, Expr, Function, Series};
use crate::verify::fuel::{Fuel, Halt};

/// Exponents up to this are multiplied out; larger ones go through the logarithm.
const LARGEST_POWER: i64 = 4_096;
const LARGEST_FACTORIAL: i64 = 5_000;

/// Values of the free symbols.
pub(crate) type Values<'a> = [(&'a str, RBig)];

/// Evaluates expressions at one point with one precision.
pub(crate) struct Evaluator<'a, 'f> {
    pub(crate) values: &'a Values<'a>,
    pub(crate) bits: usize,
    pub(crate) fuel: &'f mut Fuel,
}

impl Evaluator<'_, '_> {
    pub(crate) fn value<R: Real>(&mut self, expr: &Expr) -> Result<Complex<R>, Halt> {
        self.fuel.spend(R::cost(self.bits))?;
        match expr {
            Expr::Number(number) => self.rational(&number.value),
            Expr::Symbol(name) => {
                let (_, value) =
                    self.values.iter().find(|(symbol, _)| **symbol == **name).ok_or(Halt::Unsupported)?;
                self.rational(value)
            }
            Expr::Constant(Constant::Pi) => Ok(Complex::real(R::pi(self.bits))),
            Expr::Constant(Constant::E) => Complex::real(self.integer::<R>(1)?).exp(),
            Expr::Constant(Constant::I) => Ok(Complex { re: R::zero(), im: self.integer(1)? }),
            Expr::Add(terms) => {
                let first = self.value::<R>(&terms[0])?;
                terms[1..].iter().try_fold(first, |sum, term| sum.add(&self.value(term)?))
            }
            Expr::Mul(factors) => {
                let first = self.value::<R>(&factors[0])?;
                factors[1..].iter().try_fold(first, |product, factor| product.mul(&self.value(factor)?))
            }
            Expr::Neg(inner) => Ok(self.value::<R>(inner)?.neg()),
            Expr::Div(pair) => {
                let divisor = self.value::<R>(&pair.1)?.recip()?;
                self.value(&pair.0)?.mul(&divisor)
            }
            Expr::Pow(pair) => self.power(&pair.0, &pair.1),
            Expr::Call(function, arguments) => self.call(*function, arguments),
            Expr::Series { kind, variable, bounds, body } => self.series(*kind, variable, bounds, body),
            _ => Err(Halt::Unsupported),
        }
    }

    fn rational<R: Real>(&self, value: &RBig) -> Result<Complex<R>, Halt> {
        Ok(Complex::real(R::from_rational(value, self.bits)?))
    }

    fn integer<R: Real>(&self, value: i64) -> Result<R, Halt> {
        R::from_rational(&RBig::from(value), self.bits)
    }

    fn real<R: Real>(&mut self, expr: &Expr) -> Result<R, Halt> {
        let value = self.value::<R>(expr)?;
        if value.is_real() { Ok(value.re) } else { Err(Halt::Unsupported) }
    }

    fn transcendental<R: Real>(&mut self) -> Result<(), Halt> {
        self.fuel.spend(R::transcendental_cost(self.bits))
    }

    fn power<R: Real>(&mut self, base: &Expr, exponent: &Expr) -> Result<Complex<R>, Halt> {
        if let Ok(count) = small_integer(exponent, self.fuel)
            && count.abs() <= LARGEST_POWER
        {
            let base = self.value::<R>(base)?;
            if base.is_exact_zero() {
                return if count > 0 { Ok(base) } else { Err(Halt::Undefined) };
            }
            let one = Complex::real(self.integer::<R>(1)?);
            let result = by_squaring(one, base, count.unsigned_abs(), |left, right| {
                self.fuel.spend(R::cost(self.bits))?;
                left.mul(right)
            })?;
            return if count < 0 { result.recip() } else { Ok(result) };
        }
        if *base == Expr::Constant(Constant::E) {
            self.transcendental::<R>()?;
            return self.value::<R>(exponent)?.exp();
        }
        let base = self.value::<R>(base)?;
        let exponent = self.value::<R>(exponent)?;
        if base.is_exact_zero() {
            let positive = exponent.is_real() && exponent.re.sign() == Some(Ordering::Greater);
            return if positive { Ok(base) } else { Err(Halt::Undefined) };
        }
        self.transcendental::<R>()?;
        base.ln(self.bits)?.mul(&exponent)?.exp()
    }

    fn call<R: Real>(&mut self, function: Function, arguments: &[Expr]) -> Result<Complex<R>, Halt> {
        if function != Function::Root {
            self.transcendental::<R>()?;
        }
        match function {
            Function::Root => self.root(&arguments[0], &arguments[1]),
            Function::Ln => self.value::<R>(&arguments[0])?.ln(self.bits),
            Function::Log => {
                let base = self.value::<R>(&arguments[0])?.ln(self.bits)?;
                self.value::<R>(&arguments[1])?.ln(self.bits)?.mul(&base.recip()?)
            }
            Function::Exp => self.value::<R>(&arguments[0])?.exp(),
            Function::Abs => Ok(Complex::real(self.value::<R>(&arguments[0])?.abs()?)),
            Function::Re => Ok(Complex::real(self.value::<R>(&arguments[0])?.re)),
            Function::Im => Ok(Complex::real(self.value::<R>(&arguments[0])?.im)),
            Function::Floor => self.floor(&arguments[0], false),
            Function::Ceil => self.floor(&arguments[0], true),
            Function::Factorial => {
                let count = small_integer(&self.substituted(&arguments[0]), self.fuel)?;
                if !(0..=LARGEST_FACTORIAL).contains(&count) {
                    return Err(Halt::Unsupported);
                }
                let one = self.integer::<R>(1)?;
                let product = (2..=count).try_fold(one, |product, factor| {
                    self.fuel.spend(R::cost(self.bits))?;
                    product.mul(&self.integer(factor)?)
                });
                Ok(Complex::real(product?))
            }
            Function::Binomial | Function::Gcd | Function::Lcm | Function::Min | Function::Max => {
                let arguments = arguments.iter().map(|argument| self.substituted(argument)).collect();
                let value = exact(&Expr::Call(function, arguments), self.fuel)?;
                self.rational(&value.re)
            }
            Function::Sin | Function::Cos | Function::Tan | Function::Cot | Function::Sec | Function::Csc => {
                self.trigonometric(function, &arguments[0])
            }
            Function::Arcsin | Function::Arccos | Function::Arctan | Function::Arccot => {
                self.inverse_trigonometric(function, &arguments[0])
            }
            Function::Sinh | Function::Cosh | Function::Tanh => self.hyperbolic(function, &arguments[0]),
            Function::Arcsinh | Function::Arccosh | Function::Arctanh => {
                self.inverse_hyperbolic(function, &arguments[0])
            }
        }
    }

    /// The expression with the symbols replaced by their values.
    fn substituted(&self, expr: &Expr) -> Expr {
        let names: Vec<&str> = self.values.iter().map(|(name, _)| *name).collect();
        expr.at(&names, self.values.iter().map(|(_, value)| Expr::rational(value.clone())))
    }

    fn root<R: Real>(&mut self, index: &Expr, radicand: &Expr) -> Result<Complex<R>, Halt> {
        let count = small_integer(index, self.fuel).ok().filter(|count| (2..=1000).contains(count));
        let value = self.value::<R>(radicand)?;
        if let Some(count) = count
            && value.is_real()
        {
            match value.re.sign() {
                Some(Ordering::Equal) => return Ok(value),
                Some(Ordering::Greater) => return Ok(Complex::real(self.positive_root(&value.re, count)?)),
                Some(Ordering::Less) if count % 2 == 1 => {
                    let root = self.positive_root(&value.re.neg(), count)?;
                    return Ok(Complex::real(root.neg()));
                }
                Some(Ordering::Less) if count == 2 => {
                    return Ok(Complex { re: R::zero(), im: value.re.neg().sqrt()? });
                }
                _ => {}
            }
        }
        let index = self.value::<R>(index)?.recip()?;
        value.ln(self.bits)?.mul(&index)?.exp()
    }

    fn positive_root<R: Real>(&mut self, value: &R, count: i64) -> Result<R, Halt> {
        self.fuel.spend(R::cost(self.bits) * 4)?;
        match u32::try_from(count) {
            Ok(2) => value.sqrt(),
            Ok(index) => value.root(index),
            Err(_) => Err(Halt::Unsupported),
        }
    }

    fn floor<R: Real>(&mut self, argument: &Expr, up: bool) -> Result<Complex<R>, Halt> {
        let argument = &self.substituted(argument);
        if let Ok(value) = exact(argument, self.fuel)
            && value.is_real()
        {
            let rounded = if up { value.re.ceil() } else { value.re.floor() };
            return self.rational(&RBig::from(rounded));
        }
        let value = self.real::<R>(argument)?;
        let value = if up { value.neg() } else { value };
        let floor = value.floor().ok_or(Halt::Unsupported)?;
        self.rational(&RBig::from(if up { -floor } else { floor }))
    }

    fn trigonometric<R: Real>(&mut self, function: Function, argument: &Expr) -> Result<Complex<R>, Halt> {
        let argument = self.value::<R>(argument)?;
        let (sin, cos) = if argument.is_real() {
            let (sin, cos) = argument.re.sin_cos()?;
            (Complex::real(sin), Complex::real(cos))
        } else {
            // cos z = cosh iz and sin z = sinh(iz) / i
            let (sinh, cosh) = self.sinh_cosh(&Complex { re: argument.im.neg(), im: argument.re })?;
            (Complex { re: sinh.im, im: sinh.re.neg() }, cosh)
        };
        match function {
            Function::Sin => Ok(sin),
            Function::Cos => Ok(cos),
            Function::Tan => sin.mul(&cos.recip()?),
            Function::Cot => cos.mul(&sin.recip()?),
            Function::Sec => cos.recip(),
            _ => sin.recip(),
        }
    }

    fn inverse_trigonometric<R: Real>(
        &mut self,
        function: Function,
        argument: &Expr,
    ) -> Result<Complex<R>, Halt> {
        let x = self.real::<R>(argument)?;
        let quarter_turn = R::pi(self.bits).mul(&self.integer::<R>(2)?.recip()?)?;
        let angle = if matches!(function, Function::Arctan | Function::Arccot) {
            x.atan()?
        } else {
            // arcsin x = atan(x / sqrt(1 - x²)), with the end points apart.
            let rest = self.integer::<R>(1)?.add(&x.mul(&x)?.neg())?;
            match x.sign() {
                Some(Ordering::Greater) if rest.is_exact_zero() => quarter_turn.clone(),
                _ if rest.is_exact_zero() => quarter_turn.neg(),
                _ => x.mul(&rest.sqrt()?.recip()?)?.atan()?,
            }
        };
        let complement = matches!(function, Function::Arccos | Function::Arccot);
        Ok(Complex::real(if complement { quarter_turn.add(&angle.neg())? } else { angle }))
    }

    fn hyperbolic<R: Real>(&mut self, function: Function, argument: &Expr) -> Result<Complex<R>, Halt> {
        let argument = self.value::<R>(argument)?;
        let (sinh, cosh) = self.sinh_cosh(&argument)?;
        match function {
            Function::Sinh => Ok(sinh),
            Function::Cosh => Ok(cosh),
            _ => sinh.mul(&cosh.recip()?),
        }
    }

    fn sinh_cosh<R: Real>(&self, argument: &Complex<R>) -> Result<(Complex<R>, Complex<R>), Halt> {
        let (forward, backward) = (argument.exp()?, argument.neg().exp()?);
        let half = Complex::real(self.integer::<R>(2)?.recip()?);
        Ok((forward.add(&backward.neg())?.mul(&half)?, forward.add(&backward)?.mul(&half)?))
    }

    fn inverse_hyperbolic<R: Real>(
        &mut self,
        function: Function,
        argument: &Expr,
    ) -> Result<Complex<R>, Halt> {
        let x = self.real::<R>(argument)?;
        let one = self.integer::<R>(1)?;
        let square = x.mul(&x)?;
        let value = match function {
            Function::Arcsinh => x.add(&square.add(&one)?.sqrt()?)?.ln()?,
            Function::Arccosh => x.add(&square.add(&one.neg())?.sqrt()?)?.ln()?,
            _ => {
                let quotient = one.add(&x)?.mul(&one.add(&x.neg())?.recip()?)?;
                quotient.ln()?.mul(&self.integer::<R>(2)?.recip()?)?
            }
        };
        Ok(Complex::real(value))
    }

    fn series<R: Real>(
        &mut self,
        kind: Series,
        variable: &str,
        bounds: &(Expr, Expr),
        body: &Expr,
    ) -> Result<Complex<R>, Halt> {
        let (first, last) = (self.substituted(&bounds.0), self.substituted(&bounds.1));
        let mut result = Complex::real(self.integer::<R>(i64::from(kind == Series::Product))?);
        for index in indices(&first, &last, self.fuel)? {
            self.fuel.spend(64)?;
            let term = self.value::<R>(&body.substitute(variable, &Expr::integer(index)))?;
            result = if kind == Series::Sum { result.add(&term)? } else { result.mul(&term)? };
        }
        Ok(result)
    }
}
