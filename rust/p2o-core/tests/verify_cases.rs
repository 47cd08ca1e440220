//! What the default profile calls equal, kind by kind. Each line is `gold | answer`; every case is worked by hand.

use std::fmt::Write;

use p2o_core::verify::{Options, Profile, Status, Tier, verify};

fn check(cases: &str, expected: bool) {
    let mut failures = String::new();
    for line in cases.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (gold, answer) = line.split_once(" || ").expect("gold || answer");
        for (name, completion) in [
            ("box", format!("So we get\n\\[\\boxed{{{answer}}}\\]")),
            ("phrase", format!("After $2+2$ steps and 17 checks, the final answer is ${answer}$.")),
        ] {
            let verdict = verify(&completion, gold, &Options::default());
            let allowed = if expected { Status::Correct } else { Status::Wrong };
            if verdict.status != allowed {
                writeln!(failures, "{line}   [{name}: {:?} {:?}]", verdict.status, verdict.tier).unwrap();
            }
        }
    }
    assert!(failures.is_empty(), "expected {expected}:\n{failures}");
}

#[test]
fn the_tier_is_that_of_the_method_that_decides() {
    for (gold, answer, correct, tier) in [
        ("0.5", r"\frac{2}{4}", true, Tier::Exact),
        ("1+2i", "1-2i", false, Tier::Exact),
        (r"\infty", r"-\infty", false, Tier::Exact),
        (r"\pi", r"\pi", true, Tier::Canonical),
        (r"x=\frac{\pi}{6}, \frac{\pi}{2}", r"\frac{\pi}{6}, \frac{\pi}{2}", true, Tier::Canonical),
        ("x", "y", false, Tier::Random),
        (r"\sin^2 x+\cos^2 x", "1", true, Tier::Random),
        ("9^{9^9}", "9^{9^9}+1", false, Tier::Random),
        (r"\sqrt2", "1.5", false, Tier::Ball),
        (r"\sqrt2+\sqrt3", r"\sqrt{5+2\sqrt6}", true, Tier::Ball),
        (r"\arctan 1", r"\frac{\pi}{4}", true, Tier::Numeric),
        (r"\frac13", "0.333333", true, Tier::Numeric),
        (r"\text{ellipse}", r"\text{an ellipse}", true, Tier::Text),
        // The last that one of the parts needed.
        (r"(0.5, \sqrt2+\sqrt3)", r"(\frac12, \sqrt{5+2\sqrt6})", true, Tier::Ball),
    ] {
        let verdict = verify(&format!("\\boxed{{{answer}}}"), gold, &Options::default());
        assert_eq!((verdict.is_correct(), verdict.tier), (correct, Some(tier)), "{gold} || {answer}");
    }
}

#[test]
fn numbers_that_are_equal() {
    check(
        r"
        1234 || 1,234
        1234.5 || 1,234.5
        10000 || 10\,000
        10000 || 10{,}000
        10000 || 10 000
        11,\! 111,\! 111,\! 100 || 11111111100
        0.4 || .4
        -16.7 || -\frac{50}{3}
        5 || 5.
        5 || 5.0
        5 || 05
        -5 || - 5
        -5 || −5
        1000000 || 10^6
        5 || \frac{10}{2}
        4.5e33 || 4.5\times10^{33}
        4.5e33 || 4.5 \cdot 10^{33}
        4.5e33 || 4.5 x 10^{33}
        105 || 5 + 10^2
        5 || \text{\$}5
        4.5\times10^{33} || 4500000000000000000000000000000000
        1e-7 || 10^{-7}
        1e-7 || 0.0000001
        3e6 || 3,000,000
        0.333333 || \frac13
        3.141593 || \pi
        0.123456 || 0.1234565
        -\frac13 || -0.333333
        1e4096 || 10^{4096}
        0.5 || \frac{1}{2}
        2 || |{-2}|
        120 || 5!
        10 || \binom{5}{2}
        3 || \lfloor 3.7 \rfloor
        18 || \sum_{i=1}^{3}\sum_{j=1}^{3} j
        4 || \lceil 3.2 \rceil
        \frac{1}{3} || 0.\overline{3}
        \frac{1}{6} || 0.1\overline{6}
        \frac{1}{7} || 0.(142857)
        55 || \sum_{k=1}^{10} k
        120 || \prod_{k=1}^{5} k
        2004! || 2004!
        9^{9^9} || 9^{9^9}
        1.2e-7 || 12e-8
        6.02214076e23 || 6.02214076 \times 10^{23}
        \frac16 || 0.1\overline6
        15 || 5!!
        10^{1/100} || \sqrt[100]{10}
        ",
        true,
    );
}

#[test]
fn numbers_that_differ() {
    check(
        r"
        1234 || 1235
        12 || \sum_{i=1}^{3}\sum_{i=1}^{2} i
        1,234 || 1.234
        0.333333 || \frac{1}{4}
        0.33 || \frac{1}{3}
        720 || 3!!
        10^{1/100} || \sqrt[100]{11}
        1.2e-7 || 4.9e-7
        1e-7 || 4e-7
        \frac{1}{2004!} || \frac{1}{2006!}
        2^{-99} || 2^{-98}
        1.3e-10 || 5.9e-8
        1 || 1e400000000
        1e-3 || 1e3
        9^{9^9} || 1
        9^{9^9} || 9^{9^9}+1
        \frac{\sqrt2}{10^{17}} || \frac{\sqrt3}{10^{17}}
        10^{20} || \sqrt{10^{40}+1}
        10^{200} || \sqrt{10^{400}+1}
        1 || 0.\overline{8}
        2 || -2
        0 || 1
        0 || 10^{-30}
        1 || \frac{1}{0}
        ",
        false,
    );
}

#[test]
fn fractions_and_mixed_numbers() {
    check(
        r"
        \frac12 || \frac{1}{2}
        \frac12 || 1/2
        \frac12 || \dfrac{2}{4}
        \frac12 || \tfrac 12
        -\frac{1}{2} || \frac{-1}{2}
        -\frac{1}{2} || \frac{1}{-2}
        \frac 34 || 0.75
        \frac9{19} || 9/19
        1\frac{4}{5} || \frac95
        1\frac{4}{5} || 1.8
        137 \frac{1}{2} || 137.5
        -1\frac12 || -\frac32
        \frac32 || 1 \frac{1}{2}
        3/2 || 1 1/2
        ½ || 0.5
        1½ || 1.5
        -1./3 || -\frac13
        1 || 2.0\frac12
        \frac54 || 5\frac{1}{2}^2
        ",
        true,
    );
    check(
        r"
        \frac12 || \frac13
        1\frac45 || \frac45
        5.5 || 5 1.0/2
        \frac{27}{106} || \frac{27}{107}
        -\frac12 || \frac12
        ",
        false,
    );
}

#[test]
fn percent_currency_units_degrees() {
    check(
        r"
        28\% || 0.28
        28\% || \frac{7}{25}
        28\% || 28
        28\% || 28 \text{ percent}
        17.5% || 17.5 \%
        17.5% || 0.175
        28.5\% || 28.5
        0.28 || 28\%
        50 || 50\%
        \$18.90 || 18.90
        \$18.90 || \$18.9
        \$32,\!348 || 32348
        5.4 \text{ cents} || 5.4
        15\mbox{ cm}^2 || 15
        15\mbox{ cm}^2 || 15 \text{ square centimeters}
        33.3 \mathrm{~cm} || 33.3
        33.3 \mathrm{~cm} || 33.3 \text{ centimeters}
        20 || 20 \text{ hours}
        20 || 20 hours
        20 || 20\ \mathrm{km/h}
        9.8 || 9.8 \mathrm{~m}/\mathrm{s}^{2}
        864 \mbox{ inches}^2 || 864
        864 \mbox{ inches}^2 || 864\text{ in}^2
        5 || 5\text{ in}
        5 \text{ mph} || 5 \text{ miles per hour}
        5 \text{ square feet} || 5 \text{ ft}^2
        9.8 \text{ m/s}^2 || 9.8 \text{ meters per second squared}
        15 \text{ dollars per hour} || 15 \text{ dollars}
        5 || 5 in.
        5 \text{ minutes} || 5\text{ min}
        5 || 5\text{ sec}
        5 || 5 min
        90^\circ || 90
        90^\circ || 90°
        90^\circ || 90 \text{ degrees}
        90 || 90^{\circ}
        90^\circ || \frac{\pi}{2}
        \frac{1}{2} || \cos 60^\circ
        \frac{270}7\text{ degrees} || \frac{270}{7}
        6 || 6m
        20 || 20 km/h
        9.8 || 9.8 m/s^2
        1.5e8 || 1.5 \times 10^8 m/s
        4 || 4^{\text{th}}
        5.50 || 5.50 dollars per hour
        25 || 25^\circ \mathrm{C}
        ",
        true,
    );
    check(
        r"
        28\% || 0.028
        28\% || 2.8
        110 || 1100\%
        5 \text{ cm} || 5 \text{ m}
        6m || 6
        -9.8 t || -9.8
        5 \text{ min} || 5 \text{ sec}
        5 \text{ mph} || 5 \text{ km/h}
        1 \text{ foo } 30 \text{ minutes} || 1 \text{ bar } 30 \text{ minutes}
        5 \text{ square feet} || 5 \text{ cubic feet}
        \frac{37}{4} m || \frac{37}{4}
        90^\circ || 91
        90 || \frac{\pi}{2}
        \$18.90 || 18.09
        ",
        false,
    );
}

#[test]
fn constants_radicals_functions() {
    check(
        r"
        \sqrt{27} || 3\sqrt{3}
        -3 \sqrt{3} || -\sqrt{27}
        \frac{1}{\sqrt{2}} || \frac{\sqrt2}{2}
        \sqrt{2}+\sqrt{3} || \sqrt{5+2\sqrt6}
        2 || \sqrt[3]{8}
        -2 || \sqrt[3]{-8}
        2 || 8^{1/3}
        \frac{8}{\sqrt[3]{7}} || 8 \cdot 7^{-1/3}
        2\sqrt{113} || 2\sqrt {113}
        3\sqrt2 || 3 * sqrt(2)
        \frac{\pi}{3} || π/3
        \frac{3\pi}{10} || \frac{3}{10}\pi
        \ln 2 || -\ln\frac12
        2\ln 3 || \ln 9
        3\sin 2 || \sin 2\,3
        3 || \log_2 8
        3 || \log_{2}(8)
        2 || \log 100
        \frac{\ln 3}{\ln 2} || \log_2 3
        \frac32 || \log_4 8
        3 || log(8, 2)
        \frac{\sqrt3}{2} || \sin \frac{\pi}{3}
        \frac{\pi}{6} || \arcsin\frac12
        \frac{\pi}{6} || \sin^{-1}\left(\frac12\right)
        -1 || e^{i\pi}
        -1 || i^2
        1+2i || 2i+1
        7i || 7 i
        \frac{4-6 i}{13} || \frac{2(2-3i)}{13}
        e^2 || e \cdot e
        e^2 || \exp(2)
        \frac{1+\sqrt5}{2} || 2\cos 36^\circ
        \sqrt{-4} || 2i
        \ln 2 + i\pi / 3 || i\frac{\pi}{3} + \ln 2
        \frac{100!}{2^{50}} || 100! \cdot 2^{-50}
        ",
        true,
    );
    check(
        r"
        \sqrt{2} || \sqrt{3}
        \pi || e
        1+2i || 1-2i
        \ln 2 || \log 2
        \sin 1 || \cos 1
        2^{1009} || 2^{1010}
        \sqrt2+\sqrt3 || \sqrt{5+2\sqrt{6}+10^{-40}}
        ",
        false,
    );
}

#[test]
fn expressions_in_symbols() {
    check(
        r"
        (a+5)(b+2) || ab+2a+5b+10
        x^2-1 || (x-1)(x+1)
        \frac{1}{x+7} || (x+7)^{-1}
        \frac{x^2-1}{x-1} || x+1
        2^{n+1} || 2\cdot 2^n
        2^{n}-n-1 || -1-n+2^n
        \frac{n(n+1)}{2} || \frac{n^2+n}{2}
        x y^{\frac{4}{3}} || x \sqrt[3]{y^4}
        \sin^2 x + \cos^2 x || 1
        \sin 2x || 2\sin x\cos x
        \cot x || \frac{\cos x}{\sin x}
        \ln(xy) || \ln x + \ln y
        2 e^{-x^{2}} || \frac{2}{e^{x^2}}
        e^{2x} || (e^x)^2
        3^{2x} || 9^x
        (-1)^{n+2} || (-1)^n
        (-1)^{m}(-1)^{n} || (-1)^{m+n}
        (-1)^{n(n+1)} || 1
        i^{4k+1} || i
        \ln x || \log_e x
        \cos 2\theta || \cos^2\theta - \sin^2\theta
        \sin(x+y) || \sin x\cos y+\cos x\sin y
        \cos\left(x-\frac{\pi}{4}\right) || \frac{\cos x+\sin x}{\sqrt2}
        \sin\left(x+\frac{\pi}{3}\right) || \frac12\sin x+\frac{\sqrt3}{2}\cos x
        \cos(\pi-x) || -\cos x
        \tan x || \frac{1-\cos 2x}{\sin 2x}
        \sin\frac{t}{2}\cos\frac{t}{2} || \frac12 \sin t
        \cos(\omega t)^2 || \frac{1+\cos(2\omega t)}{2}
        e^{it} || \cos t+i\sin t
        -\ln |\csc x+\cot x|+C || C - \ln|\cot x + \csc x|
        m_{\max} || m_{max}
        \frac{1}{3} E_{1}+\frac{2}{3} E_{2} || \frac{E_1 + 2E_2}{3}
        \binom{2n}{n} || \frac{(2n)!}{n!\,n!}
        \lambda || \lambda
        \mathrm{T} || T
        \frac{1}{2a}(\exp{a*t} - \exp{-a*t}) || \frac{e^{at}-e^{-at}}{2a}
        f(x+1)+f(1+x) || 2f(x+1)
        15x - 80 || 5(3x-16)
        \frac{x+y}{x y} || \frac1x+\frac1y
        x^{\prime}+x || x + x'
        p - q || -(q-p)
        \sqrt{x^2} || |x|
        0.5x || \frac{x}{2}
        \lfloor\frac{2 n}{3}\rfloor+1 || 1 + \left\lfloor \frac{2n}{3} \right\rfloor
        ",
        true,
    );
    check(
        r"
        x^2-1 || x^2+1
        2^{n}-n-1 || 2^n+n-1
        a || b
        a_1 || a_2
        x^{2} || x^{3}
        \sin x || \cos x
        \sin(n\pi) || 0
        \sin 2x || \sin x\cos x
        \cos(x+y) || \cos x\cos y+\sin x\sin y
        \sin(x^2) || \sin^2 x
        \cos(\pi - x) || \cos x
        \sqrt{x^2} || x
        \frac{1}{m} t || \frac{1}{m}
        e^{2x} || e^{x^2}
        (-1)^{n+1} || (-1)^n
        (-1)^m || (-1)^n
        (-1)^{mn} || 1
        f((-1)^m) || f(1)
        x y || x+y
        f(x) || g(x)
        n! || (n+1)!
        ",
        false,
    );
}

#[test]
fn equations() {
    check(
        r"
        x=5 || 5
        5 || x=5
        5 || x = 5
        x=4 || 4 = x
        x=5 || 2x=10
        y = 2x + 3 || 2x + 3
        y = 2x + 3 || y-2x=3
        y=2x+3 || 2x - y + 3 = 0
        x^2-25=0 || 2x^2-50=0
        5x - 7y + 11z + 4 = 0 || -5x+7y-11z-4=0
        f(x)=2x || 2x
        f(x)=2x || f(x) = x + x
        \frac{x^{2}}{2} - \frac{y^{2}}{4}=1 || 2x^2-y^2=4
        12 || AB = 12
        7 || a+b=7
        7 || p-q=7
        x=\frac13 \approx 0.333 || 0.333
        333.3 || \frac{1000}{3} = 333.3
        \log _{2}(32)=5 || \log_2 32 = 5
        B=C || C=B
        C(h)=4+4h || C(h) = 4h+4
        x=\frac13 || x = \frac13 \approx 0.333
        \frac{dy}{dx}=2x || 2x
        10 || 2+3+5 = 5+5 = 10
        P(X=2)=\frac13 || \frac13
        g^{-1}(x)=\frac{-4 x+8}{5} || \frac{8-4x}{5}
        ",
        true,
    );
    check(
        r"
        x=5 || x=6
        x=5 || y=5
        \frac{dy}{dx}=2x || x=5
        x^2+50=0 || x^2+50=1
        x^2-2x+10=0 || x^2-2x+10=2
        y=2x+3 || y=2x+4
        y=x^2 || y=x^2=7
        I=-200 \sin 30 t || I=-200 \cos 30 t
        f(x)=2x || f(x)=-2x
        x=5 || 6
        x^2=4 || x=2
        3x+4y+14=0 || 3x-y+13=0
        B=C || B=D
        ",
        false,
    );
}

#[test]
fn absolute_values_between_bounds() {
    check(
        r"
        1\le|z|\le\frac32 || z\in[-\frac32,-1]\cup[1,\frac32]
        1\le|z|\le\frac32 || [1,\frac32]\cup[-\frac32,-1]
        1\le|z|\le\frac32 || \frac32\ge|z|\ge1
        ",
        true,
    );
    check(
        r"
        1\le|z|\le\frac32 || z\in[1,\frac32]
        1\le|z|\le\frac32 || z\in[-\frac32,\frac32]
        1\le|z|\le\frac32 || z\in(-\frac32,-1]\cup[1,\frac32]
        ",
        false,
    );
}

#[test]
fn inequalities_and_intervals() {
    check(
        r"
        k \geqslant 2 || 2 \leq k
        k \ge 2 || k \geq 2
        k \ge 2 || [2, \infty)
        (2,\infty) || x > 2
        1<x\le2 || (1,2]
        1<x\le2 || 2\ge x>1
        x>0 || 2x>0
        -x<0 || x>0
        (-\infty,-2) \cup(-2,2) \cup(2, \infty) || (2,\infty)\cup(-\infty,-2)\cup(-2,2)
        (-\infty, 2) \cup (3, \infty) || x<2 \text{ or } x>3
        (0,9) \cup (9,36) || x \in (0,9) \cup (9,36)
        x \in [-2,7] || [-2,7]
        [-2,7] || \{x \mid -2 \le x \le 7\}
        (1,3) || \{x : 1 < x < 3\}
        (-\infty,\infty) || \mathbb{R}
        \mathbb{R}\setminus\{3\} || (-\infty,3)\cup(3,\infty)
        (-\infty,3)\cup(3,\infty) || x \ne 3
        (0,2] || (0,1] \cup (1,2]
        (-\infty, 0) \cup\{1\} || \{1\} \cup (-\infty,0)
        \emptyset || \varnothing
        \emptyset || \{\}
        \emptyset || \text{no solution}
        (1,2) || \left(1,2\right)
        ]1,2[ || (1,2)
        [0,\infty) || [0,+\infty)
        [0,\infty] || [0,\infty)
        (0,1) || (0,3)\cap(-1,1)
        x \le 5 || x⩽5
        x<1 \text{ or } x>3 || x<1 \text{ or } x>3 \text{ and } x>3
        x<1, y>3 || x<1 \text{ and } y>3
        (1,2) || [1,3]\cap(1,2)
        [0,3) \cup (3,\infty) || x \ge 0, x \ne 3
        [0,3) \cup (3,\infty) || x \ge 0 \text{ and } x \ne 3
        (-\infty,1)\cup(3,\infty) || x<1, x>3
        (-\infty,\infty) || \text{all real numbers}
        \text{No solution} || \emptyset
        A \cup B \cup C || C \cup (A \cup B)
        A \setminus B || A \backslash B
        \{x \in \mathbb{R} : x > 2\} || (2,\infty)
        x \ge 2 || x \text{ is at least } 2
        x \ge 2 || x \text{ is not less than } 2
        x \le 2 || x \text{ is at most } 2
        x \le 2 || x \text{ is no more than } 2
        x > 2 || x \text{ is greater than } 2
        x < 2 || x \text{ is less than } 2
        x \in (1,2) || 1 < x < 2
        [0,2] || [0,1] \cup [1,2]
        \left[10^{2.6}, 10^{4.1}\right] || [10^{2.6},10^{4.1}]
        (-\sqrt{11},-2)\cup (\sqrt{11},9) || (\sqrt{11},9) \cup (-\sqrt{11},-2)
        ",
        true,
    );
    check(
        r"
        k \ge 2 || k > 2
        k \ge 2 || k \le 2
        k \ge 2 || k \ge 4
        (1,2) || [1,2]
        [2,3) || (2,3)
        (-1,0) \cup (1,\infty) || (-1,0) \cap (1,\infty)
        (-\sqrt{11},-2)\cup (\sqrt{11},9) || (-\sqrt{11}, -2)
        (-\infty,-3) || (-\infty,-3]
        (0,1) || (0,1) \cup (2,3)
        x>2 || x<2
        1<x<2 || 1<x<3
        \emptyset || \{0\}
        A \setminus B || B \setminus A
        A \cup B || A \cap B
        ",
        false,
    );
}

#[test]
fn an_inequality_for_an_interval_is_not_one_for_an_inequality() {
    let options = Options { profile: Profile::MathVerify, ..Options::default() };
    for (gold, expected) in [(r"x<2 \text{ or } x>3", true), (r"(-\infty,2)\cup(3,\infty)", false)] {
        let verdict = verify(r"\boxed{x>3 \text{ or } x<2}", gold, &options);
        assert_eq!(verdict.is_correct(), expected, "{gold}");
    }
}

#[test]
fn lists_sets_and_tuples() {
    check(
        r"
        3, 5, 7 || 7,5,3
        1, 2 || \{1\} \cup \{2\}
        5, 6 || 5 \tag{1}, 6
        \frac12 || \frac12 \text{ or } 0.5 \text{ and } 0.5
        5 || 2 + 3 \text{ (or } 5)
        1,-2 || \{1,-2\}
        \{1,3,5\} || 1, 3, 5
        -3,9 || 9 \text{ and } -3
        5,15 || 5 \text{ or } 15
        1,3,5 || 1, 3, \text{ and } 5
        1,3,5 || 1, 3 and 5
        x=-1,3 || x=-1 \text{ or } x=3
        x=-1,3 || x=3, x=-1
        -3,9 || x=-3, x=9
        1 \pm \sqrt{19} || 1+\sqrt{19}, 1-\sqrt{19}
        1 \pm \sqrt{19} || 1 \pm \sqrt{19}
        \{1\pm\sqrt{5},-2\} || \{-2, 1-\sqrt5, 1+\sqrt5\}
        3 \pm 2\sqrt2 || x = 3 \pm 2\sqrt2
        \pm 2 || 2, -2
        (1,2,3) || \left( 1, 2, 3 \right)
        (3,\frac{\pi}{2}) || \left(3, \frac{\pi}{2}\right)
        (2,-2) || (x,y)=(2,-2)
        (2,-2) || x=2, y=-2
        (1,2) || 1,2
        (-6,6),(2,6) || (2,6),(-6,6)
        (-6,6)$, $(2,6) || (2,6) \text{ and } (-6,6)
        \{-2\} || -2
        x=-2 || \{-2\}
        1,234 || 1, 234
        (1,2,3) || \langle 1,2,3\rangle
        (2,251,252) || (2, 251, 252)
        3:4 || 6:8
        3:4 || \frac34
        \{1,2\} || \{2,1,1\}
        f(n)=n, g(n)=1 || g(n)=1, f(n)=n
        (x,y)=(1,2) || y=2, x=1
        y=2, x=1 || (x,y)=(1,2)
        x=1, y=2 || (y,x)=(2,1)
        ",
        true,
    );
    check(
        r"
        3,5,7 || 3,5
        3,5 || 3,5,7
        \{1,3,5\} || \{1,-3,5\}
        (1,2) || (2,1)
        (1,2) || 2,1
        (7/12,7/12,7/12) || (7/12,7/12)
        (-6,6),(2,6) || (-6,6)
        1,3 || 1
        x=-1,3 || x=1,3
        3:4 || 4:3
        (2x,2y) || (2y,2x)
        1 \pm \sqrt{19} || 1+\sqrt{19}
        \{1,1,2\} || \{1,3\}
        (2,-2) || x=-2, y=2
        x=1,2 || y=1,2
        (x,y)=(1,2) || y=1, x=2
        y=2, x=1 || (x,y)=(2,1)
        ",
        false,
    );
}

#[test]
fn matrices_and_vectors() {
    check(
        r"
        \begin{pmatrix} -1 & 0 \\ 0 & -1 \end{pmatrix} || \begin{bmatrix}-1&0\\0&-1\end{bmatrix}
        \left[\begin{array}{rr}-71 & 168 \\ -112 & 265\end{array}\right] || \begin{pmatrix}-71&168\\-112&265\end{pmatrix}
        \begin{pmatrix} 1/5 \\ -18/5 \end{pmatrix} || \begin{pmatrix} \frac15 \\ -\frac{18}{5} \end{pmatrix}
        \begin{pmatrix} 1 \\ 2 \end{pmatrix} || (1,2)
        (1,2,3) || \begin{pmatrix} 1 \\ 2 \\ 3 \end{pmatrix}
        \begin{pmatrix} 1 \\ 2 \end{pmatrix} || A = \begin{pmatrix} 1 \\ 2 \end{pmatrix}
        \begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix} || [[1,2],[3,4]]
        \begin{pmatrix} 2 \\ 4 \end{pmatrix} || 2\begin{pmatrix} 1 \\ 2 \end{pmatrix}
        -2 || \begin{vmatrix} 1 & 2 \\ 3 & 4 \end{vmatrix}
        -3 || \begin{vmatrix} 1 & 2 & 3 \\ 4 & 5 & 6 \\ 7 & 8 & 10 \end{vmatrix}
        ",
        true,
    );
    check(
        r"
        \begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix} || \begin{pmatrix} 1 & 3 \\ 2 & 4 \end{pmatrix}
        \begin{pmatrix} 1 \\ 2 \end{pmatrix} || \begin{pmatrix} 1 \\ 2 \\ 3 \end{pmatrix}
        \begin{pmatrix} 1 \\ 2 \end{pmatrix} || \begin{pmatrix} 1 & 2 \end{pmatrix}
        \begin{pmatrix}19&22\\43&50\end{pmatrix} || \begin{pmatrix}5&6\\7&8\end{pmatrix}\begin{pmatrix}1&2\\3&4\end{pmatrix}
        \begin{pmatrix}5&12\\21&32\end{pmatrix} || \begin{pmatrix}1&2\\3&4\end{pmatrix}\begin{pmatrix}5&6\\7&8\end{pmatrix}
        ",
        false,
    );
}

#[test]
fn bases_choices_and_words() {
    check(
        r"
        2516_8 || 2516_{8}
        2516_8 || 2516
        101_2 || 5
        101 || 101_2
        4210_{5} || 4210_5
        4210_{5} || 4210\text{ base }5
        4210_{5} || 4210_{\text{base }5}
        \text{(B)} || B
        C || \text{(C)}
        C || \textbf{C}
        C || (C)
        C || \textbf{(C)}\ 42
        \text{(C)} || C
        \text{Evelyn} || Evelyn
        \text{even} || \text{Even}
        Yes || \text{yes.}
        No Solution || \text{no solution}
        diverges || \text{diverges.}
        \text{ellipse} || \mathrm{ellipse}
        \text{ellipse} || \text{an ellipse}
        \text{A, C} || \text{C, A}
        A, C || \text{A and C}
        ",
        true,
    );
    check(
        r"
        101_2 || 101_3
        4210_{5} || 4210\text{ base }6
        C || \text{(B)}
        C || D
        Yes || \text{No}
        diverges || \text{converges}
        No Solution || x=0
        \text{even} || \text{odd}
        \text{even} || 2
        ",
        false,
    );
}

#[test]
fn other_spellings_of_a_value() {
    check(
        r"
        42 || \color{red}{42}
        42 || {\textcolor{blue}{42}}
        42 || \underline{42}
        -42 || \text{-}42
        -1 || \text{The answer is }-1
        1234567 || 1\:234\:567
        1234567 || 1'234'567
        4.5e33 || 4.5 × 10³³
        \frac12 || 1\over 2
        \frac12 || \nicefrac{1}{2}
        12.5\% || 12\frac12\%
        33\frac13\% || \frac13
        22\frac12^\circ || 22.5
        \sqrt[3]{2} || ∛2
        e^2 || \mathrm{e}^2
        1+i || \mathrm{i}+1
        5 || \max\{3,5\}
        \frac79 || \frac79 \approx 0.778
        0.778 || \frac79 \approx 0.778
        1500000 || 1.5 \text{ million}
        203_5 || 203_{\text{five}}
        (-\infty,\infty) || \mathbb R
        (-\infty,0)\cup(0,\infty) || \mathbb{R}-\{0\}
        [0,1]\cup[2,3] || [0,1] U [2,3]
        x\ne 2 || x \in \mathbb{R}, x\neq 2
        (3,-2) || P(3,-2)
        \begin{pmatrix}1&2\\3&4\end{pmatrix} || \begin{pmatrix}1&2\\[4pt]3&4\end{pmatrix}
        12\text{ cm}^2 || 12\,\mathrm{cm^2}
        12\text{ cm}^2 || 12 square cm
        5 || 5\,\frac{\text{m}}{\text{s}}
        5 || 5\ \mathrm{m\,s^{-1}}
        A || \text{Option A}
        \text{east} || \displaystyle \text{east}
        I(0) e^{-t} || e^{-t} I(0)
        \frac35 || \tanh(\ln 2)
        3 || 3 \text{ times}
        5 || 5 \text{ more students}
        5 || 5 \text{ years less}
        5 || 5 \text{ more than Tom}
        0 || e^{i\pi}+1
        0 || \ln 2+\ln 3-\ln 6
        -(\arctan 1-\frac\pi4) || 0
        ",
        true,
    );
}

#[test]
fn words_and_signs_that_make_another_value() {
    check(
        r"
        5 || \text{at least }5
        5 || \text{half of } 5
        5 || 5 \text{ or more}
        5 || 5 \text{ squared}
        5 || 5 \text{ million}
        5 || 5\text{ thousand}
        5 || 6=5
        5 || 7\approx 5
        x>2 || y>2
        x \in [-2,7] || y \in [-2,7]
        \emptyset || \{\emptyset\}
        15\text{ cm}^2 || 15\text{ cm}^3
        5 || A5
        I(0) e^{-t} || I(0) e^{-2t}
        I(0) || -I(0)
        5 || 5+\frac{0}{\sqrt2\sqrt2-2}
        ",
        false,
    );
}

#[test]
fn congruences_and_digits_beyond_nine() {
    check(
        r"
        5 \pmod 7 || 5
        5 || 5 \pmod{7}
        5 \pmod 7 || 5 (mod 7)
        5 \pmod 7 || 12 \pmod 7
        5 \pmod 7 || -2 \pmod 7
        x \equiv 5 \pmod 7 || 5
        2 || 17 \bmod 5
        31 || 1F_{16}
        171 || AB_{16}
        A B || AB
        AB_1 || AB_{1}
        11 || 8+(11)_2
        \frac34 || \text{three quarters}
        (-\infty,0) || \text{negative real numbers}
        10 || C_5^2
        C(5,2) || C_5^2
        -\begin{pmatrix}1&2\\3&4\end{pmatrix} || \begin{pmatrix}-1&-2\\-3&-4\end{pmatrix}
        \begin{pmatrix}2&3\\4&5\end{pmatrix} || \begin{pmatrix}1&2\\3&4\end{pmatrix}+\begin{pmatrix}1&1\\1&1\end{pmatrix}
        \begin{pmatrix}19&22\\43&50\end{pmatrix} || \begin{pmatrix}1&2\\3&4\end{pmatrix}\begin{pmatrix}5&6\\7&8\end{pmatrix}
        \begin{pmatrix}38&44\\86&100\end{pmatrix} || 2\begin{pmatrix}1&2\\3&4\end{pmatrix}\begin{pmatrix}5&6\\7&8\end{pmatrix}
        \begin{pmatrix}5\\11\end{pmatrix} || \begin{pmatrix}1&2\\3&4\end{pmatrix}\begin{pmatrix}1\\2\end{pmatrix}
        \{1,2\} || \lbrace 1,2 \rbrace
        \frac{mk}{2} || \frac{km}{2}
        \emptyset || \text{There is no solution}
        \emptyset || \text{We have no solutions}
        parabola || \text{The graph of f is a parabola}
        A1=5 || 5
        \max(a,b)=5 || 5
        y=2t || y(t)=2t
        30000000 || 3\text{千万}
        x^{2305843009213693952} || x^{1152921504606846976} \cdot x^{1152921504606846976}
        ",
        true,
    );
    check(
        r"
        5 \pmod 7 || 5 \pmod 8
        5 \pmod 7 || 12
        x \equiv 5 \pmod 7 || y \equiv 5 \pmod 7
        x \equiv 5 \pmod 7 || x \equiv 5 \pmod 8
        17 || 17 \bmod 5
        1E_{16} || 1F_{16}
        1F || 1F_{16}
        10 || A_{12}
        y || y = x
        [1,2) || [1,3]\cap(1,2)
        ",
        false,
    );
}

#[test]
fn what_an_ellipsis_stands_for() {
    check(
        r"
        \frac13 || 0.333...
        \frac16 || 0.1666\ldots
        1 || 0.999...
        \pi || 3.141592653...
        1,2,3,4,5 || 1,2,\ldots,5
        1,3,5,7,9 || 1,3,\dots,9
        2,4,6,8,10 || 10,8,...,2
        \{1,2,3,4,5,6\} || \{1,2,3,\ldots,6\}
        (1,2,3,4,5) || (1,2,\ldots,5)
        4,8,12,\ldots || 4,8,12,16,\ldots
        \frac{n(n+1)(2n+1)}{6} || 1+2^2+3^2+\cdots+n^2
        ",
        true,
    );
    check(
        r"
        \frac13 || 0.666...
        \pi || 3.14159...
        1,2,5 || 1,2,\ldots,5
        4,8,12,\ldots || 4,8,\ldots
        1,3,5,7,9 || 1,3,\ldots,10
        1,4,9,16 || 1,4,\ldots,16
        (5,4,3,2,1) || (1,2,\ldots,5)
        ",
        false,
    );
}

#[test]
fn families_with_an_index() {
    check(
        r"
        k\pi, k \in \mathbb{Z} || n\pi, n \in \mathbb{Z}
        n\pi, n \in \mathbb{Z} || x = k\pi, k \in \mathbb{Z}
        x = k\pi, k \in \mathbb{Z} || x = k\pi
        \{2n : n \in \mathbb{Z}\} || \{2k : k \in \mathbb{Z}\}
        \{2n : n \in \mathbb{Z}\} || \{x : x = 2k, k \in \mathbb{Z}\}
        x=2k, x=2k+1, k \in \mathbb{Z} || x=k, k \in \mathbb{Z}
        x=2k, x=2k+1, k \in \mathbb{Z} || x=k+5, k \in \mathbb{Z}
        (t, 2t+1) || (s, 2s+1), s \in \mathbb{R}
        x \equiv 1 \pmod 4 || x=4k+1, k \in \mathbb{Z}
        k\pi, k \in \mathbb{Z} || k\pi, k \text{ is an integer}
        ",
        true,
    );
    check(
        r"
        n\pi, n \in \mathbb{Z} || 2k\pi, k \in \mathbb{Z}
        \{2n : n \in \mathbb{Z}\} || \{2k : k \in \mathbb{N}\}
        an\pi, n \in \mathbb{Z} || ka\pi, a \in \mathbb{Z}
        x=2k, y=2k+1, k \in \mathbb{Z} || k, k \in \mathbb{Z}
        k\pi, k \in \mathbb{Z} || k\pi, k \text{ is even}
        ",
        false,
    );
}

#[test]
fn values_in_words() {
    check(
        r"
        5 || \text{five}
        Two || 2
        25 || \text{twenty-five}
        2i || 2 \operatorname{cis} 90^\circ
        7 || 7^{th}
        100 || 100^{\circ}C
        2, 3 || \text{Both } 2 \text{ and } 3
        3 || \lim_{x\to 0} f(x) = 3
        \frac{x^2}{2}+C || \int x\,dx = \frac{x^2}{2}+C
        (1,2) || \begin{cases} x=1 \\ y=2 \end{cases}
        \mathbb{R} \setminus \{1\} || \text{all real numbers except } 1
        x \ne \frac12 || \text{All real numbers except } \frac{1}{2}
        5 || \text{Total: }5
        5 || Total cost: 5
        Area: 5 || 5
        5:30 \text{ PM} || 5:30 PM
        5:30 || 5:30 p.m.
        3MA || 3AM
        x > 5 || > 5
        [5,\infty) || \ge 5
        ",
        true,
    );
    check(
        r"
        6 || \text{five}
        4 || \lim_{x\to 0} f(x) = 3
        \lim_{x\to 0} f(x) = 3 || 4
        (2,1) || \begin{cases} x=1 \\ y=2 \end{cases}
        x^{th} || x
        1 || \text{one half}
        5 || \text{not five}
        5 || \text{At least: }5
        \text{Area: }5 || \text{Perimeter: }5
        5:30 \text{ PM} || 5:30 AM
        5 || > 5
        x < 5 || > 5
        (5,\infty) || \ge 5
        \mathbb{R} || \text{all real numbers except } 1
        ",
        false,
    );
}

#[test]
fn conditions_behind_a_value() {
    check(
        r"
        f(x)=2x || f(x)=2x \text{ for all } x
        f(x)=2x || f(x)=2x \text{ for all real numbers } x
        f(x)=2x || f(x)=2x, \forall x \in \mathbb{R}
        f(n)=2n || f(n)=2n \text{ for every positive integer } n
        f(x)=x,f(x)=-x || f(x)=x \text{ for all }x \text{ or } f(x)=-x \text{ for all }x
        k\pi, k \in \mathbb{Z} || k\pi \text{ where } k \in \mathbb{Z}
        k\pi, k \in \mathbb{Z} || x = k\pi \quad (k \in \mathbb{Z})
        k\pi, k \in \mathbb{Z} || k\pi \text{ for any integer } k
        k\pi, k \in \mathbb{Z} || k\pi, \text{ where } k \text{ is an integer}
        \frac{\pi}{4}+k\pi || \frac{\pi}{4}+k\pi, k \in \mathbb{Z}
        x=\frac{\pi}{6}+\pi k, \frac{\pi}{3}+\pi k || x=\frac{\pi}{3}+k\pi, \frac{\pi}{6}+k\pi, k \in \mathbb{Z}
        ",
        true,
    );
    check(
        r"
        f(x)=2x^2 || f(x)=2x \text{ for all } x
        f(x)=2x || f(x)=2x \text{ for all positive } x
        f(x)=2x || f(x)=2x \text{ for all } x > 0
        f(x)=2x || f(x)=2x \text{ for all } x \in [0,1]
        10 || 5 \text{ ways to choose } 2
        5x || 5 \text{ for } x
        k\pi || 2k\pi, k \in \mathbb{Z}
        k\pi || n\pi, n \in \mathbb{Z}
        k\pi || k\pi, k \in \mathbb{N}
        ",
        false,
    );
}

#[test]
fn functions_of_pieces() {
    check(
        r"
        |x-100| || |100-x|
        \begin{cases} x & x>0 \\ 0 & x \le 0 \end{cases} || \begin{cases} x & if x>0 \\ 0 & if x \le 0 \end{cases}
        \sqrt{(x-100)^2} || |x-100|
        \lceil x\rceil || -\lfloor -x\rfloor
        \lfloor x\rfloor+\lfloor x+\frac12\rfloor || \lfloor 2x\rfloor
        \lfloor\log_2 n\rfloor || \left\lfloor\frac{\ln n}{\ln 2}\right\rfloor
        (x-5)^{1/3} || \sqrt[3]{x-5}
        \begin{cases} 1 & x>0 \text{ and } x<2 \\ 0 & \text{else} \end{cases} || \begin{cases} 0 & \text{else} \\ 1 & x>0 \text{ and } x<2 \end{cases}
        \begin{cases} 1 & n \text{ is even} \\ 0 & n \text{ is odd} \end{cases} || \begin{cases} 0 & n \text{ odd} \\ 1 & n \text{ even} \end{cases}
        ",
        true,
    );
    check(
        r"
        |x-100| || 100-x
        \sqrt{(x-100)^2} || 100-x
        \max(x,50) || 50
        \lfloor\frac{2n-1}{5}\rfloor || \lfloor\frac{2n}{5}\rfloor
        \lfloor n/100\rfloor || 0
        \lfloor n/100\rfloor || \lfloor (n-1)/100\rfloor
        mn-\lfloor m/20\rfloor || mn-\lfloor (m-1)/20\rfloor
        \sqrt[3]{x-1} || (1-x)^{1/3}
        x^{2/5} || ix^{2/5}
        \begin{cases} 1 & x<0 \text{ or } x>2 \\ 0 & \text{else} \end{cases} || \begin{cases} 0 & \text{else} \\ 1 & x<0 \text{ and } x>2 \end{cases}
        \begin{cases} 1 & n \text{ is even} \\ 0 & n \text{ is odd} \end{cases} || \begin{cases} 0 & n \text{ even} \\ 1 & n \text{ odd} \end{cases}
        \begin{cases} 1 & x>0 \\ 0 & x \le 0 \end{cases} || \begin{cases} 1 & x>0 \\ 0 & x < -1 \end{cases}
        \begin{cases} x & x>0 \\ 0 & x \le 0 \end{cases} || x
        x || 4e^{i\pi/3}
        ",
        false,
    );
}

#[test]
fn names_of_values() {
    check(
        r"
        f(x)=2x || f(t)=2t
        x=1,x=2 || x_1=2,x_2=1
        x=1,x=2 || 2,1
        x=1,y=2 || y=2,x=1
        x=1,y=2 || 1,2
        x_1=1,x_2=2 || 2,1
        f(n)=n,g(n)=1 || n,1
        (1,2),(3,4) || (x,y) \in \{(3,4),(1,2)\}
        \frac12 || P(A \mid B)=\frac12
        P(A|B)=\frac12 || \frac12
        m_{\max}=n+1 || m_{\text{max}}=n+1
        3 || \text{min}=3
        MR=MC || \text{MR}=\mathrm{MC}
        ",
        true,
    );
    check(
        r"
        f(x)=2x || f(t)=2x
        f(x)=2x || g(t)=2t
        x=1,x=2 || x=1,y=2
        x=1,y=2 || 2,1
        x_1=1,x_2=2 || x_1=2,x_2=1
        f(n)=n,g(n)=1 || 1,n
        f(x)=x,f(x)=-x || f(y)=x,f(x)=-x
        (1,2),(3,4) || (x,y) \in \{(3,4)\}
        P(A|B)=\frac12 || P(B|A)=\frac12
        ",
        false,
    );
}

#[test]
fn deep_nesting_fits_the_stack_of_a_thread() {
    let deep = |open: &str, close: &str, levels: usize| {
        format!("\\boxed{{{}2{}}}", open.repeat(levels), close.repeat(levels))
    };
    for (open, close) in [
        ("\\frac{1}{", "}"),
        ("\\sqrt{", "}"),
        ("(1+", ")"),
        ("\\sin(", ")"),
        ("|1+|", "||"),
        ("-(", ")"),
        ("1-{", "}"),
        ("f(", ")"),
        ("[", "]"),
        ("\\{", "\\}"),
        ("\\log_{", "}2"),
        ("\\begin{pmatrix}", "\\end{pmatrix}"),
        ("\\sum_{i=1}^{", "}i"),
    ] {
        let texts = [38, 300].map(|levels| deep(open, close, levels));
        let verdicts = std::thread::Builder::new()
            .stack_size(2 << 20)
            .spawn(move || texts.map(|text| verify(&text, "17", &Options::default())))
            .unwrap()
            .join()
            .unwrap();
        assert!(verdicts.iter().all(|verdict| verdict.status != Status::Correct), "{open}");
    }
    // What a person would still write down.
    assert!(verify(&deep("(1+", ")", 30), "32", &Options::default()).is_correct());
    assert!(verify(&deep("\\frac{1}{1+", "}", 15), "1364/2207", &Options::default()).is_correct());
}

#[test]
fn words_that_leave_a_value_as_it_is() {
    check(
        r"
        5 || 5 \text{ apples}
        12 || 12 \text{ red marbles}
        5 || \text{John has } 5
        5 || \text{a total of } 5
        5 || \text{exactly } 5 \text{ ways}
        5 || 5 \text{ times}
        100 || 100 \text{ more than before}
        -5 || \text{negative } 5
        -5 || \text{negative five}
        60 || 5 \text{ dozen}
        5.5 || 5 \text{ and a half}
        \text{two-thirds} || \frac23
        7, 4 || 7 \text{ goats and } 4 \text{ ducks}
        \frac12 || \frac12 \text{ (or } 0.5)
        3 || 3页
        \text{January 5, 2020} || \text{5th of Jan 2020}
        ",
        true,
    );
}

#[test]
fn words_that_make_another_value_or_none() {
    check(
        r"
        5 || 5 \text{ at most}
        5 || 5 \text{ or fewer}
        5 || \text{more than } 5
        5 || \text{up to } 5
        5 || \text{almost } 5
        5 || \text{log of } 5
        5 || \text{the square of } 5
        5 || \text{half of } 5
        5 || 5 \text{ minus one}
        5 || 5 \text{ point two}
        5 || 5 \text{ dozen}
        5 || 5 \text{ and a half}
        5 || 5 \text{ is incorrect}
        5 || 5 \text{ is not the answer}
        5 || 5 \text{ if } x>0
        5 || \text{maybe } 5
        5 || 5 \text{ or } 6
        \frac12 || \frac12 \text{ (or } 0.6)
        yes || \text{yes or no}
        yes || \text{yes, surely no}
        no || \text{no, yes}
        A || (A)(B)(C)(D)
        A || \text{(A) or (B)}
        A || \text{(A) 5 (B) 6 (C) 7}
        25^\circ\text{C} || 25^\circ\text{F}
        1 || 1/A
        ",
        false,
    );
}

#[test]
fn times_of_day() {
    check(
        r"
        17:30 || 5:30 \text{ p.m.}
        5:30 \text{ PM} || 17:30
        3:15 || 3:15 \text{ pm}
        5:00 \text{ PM} || 5 \text{ PM}
        3:5 || 30:50
        ",
        true,
    );
    check(
        r"
        12:00 || 1:00
        4:30 || 2:15
        2:15 || \frac{2}{15}
        12:30 || 0.4
        3:15 \text{ pm} || 3:15 \text{ am}
        1:2:3 || 0:0:0
        ",
        false,
    );
}

#[test]
fn what_is_empty_and_what_is_not() {
    check(
        r"
        \text{No solution} || \text{The equation has no real solutions.}
        x \ne \pm 5 || \mathbb{R} \setminus \{5, -5\}
        ",
        true,
    );
    check(
        r"
        (6,5) || \emptyset
        \text{No solution} || (2,1)
        (16,3),(-6,-8) || \text{no solution}
        x \ne \pm 5 || \mathbb{R}
        (1,2) || 1 \text{ or } 2
        1 || 1=1
        5 || 5+\ln 0-\ln 0
        ",
        false,
    );
}

#[test]
fn free_constants_and_names() {
    check(
        r"
        x^2+C || x^2+c
        \frac12 x^2+x+C || \frac12(x+1)^2+C
        \sin^2x+C || -\frac12\cos 2x+C
        y=Ce^{x} || y=Ae^x
        y=c_1e^x+c_2e^{-x} || y=C_1e^{x}+C_2e^{-x}
        P(x)=x^2+1 || P(t)=t^2+1
        f(x)=2x || y=2x
        f(x)=2x || f: x \mapsto 2x
        xy=6 || y=\frac{6}{x}
        |AB|=1 || 1
        AB:CD=1:2 || 1:2
        5\sqrt2\approx7.07 || 7.07
        5\sqrt2\approx7.07 || 5\sqrt2
        ABD || B, A, D
        ",
        true,
    );
    check(
        r"
        x^2+C || x^2+5
        x^2+C || x^3+C
        y=Ce^x || y=2e^x
        A+C || A+B
        A+C || A+3+C
        5+C || 7+C
        x^2+y^2=1 || 1
        ABD || A, B, C
        ",
        false,
    );
}

#[test]
fn a_decimal_gold_is_met_by_what_rounds_to_it() {
    check(
        r"
        16.7 || \frac{50}{3}
        30.52 || \frac{1587}{52}
        6.67\% || \frac{1}{15}
        3.14 || \pi
        ",
        true,
    );
    check(
        r"
        0.33 || \frac13
        16.7 || 16.67
        3.14 || 3.1416
        12.50 || \frac{1254}{100}
        ",
        false,
    );
}

#[test]
fn other_layouts() {
    check(
        r"
        (1,2) || \begin{aligned}x&=1\\y&=2\end{aligned}
        5 || \begin{aligned} x &= 2+3 \\ &= 5 \end{aligned}
        (1,2) || \left\{\begin{array}{l}x=1\\y=2\end{array}\right.
        5 || \begin{array}{c}5\end{array}
        5 || 5 \tag{1}
        5 || 5\checkmark
        \tfrac23 || \\dfrac{2}{3}
        (-3,3) || |x|<3
        (-\infty,-3)\cup(3,\infty) || |x|>3
        (0,\infty) || \mathbb{R}^+
        [0,\infty) || \text{all nonnegative real numbers}
        (1,2,3) || \mathbf{i}+2\mathbf{j}+3\mathbf{k}
        \begin{pmatrix}1\\2\end{pmatrix} || \begin{pmatrix}1&2\end{pmatrix}^T
        30.25^\circ || 30^\circ 15'
        3:4 || 3 \text{ to } 4
        10 \Omega || 10 \text{ ohms}
        9.8 \text{ m/s}^2 || 9.8 \text{ m} \cdot \text{s}^{-2}
        \angle ABC || \angle{CBA}
        \triangle ABC || \triangle{ABC}
        9.8 \mathrm{~m/s^2} || 9.8 \, \text{m}\cdot\text{s}^{-2}
        9.8 \mathrm{m/s^2} || 9.8
        -285.8 \text{ kJ/mol} || -285.8\ \mathrm{kJ\,mol^{-1}}
        \mathrm{x^2} || x^2
        0.\dot{1}\dot{8} || \frac{2}{11}
        \begin{pmatrix}1&2\\3&4\end{pmatrix} || \begin{aligned} A&=\begin{pmatrix}1&2\\3&4\end{pmatrix} \end{aligned}
        [0,1]\cup[2,3] || [0,1] union [2,3]
        \frac{\sqrt2}{2} || np.sqrt(2)/2
        ",
        true,
    );
}
