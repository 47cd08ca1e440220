//! Notations of science, school and programs, and answers that are taken back. Each line is `gold || answer`.

mod boxed;

use p2o_core::verify::{Options, Status, verify};

use boxed::check;

fn verdict(gold: &str, completion: &str) -> Status {
    verify(completion, gold, &Options::default()).status
}

#[test]
fn units_with_prefixes_and_made_of_others() {
    check(
        r"
        9.8 \text{ m/s}^2 || 9.8 \text{ N/kg}
        4.7\,\mathrm{k\Omega} || 4700\,\Omega
        15\ \mu\text{C} || 1.5\times10^{-5}\text{ C}
        15\text{ μC} || 15\,\mu C
        4.0\times10^{-3}\text{ mol} || 4 \text{ mmol}
        20\text{ N} || 20 \text{ kg}\cdot\text{m/s}^2
        6 \text{ J} || 6 \text{ N}\cdot\text{m}
        12 \text{ V} || 12\text{ W/A}
        1 \text{ kWh} || 3.6\text{ MJ}
        100\text{ cm}^3 || 100\text{ cc}
        50 \text{ Hz} || 0.05 \text{ kilohertz}
        20\% \text{ increase} || 20\%
        15 \text{ dollars per hour} || 15 \text{ dollars}
        ",
        Status::Correct,
    );
    check(
        r"
        2.5 \text{ kJ} || 2.5 \text{ MJ}
        20\text{ N} || 20\text{ kN}
        15\ \mu\text{C} || 15\text{ mC}
        15\ \mu\text{C} || 15\text{ C}
        4.7\,\mathrm{k\Omega} || 4.7\,\mathrm{M\Omega}
        9.8 \text{ m/s}^2 || 9.8 \text{ N}
        £3.20 || 3.20 \text{ pence}
        20\% \text{ increase} || 20\% \text{ decrease}
        5 \text{ kg} || 5 \text{ kg/m}
        5 \text{ m/s} || 5 \text{ m}
        3k || 3kT
        ",
        Status::Wrong,
    );
}

#[test]
fn shares_and_bounds_in_words() {
    check(
        r"
        \frac14 || \text{1 in 4}
        \frac14 || 1 \text{ out of } 4
        \frac14 || \text{1 out of 4}
        \frac23 || \text{two out of three}
        x \ge 5 || \text{at least } 5
        x \ge 5 || x \text{ is at least } 5
        x \ge 5 || \text{all real numbers greater than or equal to } 5
        x < 5 || \text{less than } 5
        (5, \infty) || \text{more than } 5
        [0, \infty) || \mathbb{R}_{\ge 0}
        (-\infty, 0) || \mathbb{R}_{<0}
        28.5\% || 28.5
        ",
        Status::Correct,
    );
    check(
        r"
        17 || \text{17 out of 20}
        5 || \text{at least } 5
        x \ge 5 || \text{more than } 5
        x \ge 5 || 5
        (0, \infty) || \mathbb{R}_{\ge 0}
        \frac14 || \text{4 in 1}
        \frac14 || 0.25\%
        0.25\% || 0.25
        \frac{5}{36} || \frac{5}{36}\%
        ",
        Status::Wrong,
    );
}

#[test]
fn digits_of_programs_and_of_other_countries() {
    check(
        r"
        2A_{16} || \text{0x2A}
        42 || 0x2a
        2A_{16} || (2A)_{16}
        1101_2 || 0b1101
        1101_2 || 1101 \text{ (base 2)}
        2.5 || 2{,}5
        12345 || 12{,}345
        100 || \text{a hundred}
        1000000 || \text{a million}
        \text{reject } H_0 || \text{Reject } H_0
        ",
        Status::Correct,
    );
    check(
        r"
        2A_{16} || 0x2B
        1101_2 || 0b1011
        25 || 2{,}5
        100 || \text{a hundredth}
        101 || \text{a hundred}
        \text{reject } H_0 || \text{do not reject } H_0
        ",
        Status::Wrong,
    );
}

#[test]
fn figures_have_names() {
    check(
        r"
        \angle ABC || \angle CBA
        \angle ABC || \measuredangle ABC
        60^\circ || \angle A = 60^\circ
        60^\circ || m\angle ABC = 60^\circ
        \triangle ABC || △BCA
        \overline{AB} || \overline{BA}
        \triangle ABC \cong \triangle DEF || \triangle ABC\cong\triangle DEF
        ",
        Status::Correct,
    );
    check(
        r"
        \angle ABC || \angle ACB
        \angle ABC || \triangle ABC
        \triangle ABC \cong \triangle DEF || \triangle ABC \cong \triangle EDF
        \overline{AB} || \overline{AC}
        60^\circ || 60'
        60^\circ || 60\'
        ",
        Status::Wrong,
    );
}

#[test]
fn numbers_of_combinations() {
    check(
        r"
        792 || C(12,5)
        792 || C_{12}^5
        792 || {}_{12}C_5
        792 || ^{12}C_{5}
        \binom{12}{5} || C(12, 7)
        C(5,2) || 10
        720 || P(6,6)
        60 || {}_5P_3
        (12,5) || C(12,5)
        ",
        Status::Correct,
    );
    check(
        r"
        792 || C(12,4)
        792 || P(12,5)
        (12,5) || C(12,7)
        0 || C_1^2
        ",
        Status::Wrong,
    );
}

#[test]
fn systems_sequences_and_derivatives() {
    check(
        r"
        \frac{x-1}{2}=\frac{y+1}{3}=\frac{z}{4} || \frac{x-1}{2} = \frac{y+1}{3} = \frac z4
        y=x^2+2x+1 || y=(x+1)^2=x^2+2x+1
        a_n=3\cdot 2^{n-1} || a_k=3\cdot 2^{k-1}
        f^{-1}(x)=\frac{x-3}{2} || y=\frac{x-3}{2}
        f^{-1}(x)=\frac{x-3}{2} || f^{-1}(y)=\frac{y-3}{2}
        \frac{dy}{dx}=2x || y'=2x
        \sum_{n=1}^{\infty}\frac{1}{n^2} || \sum_{k=1}^\infty \frac{1}{k^2}
        \{4,8,12,16,\ldots\} || \{4,8,12,\ldots\}
        ",
        Status::Correct,
    );
    check(
        r"
        \frac{x-1}{2}=\frac{y+1}{3}=\frac{z}{4} || \frac{x+1}{2}=\frac{y-1}{3}=\frac{z}{4}
        x=\frac{y}{2}=\frac{z}{3} || x=\frac{y}{5}=\frac{z}{3}
        a_n=3\cdot 2^{n-1} || S_n=3\cdot 2^{n-1}
        f^{-1}(x)=\frac{x-3}{2} || f(x)=\frac{x-3}{2}
        \frac{dy}{dx}=2x || \frac{dx}{dy}=2x
        \{4,8,12,16\} || \{4,8,12,\ldots\}
        \{4,8,12,\ldots\} || \{8,12,16,\ldots\}
        17 || 17\ldots
        17 || 17?
        17 || 17 \text{ or so}
        17 || 17\text{th}\text{ prime}
        ",
        Status::Wrong,
    );
}

#[test]
fn parts_measures_and_choices() {
    check(
        r"
        (a) 5; (b) 12 || \text{(a) }5,\ \text{(b) }12
        (a) 5; (b) 12 || \text{a) 5  b) 12}
        \text{length } 8, \text{ width } 5 || \text{width}=5, \text{length}=8
        8 || \text{length } 8
        \text{(D) } 36\pi || \text{(D)}\ 36\pi
        \text{(D) } 36\pi || D
        A and C || \text{AC}
        False || F
        \text{True} || T
        \text{infinitely many} || \text{There are infinitely many.}
        \text{infinitely many} || \text{infinitely many solutions}
        \text{March 14, 2021} || \text{Sunday, March 14, 2021}
        \text{Na}^+ || \ce{Na+}
        无解 || \text{no solution}
        ",
        Status::Correct,
    );
    check(
        r"
        (a) 5; (b) 12 || (a) 12; (b) 5
        (a) 5; (b) 12 || 12, 5
        \text{length } 8, \text{ width } 5 || \text{length}=5, \text{width}=8
        \text{(D) } 36\pi || \text{(D) } 35\pi
        A and C || \text{AB}
        False || T
        \text{infinitely many} || \text{finitely many}
        \text{Sunday, March 14, 2021} || \text{Monday, March 14, 2021}
        \text{Na}^+ || \ce{Na-}
        ",
        Status::Wrong,
    );
}

#[test]
fn what_is_taken_back_asked_or_cut_off_is_no_answer() {
    for (completion, paid) in [
        ("\\boxed{\\boxed{7}+1}", false),
        ("\\boxed{\\boxed{7}+0}", true),
        ("\\boxed{7}. Wait, that is wrong. It is 8.", false),
        ("\\boxed{8}. Wait, that's wrong. It is 7.", true),
        ("\\boxed{7} Hmm, I made an arithmetic slip above.", false),
        ("\\boxed{7} I made a table of all cases.", true),
        ("The answer is 7. Oops, it is 8.", false),
        ("The answer is 7. On second thought, 8.", false),
        ("\\boxed{7}\n\nWait, let me check: 3+5-1=7. Yes.", true),
        ("The answer is 7... let me re-check: 3+5=8. So 8.", false),
        ("The answer is 8. Hmm, let me add again. The sum is 7.", true),
        ("<think>The answer is \\boxed{7}", false),
        ("<think>8</think> The answer is 7.", true),
        ("The answer is 7 + ", false),
        ("The answer is 7?", false),
        ("Is the answer 7? No.", false),
        ("If the answer were 7, then we would have a contradiction.", false),
        ("It is not true that the answer is 7.", false),
        ("The answer is either 7 or it is not.", false),
        ("There are 7 apples. I cannot solve it.", false),
        ("There are 7 apples. I know it.", true),
        ("{\"reasoning\": \"6+1\", \"answer\": 7}", true),
        ("{\"answer\": \"\\\\frac{14}{2}\", \"steps\": 3}", true),
        ("{\"answer\": null, \"guess\": [6, 7]}", false),
        ("{\"answer\": 8, \"previous\": 7}", false),
        ("The final answer is:\n\n> 7", true),
    ] {
        assert_eq!(verdict("7", completion) == Status::Correct, paid, "{completion}");
    }
}

#[test]
fn remainders_inches_minutes_and_ordinals() {
    check(
        r#"
        7 R 3 || 7\text{ remainder }3
        7 R 3 || 7 \text{ with a remainder of } 3
        7 \text{ remainder } 3 || 7\text{ R }3
        5'6" || 5\text{ feet }6\text{ inches}
        5'6" || 5.5 \text{ ft}
        48^{\circ} 24^{\prime} || 48.4^\circ
        48^\circ 24^{\prime} 36^{\prime\prime} || 48.41^\circ
        10 || \text{10th}
        10^{th} || \text{10th}
        \text{max } 9, \text{ min } 4 || \text{min } 4, \text{ max } 9
        3 red, 5 blue, 7 green || 5 blue, 3 red, 7 green
        "#,
        Status::Correct,
    );
    check(
        r#"
        7 R 3 || 7\text{ R }4
        7 R 3 || 7
        7 R 3 || 10
        5'6" || 5.6 \text{ ft}
        5'6" || 5\text{ feet}
        48^{\circ} 24^{\prime} || 48.24^\circ
        48^{\circ} 24^{\prime} || 48^\circ 24''
        10 || \text{10th prime}
        10 || \text{30 times itself}
        30 || 30\text{ times itself}
        \text{max } 9, \text{ min } 4 || \text{max } 4, \text{ min } 9
        "#,
        Status::Wrong,
    );
}
