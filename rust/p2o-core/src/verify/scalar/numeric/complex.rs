//! Complex balls. A zero imaginary part stays the exact zero, so real expressions pay nothing for living here.

use std::cmp::Ordering;

use super::Real;
use crate::verify::fuel::Halt;

/// A rectangle of two balls.
#[derive(Clone, Debug)]
pub(crate) struct Complex<R> {
    pub(crate) re: R,
    pub(crate) im: R,
}

impl<R: Real> Complex<R> {
    pub(crate) fn real(re: R) -> Self {
        Self { re, im: R::zero() }
    }

    pub(crate) fn is_real(&self) -> bool {
        self.im.is_exact_zero()
    }

    pub(crate) fn is_exact_zero(&self) -> bool {
        self.re.is_exact_zero() && self.im.is_exact_zero()
    }

    pub(crate) fn add(&self, other: &Self) -> Result<Self, Halt> {
        Ok(Self { re: self.re.add(&other.re)?, im: self.im.add(&other.im)? })
    }

    pub(crate) fn neg(&self) -> Self {
        Self { re: self.re.neg(), im: self.im.neg() }
    }

    pub(crate) fn mul(&self, other: &Self) -> Result<Self, Halt> {
        if self.is_real() && other.is_real() {
            return Ok(Self::real(self.re.mul(&other.re)?));
        }
        let re = self.re.mul(&other.re)?.add(&self.im.mul(&other.im)?.neg())?;
        let im = self.re.mul(&other.im)?.add(&self.im.mul(&other.re)?)?;
        Ok(Self { re, im })
    }

    pub(crate) fn recip(&self) -> Result<Self, Halt> {
        if self.is_real() {
            return Ok(Self::real(self.re.recip()?));
        }
        let norm = self.norm()?.recip()?;
        Ok(Self { re: self.re.mul(&norm)?, im: self.im.mul(&norm)?.neg() })
    }

    /// |z|²
    fn norm(&self) -> Result<R, Halt> {
        self.re.mul(&self.re)?.add(&self.im.mul(&self.im)?)
    }

    pub(crate) fn abs(&self) -> Result<R, Halt> {
        if self.is_real() {
            return match self.re.sign() {
                Some(Ordering::Less) => Ok(self.re.neg()),
                Some(_) => Ok(self.re.clone()),
                None => Err(Halt::Unsupported),
            };
        }
        self.norm()?.sqrt()
    }

    /// The principal argument, in (-π, π].
    fn argument(&self, bits: usize) -> Result<R, Halt> {
        let pi = R::pi(bits);
        if self.is_real() {
            return match self.re.sign() {
                Some(Ordering::Greater) => Ok(R::zero()),
                Some(Ordering::Less) => Ok(pi),
                Some(Ordering::Equal) => Err(Halt::Undefined),
                None => Err(Halt::Unsupported),
            };
        }
        let half = R::from_rational(&dashu_ratio::RBig::from_parts(1.into(), 2u8.into()), bits)?;
        let quarter_turn = pi.mul(&half)?;
        match self.im.sign() {
            // arg z = π/2 - atan(re / im) above the axis, and its mirror image below.
            Some(Ordering::Greater) => quarter_turn.add(&self.re.mul(&self.im.recip()?)?.atan()?.neg()),
            Some(Ordering::Less) => quarter_turn.neg().add(&self.re.mul(&self.im.recip()?)?.atan()?.neg()),
            _ => match self.re.sign() {
                // Near the positive axis the argument is continuous; near the negative one it jumps.
                Some(Ordering::Greater) => self.im.mul(&self.re.recip()?)?.atan(),
                _ => Err(Halt::Unsupported),
            },
        }
    }

    pub(crate) fn ln(&self, bits: usize) -> Result<Self, Halt> {
        Ok(Self { re: self.abs()?.ln()?, im: self.argument(bits)? })
    }

    pub(crate) fn exp(&self) -> Result<Self, Halt> {
        let scale = self.re.exp()?;
        if self.is_real() {
            return Ok(Self::real(scale));
        }
        let (sin, cos) = self.im.sin_cos()?;
        Ok(Self { re: scale.mul(&cos)?, im: scale.mul(&sin)? })
    }
}
