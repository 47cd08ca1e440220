//! The conventions by which an answer counts that is not the gold as written. A profile is a set of them.

use super::Profile;

/// One convention: what it says, and an example.
pub struct Rule {
    /// The licence.
    pub licence: Licence,
    /// What it says, in one sentence.
    pub meaning: &'static str,
    /// A gold, and an answer that equals it by this convention alone.
    pub example: (&'static str, &'static str),
}

/// Declares the licences: variant, name, profiles (`D`efault, `S`trict, `M`ath-Verify), example, meaning.
macro_rules! licences {
    ($($variant:ident, $name:literal, [$default:literal $strict:literal $math_verify:literal],
       $gold:literal, $answer:literal, $meaning:literal;)*) => {
        /// A convention by which an answer equals a gold; [`RULES`] says what each means.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Licence {
            $(#[doc = $meaning] $variant,)*
        }

        /// All licences with what they mean.
        pub const RULES: &[Rule] = &[$(Rule {
            licence: Licence::$variant,
            meaning: $meaning,
            example: ($gold, $answer),
        },)*];

        impl Licences {
            /// The licences of a profile.
            pub const fn of(profile: Profile) -> Self {
                Self(match profile {
                    Profile::Default => 0 $(| $default << Licence::$variant as u64)*,
                    Profile::Strict => 0 $(| $strict << Licence::$variant as u64)*,
                    Profile::MathVerify => 0 $(| $math_verify << Licence::$variant as u64)*,
                })
            }
        }

        impl Licence {
            /// The name used in options and reports, such as `unit-dropped`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

licences! {
    Rounded, "rounded", [1 0 1], r"\frac13", "0.333333",
        "Where a decimal is written, values that agree when rounded to `float_rounding` places, and in four digits.";
    RoundedTiny, "rounded-tiny", [0 0 1], "1.2e-7", "4.9e-7",
        "Values too small for that, which agree in fewer digits.";
    RoundedToWhole, "rounded-to-whole", [1 0 0], "2", "1.9999999",
        "A decimal that rounds to a whole number, or the other way round.";
    RoundedToGold, "rounded-to-gold", [1 0 0], "16.7", r"\frac{50}{3}",
        "An exact value that rounds to a gold decimal of three digits or more.";
    RoundingSaid, "rounding-said", [1 1 0], "0.78", r"\frac79 \approx 0.78",
        "The rounding that an answer gives beside its value.";
    PercentWithoutSign, "percent-without-sign", [1 0 1], r"28\%", "28",
        "A whole number of percent without its sign.";
    DecimalPercentWithoutSign, "decimal-percent-without-sign", [1 0 0], r"28.5\%", "28.5",
        "Any other number of percent without its sign.";
    DegreesWithoutSign, "degrees-without-sign", [1 0 1], r"90^\circ", "90",
        "Degrees without their sign.";
    DegreesInRadians, "degrees-in-radians", [1 1 0], r"90^\circ", r"\frac{\pi}{2}",
        "Degrees as the angle they measure.";
    BaseDropped, "base-dropped", [1 0 1], "101_2", "101",
        "Digits without the base that they are written in.";
    BaseConverted, "base-converted", [1 1 0], "101_2", "5",
        "Digits in a base as the number they write.";
    UnitDropped, "unit-dropped", [1 1 1], r"5 \text{ cm}", "5",
        "A unit that one of the two leaves out.";
    UnitConverted, "unit-converted", [1 1 0], r"1 \text{ hour}", r"60 \text{ minutes}",
        "The same quantity in another unit.";
    UnitDivisorDropped, "unit-divisor-dropped", [1 1 1], r"15 \text{ dollars per hour}", r"15 \text{ dollars}",
        "A divisor of a unit that one of the two leaves out.";
    UnitExponentDropped, "unit-exponent-dropped", [0 0 1], r"5 \text{ cm}^2", r"5 \text{ cm}",
        "An exponent of a unit that one of the two leaves out.";
    UnitIgnored, "unit-ignored", [0 0 1], r"5 \text{ cm}", r"5 \text{ m}",
        "Another unit of measurement.";
    UnitLettersDropped, "unit-letters-dropped", [1 0 0], "9.8", "9.8 m/s",
        "Letters of units in the answer where the gold has no variable.";
    VariablesAsUnits, "variables-as-units", [0 0 1], "6m", "6",
        "A last factor that may be a unit, on either side.";
    ScaleDropped, "scale-dropped", [0 0 1], "5", r"5 \text{ million}",
        "Words of scale left out.";
    CaseIgnored, "case-ignored", [0 0 1], "x", "X",
        "Symbols in another case or font.";
    SymbolsRenamed, "symbols-renamed", [0 0 0], "x+1", "t+1",
        "Other names for the symbols, in their order.";
    ConstantOfIntegration, "constant-of-integration", [1 0 0], r"\sin^2 x+C", r"-\frac12\cos 2x+C",
        "Antiderivatives that differ by a constant.";
    ConstantRenamed, "constant-renamed", [1 0 0], "y=Ce^x", "y=Ae^x",
        "Another name for a free constant.";
    CountingNotation, "counting-notation", [1 1 0], "10", "C(5,2)",
        "A number of combinations or permutations as `C(n,k)`, `C_n^k`, `P(n,k)`.";
    ArgumentRenamed, "argument-renamed", [1 1 0], "f(x)=2x", "f(t)=2t",
        "Another name for a function's argument.";
    GraphOfFunction, "graph-of-function", [1 1 0], "f(x)=2x", "y=2x",
        "The graph of a function for the function.";
    IndexUndeclared, "index-undeclared", [1 1 1], r"k\pi", r"k\pi, k\in\mathbb{Z}",
        "An index that the answer says is an integer, and the gold does not say.";
    NameDropped, "name-dropped", [1 1 1], "x=5", "5",
        "A value without the name it is given, or with one.";
    PointNameDropped, "point-name-dropped", [1 1 0], "(3,-2)", "P(3,-2)",
        "A point with its name.";
    LeftSideDropped, "left-side-dropped", [0 0 1], "a+b=5", "5",
        "A gold equation's right side, where the left has letters alone.";
    SidesSwapped, "sides-swapped", [1 1 0], "4", "4=x",
        "A value given its name on the right.";
    ContradictionIgnored, "contradiction-ignored", [0 0 1], "5", "6=5",
        "The last value of a chain that contradicts itself.";
    AssignmentOrderIgnored, "assignment-order-ignored", [0 0 1], "x=1, y=2", "2, 1",
        "Bare values in another order than the gold's names.";
    InequalityScaled, "inequality-scaled", [1 1 0], "x>0", "2x>0",
        "A positive multiple of an inequality.";
    InequalityForInterval, "inequality-for-interval", [1 1 0], r"(2,\infty)", "x>2",
        "An inequality for a gold interval.";
    ListForTuple, "list-for-tuple", [1 1 1], "(1,2)", "1,2",
        "A tuple without its brackets, in its order.";
    TupleForList, "tuple-for-list", [1 1 1], "1,2", "(2,1)",
        "A list in the brackets of a tuple, in any order.";
    UnitVectors, "unit-vectors", [1 1 0], "(1,2,3)", r"\mathbf{i}+2\mathbf{j}+3\mathbf{k}",
        "A vector as a sum of unit vectors.";
    DuplicatesIgnored, "duplicates-ignored", [0 0 1], "1,2", "1,2,2",
        "A list that says a value twice.";
    AgreeingAlternatives, "agreeing-alternatives", [1 1 1], r"\frac12", r"\frac12 \text{ (or } 0.5)",
        "Alternatives that all equal the gold.";
    CommaList, "comma-list", [1 0 1], "1,234", r"\{1; 234\}",
        "A comma between groups of three digits as one between numbers.";
    ChoiceValue, "choice-value", [1 0 1], "42", r"(C)\ 42",
        "The value that stands behind a choice's letter.";
    GluedChoices, "glued-choices", [1 1 0], "ABD", "B, A, D",
        "The letters of several choices, with or without commas, in any order.";
    NumberInWords, "number-in-words", [1 0 0], "25", r"\text{twenty-five}",
        "A number spelled in words.";
    ArticleDropped, "article-dropped", [1 0 0], "ellipse", r"\text{an ellipse}",
        "Words with or without articles and the like.";
    WordsInSentence, "words-in-sentence", [1 0 0], "diverges", r"\text{The series diverges.}",
        "The gold's words in a sentence that says them.";
    DateReordered, "date-reordered", [1 0 0], r"\text{January 5}", r"\text{5 Jan}",
        "A date in another order.";
    HalfOfDayDropped, "half-of-day-dropped", [1 1 1], r"5:30 \text{ PM}", "5:30",
        "A time without its half of the day.";
    TimeAsRatio, "time-as-ratio", [0 0 1], "10:45", "2:9",
        "A gold time of day as a ratio.";
    RatioAsQuotient, "ratio-as-quotient", [1 1 1], "3:4", r"\frac34",
        "A ratio of two as their quotient.";
    LogBaseTen, "log-base-ten", [1 1 1], "2", r"\log 100",
        "A logarithm without a base as one to base ten.";
    MixedNumber, "mixed-number", [1 1 1], r"\frac32", r"1\frac12",
        "A whole number in front of a fraction as their sum.";
    DigitsGrouped, "digits-grouped", [1 1 1], "10000", "10,000",
        "Digits in groups of three with a comma or a space between them.";
    DigitsRepeat, "digits-repeat", [1 1 1], r"\frac16", "0.1666...",
        "Digits that repeat before an ellipsis or stand in parentheses, as ones that go on so.";
    EllipsisFilled, "ellipsis-filled", [1 1 1], "1,2,3,4,5", r"1,2,\ldots,5",
        "An ellipsis as the terms that it leaves out.";
    SlashBeforeProduct, "slash-before-product", [1 1 1], r"\frac{x}{2}", "1/2x",
        "A factor behind a quotient as one of the dividend.";
    InverseFunction, "inverse-function", [1 1 1], r"\frac{\pi}{2}", r"\sin^{-1} 1",
        "A function to the power -1 as its inverse.";
    SignsIndependent, "signs-independent", [1 1 1], "(3,2),(3,-2),(-3,2),(-3,-2)", r"(\pm3,\pm2)",
        "Each plus-minus in a tuple with either sign.";
    OrdinalAsNumber, "ordinal-as-number", [1 1 1], "4", "4^{th}",
        "An ordinal number as the number.";
}

/// A set of licences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Licences(u64);

impl Licences {
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// Whether a licence is in the set.
    pub fn contains(self, licence: Licence) -> bool {
        self.0 & 1 << licence as u64 != 0
    }

    /// Those of both sets.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those of one set that are not in the other.
    #[must_use]
    pub fn difference(self, other: Self) -> Self {
        Self(self.0 ^ other.0)
    }

    /// Those that are not in the other set.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all are in the other set.
    pub fn are_within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// The licences in the order of [`RULES`].
    pub fn iter(self) -> impl Iterator<Item = Licence> {
        RULES.iter().map(|rule| rule.licence).filter(move |licence| self.contains(*licence))
    }
}

impl From<Licence> for Licences {
    fn from(licence: Licence) -> Self {
        Self(1 << licence as u64)
    }
}

impl FromIterator<Licence> for Licences {
    fn from_iter<I: IntoIterator<Item = Licence>>(licences: I) -> Self {
        licences.into_iter().fold(Self::NONE, |all, licence| all.union(licence.into()))
    }
}

/// A name that no licence has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown licence '{0}': docs/verifier.md lists them")]
pub struct UnknownLicence(pub String);

impl std::str::FromStr for Licence {
    type Err = UnknownLicence;

    fn from_str(name: &str) -> Result<Self, UnknownLicence> {
        let rule = RULES.iter().find(|rule| rule.licence.name() == name);
        rule.map(|rule| rule.licence).ok_or_else(|| UnknownLicence(name.to_string()))
    }
}

#[cfg(feature = "serde")]
mod serialized {
    use super::{Licence, Licences};

    impl serde::Serialize for Licences {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq(self.iter().map(Licence::name))
        }
    }

    impl<'de> serde::Deserialize<'de> for Licences {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let names: Vec<String> = serde::Deserialize::deserialize(deserializer)?;
            names.iter().map(|name| name.parse::<Licence>().map_err(serde::de::Error::custom)).collect()
        }
    }
}
