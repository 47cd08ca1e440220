//! Each method for scalars alone: what one of them gets wrong the others hide.

use std::f64::consts::{FRAC_PI_2, FRAC_PI_3, FRAC_PI_4, FRAC_PI_6, LN_2, PI};

use dashu_ratio::RBig;

use super::exact::{Gaussian, exact};
use super::modular::{fingerprint, identity};
use super::numeric::ball::Ball;
use super::numeric::evaluate::Evaluator;
use super::numeric::float::FloatBall;
use super::numeric::{Real, complex::Complex};
use super::separation::{separation_bits, size_bits};
use crate::verify::expr::Expr;
use crate::verify::fuel::{Fuel, Halt};
use crate::verify::parse::parse;
use crate::verify::scalar::lowered;

fn parsed(text: &str) -> Expr {
    lowered(&parse(text, true, &mut Fuel::new(None)).unwrap_or_else(|_| panic!("{text}")).expr).into_owned()
}

fn exactly(text: &str) -> Result<Gaussian, Halt> {
    exact(&parsed(text), &mut Fuel::new(None))
}

#[test]
fn exact_values() {
    for (text, re, im) in [
        ("101_2+1", (6, 1), (0, 1)),
        ("-i", (0, 1), (-1, 1)),
        ("25\\%", (1, 4), (0, 1)),
        ("7\\text{ cm}", (7, 1), (0, 1)),
        ("(1+2i)+(3-i)", (4, 1), (1, 1)),
        ("(1+2i)+3", (4, 1), (2, 1)),
        ("(1+2i)(3-i)", (5, 1), (5, 1)),
        ("\\frac{1+2i}{3-i}", (1, 10), (7, 10)),
        ("\\frac{6-4i}{4}", (3, 2), (-1, 1)),
        ("6:4", (3, 2), (0, 1)),
        ("(1+i)^5", (-4, 1), (-4, 1)),
        ("(1+i)^{-2}", (0, 1), (-1, 2)),
        ("\\left(\\frac23\\right)^{-3}", (27, 8), (0, 1)),
        ("0^5", (0, 1), (0, 1)),
        ("1^{10^{9}}", (1, 1), (0, 1)),
        ("\\left(\\frac{8}{27}\\right)^{-2/3}", (9, 4), (0, 1)),
        ("\\sqrt[3]{-\\frac{8}{27}}", (-2, 3), (0, 1)),
        ("\\sqrt{-\\frac94}", (0, 1), (3, 2)),
        ("\\sqrt{0}", (0, 1), (0, 1)),
        ("|{-\\frac25}|", (2, 5), (0, 1)),
        ("|3-4i|", (5, 1), (0, 1)),
        ("\\lfloor -\\frac52 \\rfloor", (-3, 1), (0, 1)),
        ("\\lceil -\\frac52 \\rceil", (-2, 1), (0, 1)),
        ("0!", (1, 1), (0, 1)),
        ("6!", (720, 1), (0, 1)),
        ("\\binom{7}{3}", (35, 1), (0, 1)),
        ("\\binom{7}{5}", (21, 1), (0, 1)),
        ("\\binom{3}{7}", (0, 1), (0, 1)),
        ("\\log_8 4", (2, 3), (0, 1)),
        ("\\log_2 \\frac18", (-3, 1), (0, 1)),
        ("\\log_{\\frac12} 8", (-3, 1), (0, 1)),
        ("\\log_7 1", (0, 1), (0, 1)),
        ("\\operatorname{Re}(3-4i)", (3, 1), (0, 1)),
        ("\\operatorname{Im}(3-4i)", (-4, 1), (0, 1)),
        ("\\min(3, -1, 2)", (-1, 1), (0, 1)),
        ("\\max(3, -1, 7, 2)", (7, 1), (0, 1)),
        ("\\gcd(12, 18, 8)", (2, 1), (0, 1)),
        ("\\operatorname{lcm}(4, 6, 10)", (60, 1), (0, 1)),
        ("\\sum_{k=2}^{4} k^2", (29, 1), (0, 1)),
        ("\\prod_{k=2}^{4} k", (24, 1), (0, 1)),
        ("\\sum_{k=1}^{0} k", (0, 1), (0, 1)),
        ("\\prod_{k=1}^{0} k", (1, 1), (0, 1)),
    ] {
        let number = |(top, bottom): (i64, i64)| RBig::from(top) / RBig::from(bottom);
        assert_eq!(exactly(text), Ok(Gaussian { re: number(re), im: number(im) }), "{text}");
    }
    for (text, why) in [
        ("\\frac{1}{0}", Halt::Undefined),
        ("1:0", Halt::Undefined),
        ("\\frac{1+i}{0}", Halt::Undefined),
        ("0^0", Halt::Undefined),
        ("0^{-2}", Halt::Undefined),
        ("0^{-1/2}", Halt::Undefined),
        ("2^i", Halt::Unsupported),
        ("(-8)^{1/3}", Halt::Unsupported),
        ("(1+i)^{1/2}", Halt::Unsupported),
        ("\\sqrt{2}", Halt::Unsupported),
        ("\\sqrt[3]{9}", Halt::Unsupported),
        ("\\sqrt[4]{-16}", Halt::Unsupported),
        ("\\sqrt[65]{1}", Halt::Unsupported),
        ("\\sqrt{2i}", Halt::Unsupported),
        ("(-1)!", Halt::Unsupported),
        ("\\log_2 3", Halt::Unsupported),
        ("\\log_1 3", Halt::Unsupported),
        ("\\log_2 (-8)", Halt::Unsupported),
        ("\\log_{-2} 4", Halt::Unsupported),
        ("\\lfloor i \\rfloor", Halt::Unsupported),
        ("\\pi", Halt::Unsupported),
        ("x", Halt::Unsupported),
        ("\\sum_{k=1}^{2002} k", Halt::Unsupported),
    ] {
        assert_eq!(exactly(text), Err(why), "{text}");
    }
}

fn compared(left: &str, right: &str) -> Result<bool, Halt> {
    identity(&parsed(left), &parsed(right), &mut Fuel::new(None))
}

#[test]
fn identities() {
    for (left, right) in [
        ("x^2-1", "(x-1)(x+1)"),
        ("-x", "-1 \\cdot x"),
        ("50\\%x", "\\frac{x}{2}"),
        ("101_2 x", "5x"),
        ("ix \\cdot ix", "-x^2"),
        ("x^{-2}", "\\frac{1}{x^2}"),
        ("2^{n+1}", "2 \\cdot 2^n"),
        ("2^{-n} \\cdot 2^{n}", "1"),
        ("2^{n^2}", "(2^n)^n"),
        ("2^{n^3}", "((2^n)^n)^n"),
        ("6! x", "720x"),
        ("f(x+1)", "f(1+x)"),
        ("\\lfloor -10^{30} \\rfloor x", "-10^{15} \\cdot 10^{15} x"),
        ("\\tan x", "\\frac{\\sin x}{\\cos x}"),
        ("\\cot x \\tan x", "1"),
        ("\\sec x", "\\frac{1}{\\cos x}"),
        ("\\csc x", "\\frac{1}{\\sin x}"),
        ("\\sin(-x)", "-\\sin x"),
        ("\\sin(x+y)", "\\sin x\\cos y+\\cos x\\sin y"),
        ("\\sin(x+\\frac{\\pi}{2})", "\\cos x"),
        ("\\cos 60^\\circ", "\\frac12"),
        ("\\sin 30^\\circ", "\\frac12"),
        ("\\cos\\frac{\\pi}{3}", "\\frac12"),
        ("\\cos(x+\\frac{2\\pi}{3})+\\cos(x-\\frac{2\\pi}{3})", "-\\cos x"),
        ("\\cos(x^2)^2+\\sin(x^2)^2", "1"),
        ("\\cos\\frac{2x}{3}", "1-2\\sin^2\\frac{x}{3}"),
        ("180^\\circ", "\\pi"),
    ] {
        assert_eq!(compared(left, right), Ok(true), "{left} and {right}");
    }
    for (left, right) in [("x", "y"), ("x^2", "2x"), ("2^{n+1}", "2^n"), ("-x", "x"), ("(-1)^n", "1")] {
        assert_eq!(compared(left, right), Ok(false), "{left} and {right}");
    }
    for (left, right) in [
        ("\\sqrt{x^2}", "x"),
        ("\\sin(n\\pi)", "0"),
        ("f(x)", "g(x)"),
        ("f(x, y)", "f(x, x)"),
        ("\\cos\\frac{2\\pi}{3}", "1"),
        ("x^{1/2}", "x^{1/3}"),
        ("\\frac{1}{0}", "x"),
        ("0^{-1}", "0"),
    ] {
        let unknown = matches!(compared(left, right), Err(Halt::Undefined | Halt::Unsupported));
        assert!(unknown, "{left} and {right}");
    }
    let key = |text: &str| fingerprint(&parsed(text), &mut Fuel::new(None));
    assert_eq!(key("(x+1)^2"), key("x^2+2x+1"));
    assert_ne!(key("x"), key("y"));
    assert_eq!(key("(-1)^n"), None);
}

fn value<R: Real>(text: &str, bits: usize) -> Result<Complex<R>, Halt> {
    Evaluator { values: &[], bits, fuel: &mut Fuel::new(None) }.value(&parsed(text))
}

fn holds<R: Real>(part: &R, expected: f64, bits: usize, tolerance: f64) -> bool {
    let expected = R::from_rational(&RBig::try_from(expected).unwrap(), bits).unwrap();
    part.add(&expected.neg()).unwrap().magnitude() < tolerance.log2()
}

#[test]
fn values_of_balls() {
    for (text, re, im) in [
        ("101_2+\\sqrt2", 5.0 + 2f64.sqrt(), 0.0),
        ("\\sqrt2 \\text{ cm}", 2f64.sqrt(), 0.0),
        ("\\sqrt2\\%", 2f64.sqrt() / 100.0, 0.0),
        ("90^\\circ", FRAC_PI_2, 0.0),
        ("\\sqrt2:3", 2f64.sqrt() / 3.0, 0.0),
        ("0^{\\pi}", 0.0, 0.0),
        ("(1+\\sqrt2)^{-2}", 0.171_572_875_253_809_9, 0.0),
        ("(1+i)^3", -2.0, 2.0),
        ("\\frac{1+2i}{3-i}", 0.1, 0.7),
        ("|1+i|", 2f64.sqrt(), 0.0),
        ("|{-\\pi}|", PI, 0.0),
        ("\\sqrt{-2}", 0.0, 2f64.sqrt()),
        ("\\sqrt[3]{-2}", -1.259_921_049_894_873_2, 0.0),
        ("(-8)^{1/3}", 1.0, 3f64.sqrt()),
        ("\\sqrt{2i}", 1.0, 1.0),
        ("\\ln(1+i)", LN_2 / 2.0, FRAC_PI_4),
        ("\\ln(-1+i)", LN_2 / 2.0, 3.0 * FRAC_PI_4),
        ("\\ln(1-i)", LN_2 / 2.0, -FRAC_PI_4),
        ("\\ln(-2)", LN_2, PI),
        ("i^i", 0.207_879_576_350_761_9, 0.0),
        ("\\log_3 2", 0.630_929_753_571_457_4, 0.0),
        ("\\lfloor \\pi \\rfloor", 3.0, 0.0),
        ("\\lceil \\pi \\rceil", 4.0, 0.0),
        ("\\lfloor -\\pi \\rfloor", -4.0, 0.0),
        ("\\lceil -\\pi \\rceil", -3.0, 0.0),
        ("5!", 120.0, 0.0),
        ("\\binom{5}{2}", 10.0, 0.0),
        ("\\operatorname{Re}(\\sqrt2+3i)", 2f64.sqrt(), 0.0),
        ("\\operatorname{Im}(\\sqrt2+3i)", 3.0, 0.0),
        ("\\sin 1", 0.841_470_984_807_896_5, 0.0),
        ("\\cos 1", 0.540_302_305_868_139_7, 0.0),
        ("\\tan 1", 1.557_407_724_654_902_3, 0.0),
        ("\\cot 1", 0.642_092_615_934_330_8, 0.0),
        ("\\sec 1", 1.850_815_717_680_925_5, 0.0),
        ("\\csc 1", 1.188_395_105_778_121_2, 0.0),
        ("\\sin i", 0.0, 1.175_201_193_643_801_4),
        ("\\cos i", 1.543_080_634_815_243_7, 0.0),
        ("\\arcsin 1", FRAC_PI_2, 0.0),
        ("\\arcsin(-1)", -FRAC_PI_2, 0.0),
        ("\\arcsin\\frac12", FRAC_PI_6, 0.0),
        ("\\arccos\\frac12", FRAC_PI_3, 0.0),
        ("\\arctan 2", 1.107_148_717_794_090_4, 0.0),
        ("\\operatorname{arccot} 2", 0.463_647_609_000_806_1, 0.0),
        ("\\sinh 1", 1.175_201_193_643_801_4, 0.0),
        ("\\cosh 1", 1.543_080_634_815_243_7, 0.0),
        ("\\tanh 1", 0.761_594_155_955_764_9, 0.0),
        ("\\operatorname{arcsinh} 1", 0.881_373_587_019_543, 0.0),
        ("\\operatorname{arccosh} 2", 1.316_957_896_924_816_6, 0.0),
        ("\\operatorname{arctanh} \\frac12", 0.549_306_144_334_054_8, 0.0),
        ("\\exp(i)", 0.540_302_305_868_139_7, 0.841_470_984_807_896_5),
        ("\\sum_{k=1}^{3} \\sqrt{k}", 1.0 + 2f64.sqrt() + 3f64.sqrt(), 0.0),
        ("\\prod_{k=2}^{3} \\sqrt{k}", 6f64.sqrt(), 0.0),
    ] {
        let slow = value::<Ball>(text, 192).unwrap_or_else(|why| panic!("{text}: {why:?}"));
        assert!(holds(&slow.re, re, 192, 1e-14) && holds(&slow.im, im, 192, 1e-14), "{text}: {slow:?}");
        // Machine floats cannot tell where 1 - x² is exactly 0.
        if !text.starts_with("\\arcsin") {
            let fast = value::<FloatBall>(text, 53).unwrap_or_else(|why| panic!("{text}: {why:?}"));
            assert!(holds(&fast.re, re, 53, 1e-12) && holds(&fast.im, im, 53, 1e-12), "{text}: {fast:?}");
        }
    }
    for (text, why) in [
        ("0^{-\\pi}", Halt::Undefined),
        ("0^0", Halt::Undefined),
        ("0^{-1}", Halt::Undefined),
        ("\\frac{\\pi}{0}", Halt::Undefined),
        ("\\ln 0", Halt::Undefined),
        ("\\arcsin 2", Halt::Unsupported),
        ("\\operatorname{arccosh} \\frac12", Halt::Unsupported),
        ("\\frac{1}{\\sqrt2-\\sqrt2}", Halt::Unsupported),
        ("\\lfloor \\sqrt2\\sqrt2 \\rfloor", Halt::Unsupported),
        ("\\lfloor i\\pi \\rfloor", Halt::Unsupported),
        ("\\sum_{k=1}^{2002} \\sqrt{k}", Halt::Unsupported),
    ] {
        assert_eq!(value::<FloatBall>(text, 53).unwrap_err(), why, "{text}");
        assert_eq!(value::<Ball>(text, 192).unwrap_err(), why, "{text}");
    }
}

#[test]
fn separation_of_algebraic_numbers() {
    // (D - 1) log2 u + log2 l with the lengths of the numbers for their logarithms.
    for (text, bits) in [
        ("5", Some(1.0)),
        ("\\frac57", Some(4.0)),
        ("25\\%", Some(8.0)),
        ("\\sqrt{2}", Some(1.0 + 1.5)),
        ("-\\sqrt{2}\\text{ cm}", Some(1.0 + 1.5)),
        ("i", Some(0.0)),
        // u = max(3 + 1, 2.5 + 1) + 1 = 5 and l = 2 for both terms together.
        ("\\sqrt[4]{5}-\\sqrt{5}", Some(7.0 * 4.0 + 2.0)),
        ("\\frac{1}{\\sqrt2}", Some(2.0 + 2.5)),
        // u = 2 and l = 5 of 1/8, u = 2 and l = (2 · 2 + 5) / 3 of its root.
        ("\\sqrt[3]{\\frac18}", Some(2.0 * 2.0 + 3.0)),
        ("2^{-3}", Some(6.0)),
        ("8^{2/3}", Some(2.0 * 4.0 + 2.0)),
        ("\\sqrt[65]{2}", None),
        ("\\pi", None),
        ("\\sin 1", None),
    ] {
        let found = separation_bits(&parsed(text), &mut Fuel::new(None));
        assert_eq!(found, bits, "{text}");
    }
}

#[test]
fn sizes() {
    for (text, bits) in [
        ("5", 3.0),
        ("\\frac57", 6.0),
        ("-0.2", 3.0),
        ("101_2", 3.0),
        ("\\pi+e", 4.0),
        ("25\\%", 12.0),
        ("30^\\circ", 15.0),
        ("10^{50}", 50.0 * 4.0 + 6.0),
        ("e^{-225}", 225.0 * 2.0 + 8.0),
        ("e^{-15^2}", 225.0 * 2.0 + 2.0 * 4.0 + 2.0),
        ("2^{1/3}", 2.0 + 3.0),
        ("\\exp(3)", 12.0 + 6.0),
        ("\\tanh(50+50)", 400.0 + 36.0),
        ("\\sin\\frac{1}{8}", 3.0 * 5.0),
        ("8!", 8.0 * 3.0 + 12.0),
        ("\\binom{9}{2}", 9.0 + 3.0 * 6.0),
        ("\\sum_{k=1}^{9} \\sqrt{k}", 3.0 * (2.0 + 4.0)),
        ("\\prod_{k=1}^{9} \\sqrt{k}", 9.0 * 3.0 * (2.0 + 4.0)),
    ] {
        let found = size_bits(&parsed(text), &[], &mut Fuel::new(None));
        assert_eq!(found, Some(bits), "{text}");
    }
    for (text, bits) in
        [("\\sin(3i)", 4.0 * 3.0 + 3.0 * (2.0 + 2.0)), ("2^{3i}", 3.0 * 2.0 + (2.0 + 2.0) + 4.6 * 3.0)]
    {
        let found = size_bits(&parsed(text), &[], &mut Fuel::new(None));
        assert!(found.is_some_and(|found| (found - bits).abs() < 1e-6), "{text}: {found:?}");
    }
    assert_eq!(size_bits(&parsed("2^x"), &[], &mut Fuel::new(None)), None);
    let at = [("x", RBig::from(-7))];
    assert_eq!(size_bits(&parsed("2^x"), &at, &mut Fuel::new(None)), Some(7.0 * 2.0 + 2.0));
}
