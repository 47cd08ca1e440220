//! Inputs made to hang, crash or fool a verifier. The step limit alone must end them: the deadline is off.

use p2o_core::verify::{Options, Profile, Status, verify};

fn without_deadline(profile: Profile) -> Options {
    Options { profile, deadline: None, ..Options::default() }
}

fn status(answer: &str, gold: &str) -> Status {
    verify(&format!("\\boxed{{{answer}}}"), gold, &without_deadline(Profile::Default)).status
}

fn repeat(open: &str, inner: &str, close: &str, count: usize) -> String {
    format!("{}{inner}{}", open.repeat(count), close.repeat(count))
}

fn joined(numbers: impl Iterator<Item = usize>, item: impl Fn(usize) -> String, separator: &str) -> String {
    numbers.map(item).collect::<Vec<_>>().join(separator)
}

#[test]
fn numbers_too_large_to_write_out() {
    for answer in [
        "9^{9^9}",
        "7^7^7^7",
        "9**9**9**9",
        "10^{10^{10}}",
        "2^{2^{2^{2^{2^{2}}}}}",
        "1e400000000",
        "e^{e^{e^{e^e}}}",
    ] {
        assert_ne!(status(answer, "1"), Status::Correct, "{answer}");
        assert_ne!(status(&format!("{answer}+1"), answer), Status::Correct, "{answer}");
        assert_eq!(status(answer, answer), Status::Correct, "{answer}");
    }
    for answer in ["10000000!", "((20!)!)!", "\\binom{1000000000}{500000000}", "5!!!!!!!!!!!!"] {
        assert_ne!(status(answer, "1"), Status::Correct, "{answer}");
    }
    assert_ne!(status("\\sum_{k=1}^{1000000000} \\frac{1}{k^2}", "1"), Status::Correct);
    assert_eq!(status("10000000!", "1"), Status::Timeout);
}

#[test]
fn towers_of_tiny_and_huge_powers_fit_in_memory() {
    let tower = "2211221.3^ -z!.1^ 221.3^ -z!.1^ -z! !";
    assert_ne!(status("-z!", tower), Status::Correct);
    assert_ne!(status("1+0.1^{10^{9}}", "1"), Status::Correct);
    assert_ne!(status("e^{-e^{20}}+\\pi", "\\pi"), Status::Correct);
    assert_ne!(status("\\sin(e^{-e^{20}})", "0"), Status::Correct);
    assert_ne!(status("\\arctan(0.1^{10^7})+e", "e"), Status::Correct);
}

#[test]
fn values_that_differ_far_behind_the_point() {
    for (gold, answer) in [
        ("\\frac{1}{2004!}", "\\frac{1}{2006!}"),
        ("2^{-99}", "2^{-98}"),
        ("10^{200}", "\\sqrt{10^{400}+1}"),
        ("\\sqrt{2}\\cdot 9^{9^9}", "\\sqrt{2}\\cdot 9^{9^9}+1"),
        ("\\pi", "\\pi+10^{-60}"),
        ("\\sin x", "\\sin x + 10^{-60}"),
        ("x", "x+10^{-500}"),
        ("\\pi", "\\pi+\\frac{1}{10^{50} \\cdot 10^{50}}"),
        ("\\sqrt{x}", "\\sqrt{x}+10^{-90}"),
        ("\\sqrt{x}", "\\sqrt{x}+e^{-500x}"),
        ("\\sqrt{x}", "\\sqrt{x}\\tanh(500x)"),
        ("2305843009213693921", "0"),
        ("2305843009213693921x", "0"),
    ] {
        assert_ne!(status(answer, gold), Status::Correct, "{gold} against {answer}");
    }
}

#[test]
fn deep_nesting() {
    assert_eq!(status(&repeat("{", "7", "}", 2000), "7"), Status::Correct);
    assert_eq!(status(&repeat("(", "7", ")", 500), "7"), Status::Correct);
    for (open, close) in
        [("\\frac{1}{", "}"), ("\\sqrt{", "}"), ("[", "]"), ("|", "|"), ("-(", ")"), ("\\text{", "}")]
    {
        assert_ne!(status(&repeat(open, "2", close, 5000), "17"), Status::Correct, "{open}");
    }
    for chain in ["1/2", "-", "2^2", "x'", "5!", "5°", "5%", "1\\cup 2", "5cm "] {
        assert_ne!(status(&chain.repeat(4000), "17"), Status::Correct, "{chain}");
    }
}

#[test]
fn long_texts() {
    let none = [
        "\\boxed{".repeat(20_000),
        "answer ".repeat(15_000),
        "$".repeat(100_000),
        "a = b + c,".repeat(20_000),
        "(".repeat(60_000),
        "\\begin{pmatrix}".repeat(3000),
        "\\(".repeat(30_000),
    ];
    for profile in [Profile::Default, Profile::MathVerify, Profile::Strict] {
        for text in &none {
            let verdict = verify(text, "17", &without_deadline(profile));
            assert_ne!(verdict.status, Status::Correct, "{text:.20}");
        }
    }
    let digits = "1".repeat(50_000);
    assert_eq!(status(&digits, &digits), Status::Correct);
    assert_eq!(status(&digits, &format!("{}2", &digits[1..])), Status::Wrong);
    assert_eq!(status(&vec!["1"; 3000].join("+"), "3000"), Status::Correct);
    let boxes = "\\boxed{1} then ".repeat(300) + "\\boxed{7}";
    assert_eq!(verify(&boxes, "7", &Options::default()).status, Status::Correct);
}

#[test]
fn long_collections() {
    let plain = |number: usize| number.to_string();
    let radical = |number: usize| format!("\\sqrt{{{number}}}");
    let power = |number: usize| format!("x^{{{number}}}+1");
    let items: [(&str, &dyn Fn(usize) -> String); 3] =
        [("plain", &plain), ("radical", &radical), ("power", &power)];
    for (name, item) in items {
        let forward = joined(2..402, item, ", ");
        let backward = joined((2..402).rev(), item, ",");
        assert_eq!(status(&backward, &forward), Status::Correct, "{name}");
        let other = joined((2..402).map(|number| if number == 300 { 403 } else { number }), item, ",");
        assert_ne!(status(&other, &forward), Status::Correct, "{name}");
    }
    let near = joined(0..500, |_| "0.1234567".into(), ",");
    let off = joined(0..500, |_| "0.1234599".into(), ",");
    assert_ne!(status(&off, &near), Status::Correct);
    let pieces =
        |order: &mut dyn Iterator<Item = usize>| joined(order, |k| format!("({k},{})", k + 1), "\\cup");
    assert_eq!(status(&pieces(&mut (0..120).rev()), &pieces(&mut (0..120))), Status::Correct);
}

#[test]
fn undefined_values_equal_nothing() {
    assert_eq!(status("\\frac{1}{0}", "1"), Status::Wrong);
    assert_eq!(status("\\frac{1}{0}", "\\frac{2}{0}"), Status::Wrong);
    assert_eq!(status("0^0", "1"), Status::Wrong);
    let zero_by_zero = "\\frac{\\sqrt2\\sqrt2-2}{\\sqrt2\\sqrt2-2}";
    assert_eq!(status(zero_by_zero, "1"), Status::Wrong);
    assert_eq!(status("1", zero_by_zero), Status::Wrong);
    assert_eq!(status("\\ln 0", "0"), Status::Wrong);
}

#[test]
fn a_box_longer_than_the_scanned_tail_is_not_searched_for_numbers() {
    for filler in ["\\pm 1+", "1 and ", "(x+1)"] {
        let verdict = verify(&format!("\\boxed{{{}1}}", filler.repeat(20_000)), "1", &Options::default());
        assert_ne!(verdict.status, Status::Correct, "{filler}");
    }
}

#[test]
fn functions_of_tiny_arguments_are_not_called_equal_to_simpler_ones() {
    for (answer, gold) in [
        ("\\sin(10^{-50})", "10^{-50}"),
        ("\\cos(10^{-200})", "1"),
        ("\\arctan(10^{-70000})", "10^{-70000}"),
        ("e^{10^{-70000}}", "1"),
        ("\\tan(\\sqrt2 \\cdot 10^{-60})", "\\sqrt2 \\cdot 10^{-60}"),
        // Short binary fractions, whose cosine and arc tangent look exact.
        (
            "\\cos\\frac{11}{2^{45} \\cdot 2^{45}}",
            "1 - \\frac{121}{2^{45} \\cdot 2^{45} \\cdot 2^{45} \\cdot 2^{46}}",
        ),
        ("\\arctan(3 \\cdot 2^{-239})", "3 \\cdot 2^{-239}"),
        ("\\sin(3 \\cdot 2^{-239})", "3 \\cdot 2^{-239}"),
    ] {
        assert_ne!(status(answer, gold), Status::Correct, "{answer} against {gold}");
        assert_eq!(status(answer, answer), Status::Correct, "{answer}");
    }
    assert_eq!(status("\\sin(10^{-70000})", "2 \\cdot 10^{-70000}"), Status::Wrong);
    assert_eq!(status("\\sin(10^{-20})", "10^{-20}"), Status::Wrong);
    assert_eq!(status("2\\sin(10^{-20})\\cos(10^{-20})", "\\sin(2\\cdot 10^{-20})"), Status::Correct);
}

#[test]
fn powers_of_minus_one_and_of_i_have_no_value_without_their_exponent() {
    for name in ('a'..='z').filter(|name| !"ei".contains(*name)) {
        for (base, values) in [("(-1)", &["1", "-1"][..]), ("i", &["1", "-1", "i", "-i"])] {
            for value in values {
                let answer = format!("{base}^{name}");
                assert_ne!(status(&answer, value), Status::Correct, "{answer} against {value}");
            }
        }
        assert_eq!(status(&format!("(-1)^{{2{name}}}"), "1"), Status::Correct, "{name}");
    }
}

#[test]
fn exponentials_beyond_the_precision_are_not_called_equal() {
    for answer in [
        "\\tanh(1000)",
        "\\tanh(50+50)",
        "1+\\exp(-1000)",
        "1+e^{-15^2}",
        "1+e^{-2^8}",
        "\\frac{\\sinh(400)}{\\cosh(400)}",
    ] {
        assert_ne!(status(answer, "1"), Status::Correct, "{answer}");
    }
    for answer in ["1+e^{-1000}", "1+\\pi^{-1000}"] {
        assert_ne!(status(answer, "1"), Status::Correct, "{answer}");
        assert_ne!(status(&format!("{answer}-1"), "0"), Status::Correct, "{answer}-1");
    }
}

#[test]
fn an_imaginary_argument_makes_an_exponential_of_a_sine_and_of_a_power() {
    for (value, near) in [
        ("\\sin((12+i)^3)", "\\sin((12+i)^3)+1"),
        ("\\cos(500i)", "\\cos(500i)+1"),
        ("\\cos(\\pi+500i)", "\\cos(\\pi+500i)+i"),
        ("\\sec(500i)+\\pi", "\\pi"),
        ("\\tan(300i)", "i"),
        ("\\cot(300i)", "-i"),
        ("(-1)^{200i}+\\pi", "\\pi"),
        ("(-2)^{100i\\pi}+1", "1"),
        ("i^{300i}+e", "e"),
        ("\\sqrt[1/(200i)]{-1}+\\pi", "\\pi"),
    ] {
        assert_ne!(status(near, value), Status::Correct, "{near} for {value}");
        assert_ne!(status(value, near), Status::Correct, "{value} for {near}");
    }
    for (value, same) in [
        ("\\cos(2i)", "\\cosh 2"),
        ("\\sin(3i)", "i\\sinh 3"),
        ("\\tan(i)", "i\\tanh 1"),
        ("i^{2i}", "e^{-\\pi}"),
    ] {
        assert_eq!(status(same, value), Status::Correct, "{same} for {value}");
    }
}

/// A panic is reported as undecided, without the answer: whoever cuts a text between two bytes of a character is found here.
#[test]
fn characters_of_several_bytes_at_any_place() {
    let texts = [
        "(C) 42",
        "C, because 5 is odd",
        "5:30 p.m.",
        "5 am",
        "x=1, y=2",
        "[0,1] U [2,3)",
        "10\\text{ m/s}^2",
        "25^\\circ\\text{C}",
        "1\\frac{2}{3}",
        "0.1\\overline{6}",
        "\\text{at least } 5",
        "January 5",
        "答案是5",
        "\\mathrm{H_2O}",
        "k\\pi, k\\in\\mathbb{Z}",
        "The answer is 5 (or 6).",
        "Final answer: \\boxed{7} apples",
        "#### 12 % of it",
        "\\boxed{1}$ and $y_1 = \\boxed{2}$",
        "$f(x)=x^2$ for all $x>0$, not 5",
        "\\begin{cases}1&x>0\\\\2&x\\le0\\end{cases}",
        "between 12:30 and 13:00",
        "\\textbf{(A)}\\ 5\\quad\\textbf{(B)} 6",
        "3 \\times 10^{4}\\,\\text{kg}, or 30 t",
        "p=5,q=2;p=7,q=2",
        "Alice: $3, Bob: 4 hours ago",
        "one hundred and five per cent",
        "**Total**: 36 = 6 * 6. So 36.",
        "1,000,000.5e3_{8}",
    ];
    for text in texts {
        for (at, _) in text.char_indices().chain([(text.len(), ' ')]) {
            for inserted in ["é", "½", "中", "①", "−", "\u{1d400}"] {
                let broken = format!("{}{inserted}{}", &text[..at], &text[at..]);
                for (completion, gold) in [
                    (broken.clone(), "5"),
                    (format!("\\boxed{{{broken}}}"), "C"),
                    (format!("The answer is {broken}"), "x=1"),
                    ("\\boxed{5}".to_string(), broken.as_str()),
                ] {
                    for profile in [Profile::Default, Profile::MathVerify] {
                        let verdict = verify(&completion, gold, &without_deadline(profile));
                        let panicked = verdict.status == Status::Timeout && verdict.extracted.is_none();
                        assert!(!panicked, "{completion} || {gold}");
                    }
                }
            }
        }
    }
}
