//! Exact values: rational numbers, and complex numbers with rational parts.

use std::ops::RangeInclusive;

use dashu_base::{Abs, BitTest, Inverse};
use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

use crate::verify::expr::{Constant, Expr, Function, Series};
use crate::verify::fuel::{Fuel, Halt};

/// Numbers larger than this are left to the methods that need not write them out.
const LARGEST_BITS: usize = 200_000;
/// Longest sum or product that is added up term by term.
const LONGEST_SERIES: i64 = 2_000;
const LARGEST_FACTORIAL: i64 = 4_000;

/// A number of Q(i).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gaussian {
    pub(crate) re: RBig,
    pub(crate) im: RBig,
}

impl Gaussian {
    pub(crate) fn real(re: RBig) -> Self {
        Self { re, im: RBig::ZERO }
    }

    pub(crate) fn is_real(&self) -> bool {
        self.im.is_zero()
    }

    fn bits(&self) -> usize {
        bits(&self.re) + if self.im.is_zero() { 0 } else { bits(&self.im) }
    }

    fn add(self, other: Self, fuel: &mut Fuel) -> Result<Self, Halt> {
        pay(&self, &other, fuel)?;
        if self.is_real() && other.is_real() {
            return Ok(Self::real(self.re + other.re));
        }
        Ok(Self { re: self.re + other.re, im: self.im + other.im })
    }

    fn mul(&self, other: &Self, fuel: &mut Fuel) -> Result<Self, Halt> {
        pay(self, other, fuel)?;
        if self.is_real() && other.is_real() {
            return Ok(Self::real(&self.re * &other.re));
        }
        Ok(Self {
            re: &self.re * &other.re - &self.im * &other.im,
            im: &self.re * &other.im + &self.im * &other.re,
        })
    }

    fn inverse(self) -> Result<Self, Halt> {
        if self.is_real() {
            return if self.re.is_zero() { Err(Halt::Undefined) } else { Ok(Self::real(self.re.inv())) };
        }
        let norm = self.norm();
        Ok(Self { re: self.re / &norm, im: -(self.im / &norm) })
    }

    /// |z|²
    fn norm(&self) -> RBig {
        &self.re * &self.re + &self.im * &self.im
    }
}

fn bits(value: &RBig) -> usize {
    value.numerator().bit_len() + value.denominator().bit_len()
}

/// The exact value of a constant expression, if it has one in Q(i) that is not too large.
pub(crate) fn exact(expr: &Expr, fuel: &mut Fuel) -> Result<Gaussian, Halt> {
    fuel.spend(4)?;
    let value = match expr {
        Expr::Number(number) => Gaussian::real(number.value.clone()),
        Expr::Constant(Constant::I) => Gaussian { re: RBig::ZERO, im: RBig::ONE },
        Expr::Neg(inner) => {
            let inner = exact(inner, fuel)?;
            Gaussian { re: -inner.re, im: -inner.im }
        }
        Expr::Add(terms) => {
            let first = exact(&terms[0], fuel)?;
            terms[1..].iter().try_fold(first, |sum, term| sum.add(exact(term, fuel)?, fuel))?
        }
        Expr::Mul(factors) => {
            let first = exact(&factors[0], fuel)?;
            factors[1..].iter().try_fold(first, |product, factor| product.mul(&exact(factor, fuel)?, fuel))?
        }
        Expr::Div(pair) => {
            let divisor = exact(&pair.1, fuel)?;
            exact(&pair.0, fuel)?.mul(&divisor.inverse()?, fuel)?
        }
        Expr::Pow(pair) => {
            let exponent = real(&pair.1, fuel)?;
            power(exact(&pair.0, fuel)?, &exponent, fuel)?
        }
        Expr::Call(function, arguments) => call(*function, arguments, fuel)?,
        Expr::Series { kind, variable, bounds, body } => series(*kind, variable, bounds, body, fuel)?,
        _ => return Err(Halt::Unsupported),
    };
    Ok(value)
}

fn pay(left: &Gaussian, right: &Gaussian, fuel: &mut Fuel) -> Result<(), Halt> {
    let bits = left.bits() + right.bits();
    if bits > LARGEST_BITS {
        return Err(Halt::Unsupported);
    }
    // Reducing a fraction is quadratic in its words.
    let words = (bits / 64) as u64;
    fuel.spend(4 + words * words / 8)
}

/// An integer that fits a machine word.
fn small(value: &RBig) -> Option<i64> {
    if value.is_int() { i64::try_from(value.numerator()).ok() } else { None }
}

/// The exact value of an expression that must be a small integer.
pub(crate) fn small_integer(expr: &Expr, fuel: &mut Fuel) -> Result<i64, Halt> {
    small(&real(expr, fuel)?).ok_or(Halt::Unsupported)
}

fn power(base: Gaussian, exponent: &RBig, fuel: &mut Fuel) -> Result<Gaussian, Halt> {
    if !exponent.is_int() {
        // `4^{1/2}`, `8^{2/3}`: only where the root is rational.
        let index = u32::try_from(exponent.denominator()).map_err(|_| Halt::Unsupported)?;
        if !base.is_real() || base.re < RBig::ZERO {
            return Err(Halt::Unsupported);
        }
        let root = Gaussian::real(rational_root(&base.re, index, fuel)?);
        return power(root, &exponent.numerator().clone().into(), fuel);
    }
    let count = small(exponent).ok_or(Halt::Unsupported)?;
    if base.is_real() && (base.re.is_one() || base.re.is_zero()) {
        return if base.re.is_zero() && count <= 0 { Err(Halt::Undefined) } else { Ok(base) };
    }
    let magnitude = usize::try_from(count.unsigned_abs()).map_err(|_| Halt::Unsupported)?;
    let bits = base.bits().saturating_mul(magnitude);
    if bits > LARGEST_BITS {
        return Err(Halt::Unsupported);
    }
    let words = (bits / 64) as u64;
    fuel.spend(8 + words * words / 32)?;
    let raised = if base.is_real() {
        // Powers of a reduced fraction are reduced: no greatest common divisor to compute.
        Gaussian::real(base.re.pow(magnitude.cast_signed()))
    } else {
        by_squaring(Gaussian::real(RBig::ONE), base, magnitude as u64, |left, right| left.mul(right, fuel))?
    };
    if count < 0 { raised.inverse() } else { Ok(raised) }
}

/// The power of anything that is multiplied.
pub(super) fn by_squaring<T>(
    one: T,
    base: T,
    mut exponent: u64,
    mut product: impl FnMut(&T, &T) -> Result<T, Halt>,
) -> Result<T, Halt> {
    let (mut result, mut square) = (one, base);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = product(&result, &square)?;
        }
        exponent >>= 1;
        if exponent > 0 {
            square = product(&square, &square)?;
        }
    }
    Ok(result)
}

/// The real root of a rational number, if it is rational.
fn rational_root(value: &RBig, index: u32, fuel: &mut Fuel) -> Result<RBig, Halt> {
    if index == 0 || index > 64 {
        return Err(Halt::Unsupported);
    }
    let negative = *value < RBig::ZERO;
    if negative && index.is_multiple_of(2) {
        return Err(Halt::Unsupported);
    }
    let words = (bits(value) / 64) as u64;
    fuel.spend(16 + words * words)?;
    let magnitude = |value: UBig| -> Result<UBig, Halt> {
        let root = value.nth_root(index as usize);
        if root.pow(index as usize) == value { Ok(root) } else { Err(Halt::Unsupported) }
    };
    let (_, numerator) = value.numerator().clone().into_parts();
    let numerator = IBig::from(magnitude(numerator)?);
    let denominator = magnitude(value.denominator().clone())?;
    Ok(RBig::from_parts(if negative { -numerator } else { numerator }, denominator))
}

fn call(function: Function, arguments: &[Expr], fuel: &mut Fuel) -> Result<Gaussian, Halt> {
    let first = &arguments[0];
    let value = match function {
        Function::Root => {
            let index = u32::try_from(small_integer(first, fuel)?).map_err(|_| Halt::Unsupported)?;
            let radicand = real(&arguments[1], fuel)?;
            if index == 2 && radicand < RBig::ZERO {
                return Ok(Gaussian { re: RBig::ZERO, im: rational_root(&-radicand, 2, fuel)? });
            }
            rational_root(&radicand, index, fuel)?
        }
        Function::Abs => {
            let value = exact(first, fuel)?;
            if value.is_real() { value.re.abs() } else { rational_root(&value.norm(), 2, fuel)? }
        }
        Function::Floor => real(first, fuel)?.floor().into(),
        Function::Ceil => real(first, fuel)?.ceil().into(),
        Function::Factorial => {
            let count = small_integer(first, fuel)?;
            if !(0..=LARGEST_FACTORIAL).contains(&count) {
                return Err(Halt::Unsupported);
            }
            // n! has about n log2 n bits, built by n multiplications by one word.
            let count = count as u64;
            fuel.spend(count * (1 + count / 16))?;
            (2..=count).fold(UBig::ONE, |product, factor| product * factor).into()
        }
        Function::Binomial => {
            let top = small_integer(first, fuel)?;
            binomial(top, small_integer(&arguments[1], fuel)?, fuel)?
        }
        Function::Log => {
            let base = real(first, fuel)?;
            rational_logarithm(&base, &real(&arguments[1], fuel)?, fuel)?
        }
        Function::Re => exact(first, fuel)?.re,
        Function::Im => exact(first, fuel)?.im,
        Function::Min | Function::Max => {
            let mut best = real(first, fuel)?;
            for argument in &arguments[1..] {
                let value = real(argument, fuel)?;
                best = if function == Function::Min { best.min(value) } else { best.max(value) };
            }
            best
        }
        Function::Gcd | Function::Lcm => {
            let mut result = small_integer(first, fuel)?.unsigned_abs();
            for argument in &arguments[1..] {
                let value = small_integer(argument, fuel)?.unsigned_abs();
                let divisor = gcd(result, value);
                result = match result.checked_div(divisor) {
                    _ if function == Function::Gcd => divisor,
                    None => 0,
                    Some(cofactor) => cofactor.checked_mul(value).ok_or(Halt::Unsupported)?,
                };
            }
            result.into()
        }
        _ => return Err(Halt::Unsupported),
    };
    Ok(Gaussian::real(value))
}

fn gcd(mut left: u64, mut right: u64) -> u64 {
    while right != 0 {
        (left, right) = (right, left % right);
    }
    left
}

fn real(expr: &Expr, fuel: &mut Fuel) -> Result<RBig, Halt> {
    let value = exact(expr, fuel)?;
    if value.is_real() { Ok(value.re) } else { Err(Halt::Unsupported) }
}

/// The exact rational value, where there is one.
pub(crate) fn rational(expr: &Expr, fuel: &mut Fuel) -> Option<RBig> {
    real(expr, fuel).ok()
}

fn binomial(top: i64, bottom: i64, fuel: &mut Fuel) -> Result<RBig, Halt> {
    if top < 0 || bottom < 0 {
        return Err(Halt::Unsupported);
    }
    if bottom > top {
        return Ok(RBig::ZERO);
    }
    let bottom = bottom.min(top - bottom);
    let bits = bottom.saturating_mul(64 - i64::from(top.leading_zeros()));
    if bits.unsigned_abs() > LARGEST_BITS as u64 / 4 {
        return Err(Halt::Unsupported);
    }
    let steps = bottom as u64;
    fuel.spend(4 + steps * (1 + bits as u64 / 128))?;
    let mut result = UBig::ONE;
    for index in 0..steps {
        result = result * (top as u64 - index) / (index + 1);
    }
    Ok(result.into())
}

/// `log_base value` where it is an integer or the inverse of one.
fn rational_logarithm(base: &RBig, value: &RBig, fuel: &mut Fuel) -> Result<RBig, Halt> {
    if *base <= RBig::ZERO || base.is_one() || *value <= RBig::ZERO {
        return Err(Halt::Unsupported);
    }
    if value.is_one() {
        return Ok(RBig::ZERO);
    }
    let estimate = value.to_f64_fast().ln() / base.to_f64_fast().ln();
    if !estimate.is_finite() {
        return Err(Halt::Unsupported);
    }
    // k = m / n with a small denominator: base^m = value^n decides.
    for denominator in 1..=12i64 {
        let numerator = (estimate * denominator as f64).round();
        if numerator.abs() > 512.0 || (estimate * denominator as f64 - numerator).abs() > 1e-6 {
            continue;
        }
        let numerator = numerator as i64;
        let left = power(Gaussian::real(base.clone()), &RBig::from(numerator), fuel)?;
        let right = power(Gaussian::real(value.clone()), &RBig::from(denominator), fuel)?;
        if left == right {
            return Ok(RBig::from(numerator) / RBig::from(denominator));
        }
    }
    Err(Halt::Unsupported)
}

fn series(
    kind: Series,
    variable: &str,
    bounds: &(Expr, Expr),
    body: &Expr,
    fuel: &mut Fuel,
) -> Result<Gaussian, Halt> {
    let mut result = Gaussian::real(if kind == Series::Sum { RBig::ZERO } else { RBig::ONE });
    for index in indices(&bounds.0, &bounds.1, fuel)? {
        fuel.spend(64)?;
        let term = exact(&body.substitute(variable, &Expr::integer(index)), fuel)?;
        result = if kind == Series::Sum { result.add(term, fuel)? } else { result.mul(&term, fuel)? };
    }
    Ok(result)
}

/// From the first to the last index of a sum or product, if that is not too long.
pub(super) fn indices(first: &Expr, last: &Expr, fuel: &mut Fuel) -> Result<RangeInclusive<i64>, Halt> {
    let (first, last) = (small_integer(first, fuel)?, small_integer(last, fuel)?);
    if last.saturating_sub(first) > LONGEST_SERIES { Err(Halt::Unsupported) } else { Ok(first..=last) }
}
