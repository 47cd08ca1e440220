//! Arithmetic modulo a prime, and modulo one less, where its exponents are.

use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

use crate::verify::fuel::Halt;

/// 2^61 - 31 and 2^61 - 259, both 1 modulo 4 so that -1 has a square root.
pub(super) const FIELDS: [Field; 2] = [
    Field { ring: Ring { gap: 31 }, root: 583_529_827_753_931_384, base: 14 },
    Field { ring: Ring { gap: 259 }, root: 966_685_122_347_009_555, base: 2 },
];

/// The integers modulo a prime p.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) ring: Ring,
    /// A square root of -1: `base` to the power (p - 1) / 4.
    pub(super) root: u64,
    /// A number that is neither a square nor a cube, so that its power (p - 1) / 2 is -1 and (p - 1) / 3 is not 1.
    pub(super) base: u64,
}

/// The integers modulo 2^61 - gap.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ring {
    gap: u64,
}

impl Ring {
    pub(super) fn modulus(self) -> u64 {
        (1 << 61) - self.gap
    }

    /// The integers modulo p - 1: of a power to the p - 1 nothing but 1 is left.
    pub(super) fn exponents(self) -> Self {
        Self { gap: self.gap + 1 }
    }

    fn reduce(self, value: u128) -> u64 {
        const MASK: u128 = (1 << 61) - 1;
        let folded = (value & MASK) + (value >> 61) * u128::from(self.gap);
        let folded = (folded & MASK) + (folded >> 61) * u128::from(self.gap);
        let mut result = folded as u64;
        while result >= self.modulus() {
            result -= self.modulus();
        }
        result
    }

    pub(super) fn add(self, left: u64, right: u64) -> u64 {
        let sum = left + right;
        if sum >= self.modulus() { sum - self.modulus() } else { sum }
    }

    pub(super) fn negate(self, value: u64) -> u64 {
        if value == 0 { 0 } else { self.modulus() - value }
    }

    pub(super) fn mul(self, left: u64, right: u64) -> u64 {
        self.reduce(u128::from(left) * u128::from(right))
    }

    pub(super) fn pow(self, base: u64, mut exponent: u64) -> u64 {
        let (mut result, mut square) = (1, base);
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = self.mul(result, square);
            }
            square = self.mul(square, square);
            exponent >>= 1;
        }
        result
    }

    pub(super) fn inverse(self, value: u64) -> Result<u64, Halt> {
        if value == 0 { Err(Halt::Undefined) } else { Ok(self.pow(value, self.modulus() - 2)) }
    }

    pub(super) fn rational(self, value: &RBig) -> Result<u64, Halt> {
        let top = self.residue(value.numerator());
        if value.is_int() {
            return Ok(top);
        }
        let bottom = self.residue(&IBig::from(value.denominator().clone()));
        Ok(self.mul(top, self.inverse(bottom)?))
    }

    pub(super) fn residue(self, value: &IBig) -> u64 {
        if let Ok(small) = i64::try_from(value) {
            return small.rem_euclid(self.modulus().cast_signed()) as u64;
        }
        let (sign, magnitude) = value.clone().into_parts();
        let rest = u64::try_from(magnitude % UBig::from(self.modulus())).unwrap_or(0);
        if sign == dashu_base::Sign::Negative { self.negate(rest) } else { rest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_is_that_of_remainders() {
        for Field { ring: field, root, .. } in FIELDS {
            let prime = field.modulus();
            let members = [0, 1, 2, 1 << 31, 1 << 60, prime / 2, prime / 2 + 1, prime - 2, prime - 1, root];
            for left in members {
                for right in members {
                    let (sum, product) = (field.add(left, right), field.mul(left, right));
                    let rest = |value: u128| (value % u128::from(prime)) as u64;
                    assert_eq!(sum, rest(u128::from(left) + u128::from(right)), "{left} + {right}");
                    assert_eq!(product, rest(u128::from(left) * u128::from(right)), "{left} · {right}");
                }
                assert_eq!(field.add(left, field.negate(left)), 0, "{left}");
                let back = field.inverse(left).map(|inverse| field.mul(left, inverse));
                assert_eq!(back, if left == 0 { Err(Halt::Undefined) } else { Ok(1) }, "{left}");
            }
        }
    }

    #[test]
    fn roots_of_one() {
        for Field { ring, root, base } in FIELDS {
            let order = ring.exponents().modulus();
            assert_eq!(order, ring.modulus() - 1);
            assert_eq!(ring.pow(base, order / 4), root);
            assert_eq!(ring.pow(base, order / 2), order, "-1");
            assert_ne!(ring.pow(base, order / 3), 1);
            assert_eq!((order % 3, ring.pow(base, order), ring.pow(base, 0)), (0, 1, 1));
        }
    }

    #[test]
    fn residues_of_integers_and_fractions() {
        for Field { ring: field, .. } in FIELDS {
            let (prime, p) = (field.modulus(), IBig::from(field.modulus()));
            for (value, rest) in [
                (IBig::from(5), 5),
                (IBig::from(-5), prime - 5),
                (p.clone(), 0),
                (-&p, 0),
                (&p * &p * &p + 3, 3),
                (-(&p * &p * &p) - 3, prime - 3),
                (-(&p * &p), 0),
            ] {
                assert_eq!(field.residue(&value), rest, "{value}");
                assert_eq!(field.rational(&RBig::from(value.clone())), Ok(rest), "{value}");
            }
            let sevenths = field.rational(&(RBig::from(-3) / RBig::from(7))).unwrap();
            assert_eq!(field.mul(sevenths, 7), prime - 3);
            assert_eq!(field.rational(&(RBig::ONE / RBig::from(p))), Err(Halt::Undefined));
        }
    }
}
