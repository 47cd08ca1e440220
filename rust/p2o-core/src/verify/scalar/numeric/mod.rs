//! Evaluation with rigorous error bounds.
//!
//! A [`Real`] is a ball: a midpoint and a radius that encloses the true value. Two expressions whose balls do not meet
//! are different, and that is a proof. [`float::FloatBall`] is the fast one on machine floats, [`ball::Ball`] has as
//! many bits as asked for. [`complex::Complex`] puts two together and [`evaluate`] walks the tree.

pub(crate) mod ball;
pub(crate) mod complex;
pub(crate) mod evaluate;
pub(crate) mod float;

use std::cmp::Ordering;

use dashu_int::IBig;
use dashu_ratio::RBig;

use crate::verify::fuel::Halt;

/// A real number known up to a radius. Every operation returns a ball that contains every result for every choice of
/// true operands.
pub(crate) trait Real: Clone + Sized {
    /// Steps one arithmetic operation costs at this precision.
    fn cost(bits: usize) -> u64;
    /// Steps one elementary function costs at this precision.
    fn transcendental_cost(bits: usize) -> u64;
    /// The nearest representable ball.
    fn from_rational(value: &RBig, bits: usize) -> Result<Self, Halt>;
    /// π.
    fn pi(bits: usize) -> Self;
    /// The exact zero.
    fn zero() -> Self;
    /// Whether this is the exact zero.
    fn is_exact_zero(&self) -> bool;
    /// Left plus right.
    fn add(&self, other: &Self) -> Result<Self, Halt>;
    /// Left times right.
    fn mul(&self, other: &Self) -> Result<Self, Halt>;
    /// The negated value.
    fn neg(&self) -> Self;
    /// One over the value; undefined if the ball is the exact zero, unsupported if it touches zero.
    fn recip(&self) -> Result<Self, Halt>;
    /// The square root of a value that is certainly not negative.
    fn sqrt(&self) -> Result<Self, Halt>;
    /// The n-th root of a value that is certainly positive.
    fn root(&self, index: u32) -> Result<Self, Halt>;
    /// The exponential.
    fn exp(&self) -> Result<Self, Halt>;
    /// The natural logarithm of a value that is certainly positive.
    fn ln(&self) -> Result<Self, Halt>;
    /// Sine and cosine.
    fn sin_cos(&self) -> Result<(Self, Self), Halt>;
    /// The arc tangent.
    fn atan(&self) -> Result<Self, Halt>;
    /// The sign, if the ball decides it.
    fn sign(&self) -> Option<Ordering>;
    /// The floor, if the ball decides it.
    fn floor(&self) -> Option<IBig>;
    /// An upper bound of the binary logarithm of the magnitude.
    fn magnitude(&self) -> f64;
}
