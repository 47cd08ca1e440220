//! Exact values: rational numbers, and complex numbers with rational parts.

use dashu_base::BitTest;
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

    fn add(self, other: Self) -> Self {
        if self.is_real() && other.is_real() {
            return Self::real(self.re + other.re);
        }
        Self { re: self.re + other.re, im: self.im + other.im }
    }

    fn mul(&self, other: &Self) -> Self {
        if self.is_real() && other.is_real() {
            return Self::real(&self.re * &other.re);
        }
        Self {
            re: &self.re * &other.re - &self.im * &other.im,
            im: &self.re * &other.im + &self.im * &other.re,
        }
    }

    fn inverse(&self) -> Result<Self, Halt> {
        let norm = &self.re * &self.re + &self.im * &self.im;
        if norm.is_zero() {
            return Err(Halt::Undefined);
        }
        Ok(Self { re: &self.re / &norm, im: -(&self.im / &norm) })
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
            let mut sum = exact(&terms[0], fuel)?;
            for term in &terms[1..] {
                let term = exact(term, fuel)?;
                pay(&sum, &term, fuel)?;
                sum = sum.add(term);
            }
            sum
        }
        Expr::Mul(factors) => {
            let mut product = exact(&factors[0], fuel)?;
            for factor in &factors[1..] {
                let factor = exact(factor, fuel)?;
                pay(&product, &factor, fuel)?;
                product = product.mul(&factor);
            }
            product
        }
        Expr::Div(pair) => {
            let divisor = exact(&pair.1, fuel)?;
            let dividend = exact(&pair.0, fuel)?;
            pay(&dividend, &divisor, fuel)?;
            if divisor.is_real() {
                if divisor.re.is_zero() {
                    return Err(Halt::Undefined);
                }
                Gaussian { re: dividend.re / &divisor.re, im: dividend.im / &divisor.re }
            } else {
                dividend.mul(&divisor.inverse()?)
            }
        }
        Expr::Pow(pair) => {
            let exponent = exact(&pair.1, fuel)?;
            if !exponent.is_real() {
                return Err(Halt::Unsupported);
            }
            let base = exact(&pair.0, fuel)?;
            power(base, &exponent.re, fuel)?
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
    let value = exact(expr, fuel)?;
    if value.is_real() { small(&value.re).ok_or(Halt::Unsupported) } else { Err(Halt::Unsupported) }
}

fn power(base: Gaussian, exponent: &RBig, fuel: &mut Fuel) -> Result<Gaussian, Halt> {
    let Some(count) = small(exponent) else {
        return if exponent.is_int() {
            Err(Halt::Unsupported)
        } else {
            rational_power(&base, exponent, fuel)
        };
    };
    let magnitude = usize::try_from(count.unsigned_abs()).map_err(|_| Halt::Unsupported)?;
    if base.is_real() && (base.re.is_one() || base.re.is_zero()) {
        return match (base.re.is_zero(), count) {
            (true, 0) => Err(Halt::Undefined),
            (true, count) if count < 0 => Err(Halt::Undefined),
            _ => Ok(base),
        };
    }
    let bits = base.bits().saturating_mul(magnitude);
    if bits > LARGEST_BITS {
        return Err(Halt::Unsupported);
    }
    let words = (bits / 64) as u64;
    fuel.spend(8 + words * words / 32)?;
    let mut result = if base.is_real() {
        // Powers of a reduced fraction are reduced: no greatest common divisor to compute.
        Gaussian::real(base.re.pow(isize::try_from(magnitude).map_err(|_| Halt::Unsupported)?))
    } else {
        let mut result = Gaussian::real(RBig::ONE);
        let mut square = base;
        let mut left = magnitude;
        while left > 0 {
            if left & 1 == 1 {
                result = result.mul(&square);
            }
            square = square.mul(&square);
            left >>= 1;
        }
        result
    };
    if count < 0 {
        result = result.inverse()?;
    }
    Ok(result)
}

/// `4^{1/2}`, `8^{2/3}`: only where the root is rational.
fn rational_power(base: &Gaussian, exponent: &RBig, fuel: &mut Fuel) -> Result<Gaussian, Halt> {
    let index = u32::try_from(exponent.denominator()).map_err(|_| Halt::Unsupported)?;
    if !base.is_real() || base.re < RBig::ZERO {
        return Err(Halt::Unsupported);
    }
    let root = rational_root(&base.re, index, fuel)?;
    power(Gaussian::real(root), &RBig::from(exponent.numerator().clone()), fuel)
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
    match function {
        Function::Root => {
            let index = small_integer(&arguments[0], fuel)?;
            let radicand = exact(&arguments[1], fuel)?;
            let index = u32::try_from(index).map_err(|_| Halt::Unsupported)?;
            if !radicand.is_real() {
                return Err(Halt::Unsupported);
            }
            if index == 2 && radicand.re < RBig::ZERO {
                let im = rational_root(&-radicand.re, 2, fuel)?;
                return Ok(Gaussian { re: RBig::ZERO, im });
            }
            Ok(Gaussian::real(rational_root(&radicand.re, index, fuel)?))
        }
        Function::Abs => {
            let value = exact(&arguments[0], fuel)?;
            if value.is_real() {
                let re = if value.re < RBig::ZERO { -value.re } else { value.re };
                return Ok(Gaussian::real(re));
            }
            let norm = &value.re * &value.re + &value.im * &value.im;
            Ok(Gaussian::real(rational_root(&norm, 2, fuel)?))
        }
        Function::Floor | Function::Ceil => {
            let value = real(&arguments[0], fuel)?;
            let rounded = if function == Function::Floor { value.floor() } else { value.ceil() };
            Ok(Gaussian::real(RBig::from(rounded)))
        }
        Function::Factorial => {
            let count = small_integer(&arguments[0], fuel)?;
            if !(0..=LARGEST_FACTORIAL).contains(&count) {
                return Err(Halt::Unsupported);
            }
            // n! has about n log2 n bits, built by n multiplications by one word.
            let count = count as u64;
            fuel.spend(count * (1 + count / 16))?;
            let product = (2..=count).fold(UBig::ONE, |product, factor| product * factor);
            Ok(Gaussian::real(RBig::from(IBig::from(product))))
        }
        Function::Binomial => {
            let (top, bottom) = (small_integer(&arguments[0], fuel)?, small_integer(&arguments[1], fuel)?);
            binomial(top, bottom, fuel).map(Gaussian::real)
        }
        Function::Log => {
            let (base, value) = (real(&arguments[0], fuel)?, real(&arguments[1], fuel)?);
            rational_logarithm(&base, &value, fuel).map(Gaussian::real)
        }
        Function::Re => Ok(Gaussian::real(exact(&arguments[0], fuel)?.re)),
        Function::Im => Ok(Gaussian::real(exact(&arguments[0], fuel)?.im)),
        Function::Min | Function::Max => {
            let mut best = real(&arguments[0], fuel)?;
            for argument in &arguments[1..] {
                let value = real(argument, fuel)?;
                if (function == Function::Min) == (value < best) {
                    best = value;
                }
            }
            Ok(Gaussian::real(best))
        }
        Function::Gcd | Function::Lcm => {
            let mut result = small_integer(&arguments[0], fuel)?.unsigned_abs();
            for argument in &arguments[1..] {
                let value = small_integer(argument, fuel)?.unsigned_abs();
                let divisor = gcd(result, value);
                result = match result.checked_div(divisor) {
                    _ if function == Function::Gcd => divisor,
                    None => 0,
                    Some(cofactor) => cofactor.checked_mul(value).ok_or(Halt::Unsupported)?,
                };
            }
            Ok(Gaussian::real(RBig::from(result)))
        }
        _ => Err(Halt::Unsupported),
    }
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
    Ok(RBig::from(IBig::from(result)))
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
    let (first, last) = (small_integer(&bounds.0, fuel)?, small_integer(&bounds.1, fuel)?);
    if last.saturating_sub(first) > LONGEST_SERIES {
        return Err(Halt::Unsupported);
    }
    let mut result = Gaussian::real(if kind == Series::Sum { RBig::ZERO } else { RBig::ONE });
    for index in first..=last {
        fuel.spend(64)?;
        let term = exact(&body.substitute(variable, &Expr::integer(index)), fuel)?;
        pay(&result, &term, fuel)?;
        result = if kind == Series::Sum { result.add(term) } else { result.mul(&term) };
    }
    Ok(result)
}
