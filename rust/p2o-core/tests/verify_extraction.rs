//! Where the answer is found in a completion. Each case: completion, what must be extracted (as compared with a gold).

use p2o_core::verify::{Options, Profile, Sources, Status, verify};

fn check(cases: &[(&str, &str)]) {
    for (completion, gold) in cases {
        let verdict = verify(completion, gold, &Options::default());
        assert_eq!(verdict.status, Status::Correct, "{completion:?} against {gold:?}: {verdict:?}");
    }
}

#[test]
fn boxes() {
    check(&[
        ("\\boxed{7}", "7"),
        ("\\fbox{7}", "7"),
        ("\\boxed 7", "7"),
        ("\\boxed{\\frac{1}{2}}.", "0.5"),
        ("\\boxed{1}, then we check it, so the answer \\boxed{2}", "2"),
        ("$\\boxed{1}$, $\\boxed{2}$", "2, 1"),
        ("$\\boxed{1} , \\boxed{2}$", "1,2"),
        ("\\boxed{1} \\qquad\\qquad\\qquad\\qquad\\qquad \\boxed{2}", "1,2"),
        ("\\boxed{5}. Hence the answer is $7$.", "5"),
        ("\\boxed{5}. Hence the final answer is $7$.", "7"),
        ("\\boxed{5}. The final answer is: ** 7**", "7"),
        ("so $\\boxed{12$ is it.", "12"),
        ("\\boxed{5} and an empty one \\boxed{}", "5"),
        ("\\boxed{\\text{The answer is } 5}", "5"),
        ("\\boxed{x = 5}", "5"),
        ("\\boxed{\\boxed{5}}", "5"),
        ("\\boxed{\\textbf{(B)}\\ 42}", "42"),
        ("\\boxed{(B) 42}", "B"),
        ("\\boxed{B. 42}", "42"),
        ("\\boxed{42}", "\\textbf{(B)}\\ 42"),
        ("\\boxed{= 5}", "5"),
        ("\\boxed{\\approx 3.2}", "3.2"),
        ("\\boxed{5.}", "5"),
        ("\\boxed{$5$}", "5"),
        ("\\boxed{5\u{200b}}", "5"),
        ("\\boxed{20 km/h}", "20"),
        ("\\boxed{5.50 \\text{ dollars per hour}}", "5.50"),
        ("\\boxed{5.50 dollars per hour}", "5.50"),
        ("\\boxed{9.8 m/s^2}", "9.8"),
        ("the 💡box and \\boxed{5}, not the ébox", "5"),
    ]);
}

#[test]
fn the_last_of_several_places() {
    check(&[
        ("\\boxed  {7} and 3", "7"),
        ("\\boxed 3.5. Then 8", "3.5"),
        ("\\boxed 7 of 8", "7"),
        ("\\boxed{1}\\boxed{2}", "2"),
        ("\\fbox{1} or so. In the end \\fbox{2}", "2"),
        ("\\boxed{1} and \\boxed{2}", "1,2"),
        ("\\boxed{1}; \\boxed{2}", "1,2"),
        ("\\boxed{1} \\boxed{2}", "2"),
        ("\\boxed{1},                              \\boxed{2}", "2"),
        ("so \\(\\boxed{12\\) with 3", "12"),
        ("so \\[\\boxed{12\\] with 3", "12"),
        ("so $\\boxed     {12$ is it. The final answer is 7.", "7"),
        ("so \\boxed{12\nwith $3$", "12"),
        ("#### 41\nno\n#### 42\nafter 7 steps", "42"),
        ("<answer>41</answer> no, <answer>42</answer> after 7 steps", "42"),
        ("The answer is 41. No: the answer is 42.", "42"),
        ("The final answer is 41. The answer is 42.", "41"),
        ("The final answer is 41. No: the final answer is 42. The answer is 43.", "42"),
        ("The answer to part (b) is 42. It took 7 steps", "42"),
        ("The answer is 4.5. Then 9", "4.5"),
        ("The answer is $4$.\n\nWe took 9 steps", "4"),
        ("We get $1$, then $2$", "2"),
        ("We get **42**\n\nand that took us a while", "42"),
        ("so we get 3/4", "0.75"),
        ("so we get 3/16", "0.1875"),
        ("so we get \\frac{2}{5} of them", "0.4"),
        ("so we get -5", "-5"),
        ("so we get B-5, my friends", "5"),
        ("so we get .5", "0.5"),
        ("it costs 25\\%", "25"),
        ("it costs 25%", "25%"),
        ("the sum is 7 and the total is 42", "42"),
        ("A is wrong and so is B, I choose C", "C"),
        ("It must be (A) here", "A"),
        ("so I choose A", "A"),
        ("It must be C, it can't be A", "C"),
        ("B is not right, so A", "A"),
        ("I choose C, not D", "C"),
    ]);
    for cut in ["first $8$, so \\fbox{12", "first $8$, so \\boxed{12", "the answer is 8, so \\boxed{"] {
        let verdict = verify(cut, "8", &Options::default());
        assert_eq!(verdict.status, Status::NoAnswer, "{cut}: {verdict:?}");
    }
}

#[test]
fn phrases() {
    check(&[
        ("The answer is 42.", "42"),
        ("The answer is $42$ because $40+2=42$ and 43 is odd.", "42"),
        ("The answer is **42**.", "42"),
        ("**Answer:** 42", "42"),
        ("Answer: $x = \\frac{1}{2}$.", "\\frac12"),
        ("**Final Answer**\n\n$42$\n", "42"),
        ("## Final answer\n42", "42"),
        ("The answer to the problem is 42 apples.", "42"),
        ("The answer is:\n\n$$x = 42$$", "42"),
        ("The final answer is $\\frac{3}{4}$. I hope it is correct.", "0.75"),
        ("The answer is (C).", "C"),
        ("The answer is C", "C"),
        ("The answer is yes.", "Yes"),
        ("The answer is five.", "5"),
        ("The answer is eighteen (18).", "18"),
        ("The answer is: 18 apples (9 + 9).", "18"),
        ("The answer is sqrt (2).", "\\sqrt2"),
        ("The answer is 5 (since 2+3=5).", "5"),
        ("Answer: $\\frac{1}{2}$ (one half)", "0.5"),
        ("The answer is (1, 2) (in this order).", "(1,2)"),
        ("The answer is exactly $(1. , 2)$.", "(1,2)"),
        ("The answer is an ellipse (since f(2)=5).", "ellipse"),
        ("The answer is sin (theta).", "\\sin\\theta"),
        ("The answer is 3 (x+1)", "3x+3"),
        ("The answer is 5 (mod 7).", "5 \\pmod 7"),
        ("The answer is 0.333...", "1/3"),
        ("The answer is either 5 or -5.", "5, -5"),
        ("The answer is no solution.", "\\text{no solution}"),
        ("So the answer is 3 and not 4.", "3"),
        ("The answer is not 3 but 4.", "4"),
        ("The answer is simply 12.", "12"),
        ("The answer is 5. \\boxed{}", "5"),
        ("Ans: 12", "12"),
        ("Answer: C, because D is too large", "C"),
        ("The answer is C, its value is 7.", "C"),
        ("\\boxed{12} is it. The final answer is in the box above, with 3 steps.", "12"),
        ("The answer is $3$ and $5$.", "5, 3"),
        ("The answer is 1,234.", "1234"),
        ("The answer is 2.5. Then 7 more.", "2.5"),
        ("The answer is -5.", "-5"),
        ("The answer is 50%.", "0.5"),
        ("The answer is $18.90.", "18.90"),
        ("work\n#### 42", "42"),
        ("work\n#### 1,234", "1234"),
    ]);
}

#[test]
fn mathematics_and_numbers_without_a_phrase() {
    check(&[
        ("We get $x=3$ and then $y=4$.", "4"),
        ("We get \\(x=3\\).", "3"),
        ("It costs $5 each.\nSo we get $x=3$ there.", "3"),
        ("We get\n\\[\nx=3\n\\]", "3"),
        ("First 3, then 4, then 5 apples", "5"),
        ("It is 3/4", "0.75"),
        ("It is pi/2", "\\frac{\\pi}{2}"),
        ("**73**", "73"),
        ("x = 5", "5"),
        ("Therefore x = 5.", "5"),
        ("= 7", "7"),
        ("3x+4y+14=0", "3x+4y+14=0"),
        ("sqrt(2)/2", "\\frac{\\sqrt2}{2}"),
        ("(1, 2)", "(1,2)"),
        ("7", "7"),
        ("-1/2", "-\\frac12"),
        ("\\dfrac{5}{6}", "\\dfrac56"),
        ("I think it's 5.", "5"),
        ("The solutions are x = 5, x = -5.", "5, -5"),
        ("The two solutions are $5$ and $-5$.", "5, -5"),
        ("So $x = 5$ or $x = -5$.", "\\pm 5"),
        ("Hence $x = 5$ and $y = 6$.", "(5, 6)"),
        ("Here $a = 5$ and $b = 6$.", "6"),
        ("\\[ x = 5 \\]\n\n$\\square$", "5"),
        ("Hence, 5. $\\blacksquare$", "5"),
        ("$x=5$. $Q.E.D.$", "5"),
        ("So I choose B because $5 > 3$.", "B"),
        ("Yes, it is possible.", "yes"),
        ("**Step 4:** So total = 15 + 3 = 18 apples.", "18"),
        ("La respuesta es 18.", "18"),
        ("答案是18", "18"),
        ("π", "\\pi"),
        ("Monday", "Monday"),
        ("Five", "5"),
        ("All real numbers except x = 3.", "x \\ne 3"),
        ("12 apples and 3 oranges", "12, 3"),
        ("The statement is true.", "True"),
        ("The point $(3,4)$ is the correct one of the 2.", "(3,4)"),
        (r#"{"answer": "\"7\"", "steps": 3}"#, "7"),
        ("\\boxed{\\text{The series diverges}}", "diverges"),
        ("<answer>\\frac{1}{2}</answer>", "0.5"),
        ("It is 7.\n<answer>\nThe total is 5 apples.\n</answer>\nI checked it 3 times.", "5"),
        ("<answer>5 \\boxed{6}</answer>", "6"),
        ("It must be (D), since 5 > 3.", "D"),
        ("Option A is correct.", "A"),
        ("We get:\n1. x = 5\n2. y = 7", "7"),
        ("The value of $x$ is 3.", "3"),
        ("So $f(2)$ equals 5.", "5"),
        ("Work\n5. Therefore the total is 12 apples", "12"),
        ("答案：７", "7"),
        ("故选B，答案为１２。", "12"),
        ("\\boxed{（１，３）}", "(1,3)"),
        ("\\boxed{x＝１，y＝２}", "x=1,y=2"),
    ]);
}

#[test]
fn thinking_is_cut_off() {
    check(&[
        ("<think>\\boxed{9}</think> The answer is 8", "8"),
        ("<think>9</think>\n\\boxed{8}", "8"),
        ("<think>a</think>b</think>7", "7"),
        ("<think>so \\boxed{</think> The answer is 8", "8"),
    ]);
    let verdict = verify("<think>The answer is 8</think>", "8", &Options::default());
    assert_eq!(verdict.status, Status::NoAnswer);
}

#[test]
fn stated_mathematics_that_cannot_be_read_is_not_searched_for_a_number() {
    for completion in [
        "The answer is $\\text{at least }5$.",
        "The final answer is the same with ${\\rm(5{{\\rm{0000}}^{20}}})}$.",
        "Answer: \\(5 \\heartsuit \\oplus\\)",
    ] {
        let verdict = verify(completion, "5", &Options::default());
        assert_eq!(verdict.status, Status::Wrong, "{completion:?}: {verdict:?}");
    }
    check(&[("The answer is $5 a day, not $6.", "5")]);
}

#[test]
fn a_sentence_that_denies_a_word_does_not_say_it() {
    for (completion, gold) in [
        ("It is not true.", "True"),
        ("No, yes is wrong.", "yes"),
        ("It isn't even.", "even"),
        ("The answer is neither odd nor even.", "even"),
        ("\\boxed{\\text{Converges}}", "diverges"),
        ("\\boxed{\\text{right triangle}}", "triangle"),
        ("Area: 5", "Perimeter: 5"),
    ] {
        let verdict = verify(completion, gold, &Options::default());
        assert_eq!(verdict.status, Status::Wrong, "{completion:?} against {gold:?}: {verdict:?}");
    }
}

#[test]
fn what_the_text_denies_is_no_answer() {
    for completion in [
        "The answer is not 3.",
        "The answer is not $3$.",
        "So it cannot be 3.",
        "It isn't 3.",
        "3不是答案",
        "所以 3 不是答案",
    ] {
        let verdict = verify(completion, "3", &Options::default());
        assert_eq!(verdict.status, Status::NoAnswer, "{completion:?}: {verdict:?}");
    }
}

#[test]
fn the_number_of_a_line_is_no_answer() {
    for completion in ["1. First\n2. Second\n3. Third", "3. The number is 12", "The result\n3) is odd"] {
        let verdict = verify(completion, "3", &Options::default());
        assert_ne!(verdict.status, Status::Correct, "{completion:?}: {verdict:?}");
    }
}

#[test]
fn no_answer() {
    for completion in ["", "   ", "I do not know.", "\\boxed{}", "so we have \\boxed{12", "$$", "..."] {
        let verdict = verify(completion, "12", &Options::default());
        assert_eq!((verdict.status, verdict.extracted), (Status::NoAnswer, None), "{completion:?}");
    }
}

#[test]
fn a_required_box_is_required() {
    let options = Options { require_boxed: true, ..Options::default() };
    assert_eq!(verify("The answer is 5.", "5", &options).status, Status::NoAnswer);
    assert_eq!(verify("The answer is \\boxed{5}.", "5", &options).status, Status::Correct);
}

#[test]
fn only_the_tail_of_a_long_completion_is_scanned() {
    let far = format!("\\boxed{{5}}{}", " and so on".repeat(10_000));
    assert_ne!(verify(&far, "5", &Options::default()).status, Status::Correct);
    let near = format!("{}\\boxed{{5}}", "so on 💡 ".repeat(10_000));
    assert_eq!(verify(&near, "5", &Options::default()).status, Status::Correct);
}

#[test]
fn golds_may_be_wrapped() {
    check(&[
        ("\\boxed{5}", "$5$"),
        ("\\boxed{5}", "\\boxed{5}"),
        ("\\boxed{5}", "The answer is $5$."),
        ("\\boxed{(-6,6),(2,6)}", "(-6,6)$, $(2,6)"),
        ("\\boxed{90, 60}", "$90^{\\circ}$,$60^{\\circ}$"),
        ("\\boxed{5}", "It is $5$ for B"),
        ("\\boxed{5, -5}", "The roots are $5$ and $-5$."),
        (
            "\\boxed{f(x)=ax+b$, where $b$ is any integer with $b \\equiv 0}",
            "f(x)=ax+b$, where $b$ is any integer with $b \\equiv 0",
        ),
    ]);
}

#[test]
fn math_verify_priorities() {
    let options = Options { profile: Profile::MathVerify, ..Options::default() };
    for (completion, gold) in [
        ("\\boxed{1}, then we check it so the answer \\boxed{2}", "$1,2$"),
        ("The final answer is $3$. I hope it is correct. Or \\boxed{4}", "$3$"),
        ("$\\boxed{1}$ and $\\boxed{2}$", "$1,2$"),
        ("The final answer is $3$. Or \\boxed{4}", "$4$"),
        ("The final answer for $n=2$ is $3$. I hope it is correct. No: $4$.", "$3$"),
        ("it is $5$% and $6$%", "$5\\%, 6\\%$"),
        ("first 50 percent, then 60 percent", "$0.6$"),
        ("it is -5", "$-5$"),
        ("$\\boxed{1}, \\boxed{2}$", "$1,2$"),
        ("\\boxed{1} then we see that this is it: \\boxed{2}", "$2$"),
        ("answer: $5$, or rather $6$", "$5$"),
        ("it is $5$, or rather 6", "$6$"),
        ("<think>\\boxed{9}</think> it is 8", "$9$"),
        ("1000,99", "$1000.99$"),
        ("50 percent", "$0.5$"),
        ("it is 3+4", "$7$"),
        ("it is (1+2) of them", "$3$"),
        ("2*(3+4)", "$14$"),
        ("it is $1$, $2$, $3$, $4$, $5$, $6$", "$1,2,3,4,5,6$"),
        ("it is $1$, $2$, $3$, $4$, $5$, $6$, $7$", "$7$"),
    ] {
        let verdict = verify(completion, gold, &options);
        assert_eq!(verdict.status, Status::Correct, "{completion:?} against {gold:?}: {verdict:?}");
    }
    // Dollar signs around the separators of a gold mark nothing.
    for (completion, gold) in
        [("\\boxed{69,84}", "69$,$84"), ("\\boxed{221, 8}", "221,$8"), ("\\boxed{2.0}", "2")]
    {
        let verdict = verify(completion, gold, &options);
        assert_eq!(verdict.status, Status::Correct, "{completion:?} against {gold:?}: {verdict:?}");
    }
    // A whole number is no rounding.
    for (completion, gold) in
        [("\\boxed{69}", "69$,$84"), ("\\boxed{1.9999999}", "2"), ("\\boxed{2}", "1.9999999")]
    {
        let verdict = verify(completion, gold, &options);
        assert_eq!(verdict.status, Status::Wrong, "{completion:?} against {gold:?}: {verdict:?}");
    }
}

#[test]
fn math_verify_letters() {
    let sources = Sources { latex: false, expressions: false, letters: true };
    let options = Options { profile: Profile::MathVerify, sources, ..Options::default() };
    for (completion, letter) in [
        ("It is B", Some("B")),
        ("It is B.", Some("B")),
        ("B, surely", Some("B")),
        ("**B**", Some("B")),
        ("either A or B: it is B", Some("B")),
        ("It is (B)", None),
        ("It is E", None),
        ("Bob said 5", None),
    ] {
        let verdict = verify(completion, "B", &options);
        assert_eq!(verdict.extracted.as_deref(), letter, "{completion:?}: {verdict:?}");
    }
}

#[test]
fn turns_end() {
    check(&[
        ("#### 42</s>", "42"),
        ("The answer is 42. [/INST] The answer is 7.", "42"),
        ("The answer is 42<|im_end|>\n<|im_start|>user\nAnd 7?", "42"),
        ("<|im_start|>assistant\nThe answer is 42.<|eot_id|> 9", "42"),
        (
            "<|channel|>analysis<|message|>5<|end|><|start|>assistant<|channel|>final<|message|>The answer is 6.",
            "6",
        ),
        ("The answer is 42.<｜end▁of▁sentence｜>", "42"),
    ]);
}

#[test]
fn several_boxes() {
    check(&[
        ("$\\boxed{(98, 2)} \\quad \\text{and} \\quad \\boxed{(99, 503)}$", "(98, 2), (99, 503)"),
        ("$x = \\boxed{1}$ and $y = \\boxed{2}$", "1, 2"),
        ("\\(\\boxed{1}\\) or \\(\\boxed{2}\\)", "1, 2"),
        ("\\boxed{5} \\quad \\boxed{5}", "5"),
        ("\\boxed{12}\n\nThe final answer is the sum of 5 and 7.", "12"),
        ("We find $\\boxed{\\Delta E}$.\n\n**Answer: D**", "D"),
    ]);
}

#[test]
fn sentences_say_what_they_are_about() {
    check(&[
        ("The value of $x+y$ is 42.", "42"),
        ("Final Answer: The largest $n$ is 34.", "34"),
        ("We know $n=5$. Hence there are 12 of them.", "12"),
        ("So $n=5$. It took 12 steps.", "5"),
        ("They sold 3. Then they stopped.", "3"),
        ("So it is 15% of the total.", "15%"),
        ("So x > 2.", "(2,\\infty)"),
        ("Ans. 42", "42"),
        ("So the probability is \\frac{3}{4}.", "3/4"),
        ("It is C rather than A.", "C"),
        ("The answer: D, it doesn't make sense for it to be A or B", "D"),
        ("故选C", "C"),
    ]);
}

#[test]
fn what_is_denied_or_offered_is_no_answer() {
    for (completion, gold) in [
        ("5 is not the answer", "5"),
        ("The answer is less than 5.", "5"),
        ("The answer is 5 (or 6)", "5"),
        ("The answer is 5, or maybe 6.", "6"),
        ("I would guess 1, 2, 3, 4 or 5", "5"),
        ("\\boxed{6} or \\boxed{5}", "5"),
        ("The answer is B, C are odd.", "B"),
        ("Here $n$ is one of 7 numbers.", "n"),
        ("We start with point B\nand nothing else follows.", "B"),
        ("They live on road B5.", "5"),
        ("It is 15% of $60.", "15%"),
        (
            "Here is how the count goes on. It gives $12$. So \\boxed{7}. It looks just fine to me. Wait, that is wrong.",
            "12",
        ),
        ("The answer is C or D.", "C"),
        ("The answer is C or D.", "D"),
    ] {
        let verdict = verify(completion, gold, &Options::default());
        assert_ne!(verdict.status, Status::Correct, "{completion:?} against {gold:?}: {verdict:?}");
    }
}

#[test]
fn golds_in_sentences_are_their_first_formula() {
    for (gold, answer, equal) in [
        ("$a=3$, where $b=2$", "3", true),
        ("$a=3$, where $b=2$", "2", false),
        ("local min. $(0,0)$", "(0,0)", true),
        ("local min. $(0,0)$", "0", false),
        ("$\\min$ at $x=-1, \\max$ at $x=1$", "1", false),
        ("all $n$ such that $n=2^k$ for $k\\ge 1$", "n=2^k", true),
        ("$-1<x \\leqslant 1:(-1,1]$", "(-1,1]", true),
        ("#### -3", "-3", true),
        ("Each $A$ room is $240$ yuan", "A", false),
    ] {
        let verdict = verify(&format!("\\boxed{{{answer}}}"), gold, &Options::default());
        assert_eq!(verdict.status == Status::Correct, equal, "{answer:?} against {gold:?}: {verdict:?}");
    }
}
