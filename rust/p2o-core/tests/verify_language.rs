//! What words, letters and notation around a value do to it. Each line is gold, completion, and whether it is right.

mod judged;

use judged::check;

#[test]
fn prose() {
    check(&[
        (r"7", r"The answer is 7 (not 8).", true),
        (r"7", r"It is 7, not 8.", true),
        (r"7", r"The minimum is thus 7, attained at $x=3$.", true),
        (r"7", r"We found that $a=3$, so the final result equals 7.", true),
        (r"7", r"The answer is 7 squared.", false),
        (r"7", r"The answer is twice 7.", false),
        (r"7", r"The answer is 10 minus 7.", false),
        (r"7", r"all but 7", false),
        (r"7", r"The answer is not \boxed{7}.", false),
        (r"12", r"The answer is 12 more than 5.", false),
        (r"12", r"$11$ or $12$", false),
        (r"3", r"The minimum is 5 when $x = 3$.", false),
        (r"10:45", r"The train arrives at 10:45.", true),
    ]);
}

#[test]
fn letters() {
    check(&[
        (r"B", r"The answer can't be B.", false),
        (r"B", r"I think it is A or B", false),
        (r"B", r"B is incorrect.", false),
        (r"B", r"All except B.", false),
        (r"B", r"Both A and B are correct.", false),
        (r"B", r"B is not right, C is.", false),
        (r"B", r"B is tempting, but wrong.", false),
        (r"B", r"Among A, B, C and D, only B works.", true),
        (r"B", r"故选B．", true),
        (r"ABD", r"故选：ABD．", true),
        (r"A,C", r"\boxed{A or C}", false),
    ]);
}

#[test]
fn chinese() {
    check(&[
        (r"300000", r"\boxed{30万元}", true),
        (r"25", r"\boxed{25万}", false),
        (r"25", r"\boxed{25以上}", false),
        (r"8", r"答案不是8", false),
        (r"8", r"答案是8或9", false),
        (r"8", r"不超过8", false),
        (r"8", r"最小值为7，此时x=8。", false),
        (r"2/5", r"答案：每份应该是 \frac{2}{5} 吨", true),
        (r"矩形", r"所以它是矩形。", true),
        (r"矩形", r"\boxed{不是矩形}", false),
        (r"12", r"\boxed{12（个）}", true),
        (r"\frac23", r"\boxed{三分之二}", true),
        (r"\frac23", r"\boxed{二分之三}", false),
        (r"25", r"\boxed{二十五个}", true),
        (r"25", r"\boxed{二十}", false),
        (r"105", r"\boxed{一百零五}", true),
        (r"105", r"\boxed{一百五十}", false),
        (r"-3", r"\boxed{负三}", true),
        (r"30\%", r"\boxed{百分之三十}", true),
    ]);
}

#[test]
fn families() {
    check(&[
        (r"x=\frac{\pi}{4}+k\pi, k\in\mathbb{Z}", r"\boxed{x=-\frac{3\pi}{4}+k\pi, k\in\mathbb{Z}}", true),
        (r"x=\frac{\pi}{4}+k\pi, k\in\mathbb{Z}", r"\boxed{\frac{\pi}{4}+2k\pi, k\in\mathbb{Z}}", false),
        (
            r"2k\pi \pm \frac{\pi}{3}, k \in \mathbb{Z}",
            r"\boxed{\frac{\pi}{3}+2k\pi, \frac{5\pi}{3}+2k\pi, k \in \mathbb{Z}}",
            true,
        ),
        (r"n=4k+1, k\in\mathbb{Z}", r"\boxed{n \equiv 1 \pmod 4}", true),
        (r"n=4k+1, k\in\mathbb{Z}", r"\boxed{n \equiv 1 \pmod 8}", false),
    ]);
}

#[test]
fn pieces_and_sums() {
    check(&[
        (
            r"f(x)=\begin{cases} x^2 & x<1 \\ 2x-1 & x\ge 1\end{cases}",
            r"\boxed{\begin{cases} 2x-1 & \text{if } x\ge 1 \\ x^2 & \text{otherwise}\end{cases}}",
            true,
        ),
        (
            r"f(x)=\begin{cases} x^2 & x<1 \\ 2x-1 & x\ge 1\end{cases}",
            r"\boxed{f(x)=\begin{cases} x^2 & x\ge 1 \\ 2x-1 & x<1\end{cases}}",
            false,
        ),
        (r"\frac{n(n+1)}{2}", r"\boxed{1+2+\cdots+n}", true),
        (r"\frac{n(n+1)}{2}", r"\boxed{1+2+\cdots+(n-1)}", false),
        (r"1+2+4+\cdots+2^n", r"\boxed{2^{n+1}-1}", true),
        (r"(-\infty,-1)\cup(5,\infty)", r"\boxed{|2-x|>3}", true),
        (r"(-3,3)", r"\boxed{x^2<9}", true),
        (r"(-3,3)", r"\boxed{x^2\le 9}", false),
    ]);
}

#[test]
fn formulae_and_units() {
    check(&[
        (r"\mathrm{SO_4^{2-}}", r"\boxed{\ce{SO4^2-}}", true),
        (r"\mathrm{SO_4^{2-}}", r"\boxed{\ce{SO3^2-}}", false),
        (r"\mathrm{H_2O}", r"\boxed{H2O}", true),
        (r"1 \text{ hour } 30 \text{ minutes}", r"\boxed{1\text{ h }30\text{ min}}", true),
        (r"1 \text{ hour } 30 \text{ minutes}", r"\boxed{30\text{ h }1\text{ min}}", false),
        (r"3\mathbf{i}-2\mathbf{j}", r"\boxed{(3,-2)}", true),
        (r"3\mathbf{i}-2\mathbf{j}", r"\boxed{3\hat{i}+2\hat{j}}", false),
        (r"\text{DNE}", r"\boxed{\text{The limit does not exist.}}", true),
        (r"10:45", r"\boxed{2:9}", false),
    ]);
}

#[test]
fn quantities_in_several_units() {
    check(&[
        (r"5 \text{ cm}", r"\boxed{0.05 \text{ m}}", true),
        (r"5 \text{ cm}", r"\boxed{0.5 \text{ m}}", false),
        (r"-5 \text{ cm}", r"\boxed{-5 \text{ m}}", false),
        (r"36 \text{ km/h}", r"\boxed{10 \text{ m/s}}", true),
        (r"2 \text{ L}", r"\boxed{2000 \text{ cm}^3}", true),
        (r"1 \text{ cm}^2", r"\boxed{10 \text{ mm}^2}", false),
        (r"1 \text{ cm}^2", r"\boxed{100 \text{ mm}^2}", true),
        (r"450 \text{ THz}", r"\boxed{4.5 \times 10^{14} \text{ Hz}}", true),
        (r"9.8 \text{ N} \cdot \text{m}", r"\boxed{9.8 \text{ N}}", false),
        (r"5 \text{ feet } 6 \text{ inches}", r"\boxed{66 \text{ inches}}", true),
        (r"90 \text{ minutes}", r"\boxed{1 \text{ hour and } 20 \text{ minutes}}", false),
        (
            r"1 \text{ hour } 30 \text{ minutes}",
            r"\boxed{1 \text{ hour } 30 \text{ minutes} = 90 \text{ minutes}}",
            true,
        ),
        (r"1 \text{ hour}", r"\boxed{60}", false),
        // A scale of temperature is no multiple of another.
        (r"77^\circ F", r"\boxed{77 K}", false),
        (r"300 \text{ K}", r"\boxed{300^\circ\text{C}}", false),
    ]);
}

#[test]
fn money() {
    check(&[
        (r"\$5", r"\boxed{500 \text{ cents}}", true),
        (r"\$5", r"\boxed{5 \text{ cents}}", false),
        (r"5 \text{ cents}", r"\boxed{$5}", false),
        (r"5 \text{ cents}", r"\boxed{\$0.05}", true),
        (r"€20", r"\boxed{\$20}", false),
        (r"\$2.5 \text{ million}", r"\boxed{\$2,500,000}", true),
        (r"\$15 \text{ per hour}", r"\boxed{\$15/\text{hour}}", true),
        (r"\$15 \text{ per hour}", r"\boxed{\$15 \text{ per day}}", false),
        (r"£12.50", r"\boxed{12.5 \text{ pounds}}", true),
        (r"20", r"\boxed{Rs. 20}", true),
        (r"8", r"\boxed{\$5 + \$3}", true),
        (r"15", r"\boxed{3 \times \$5 = \$15}", true),
        (r"\$20", r"\boxed{20\%}", false),
    ]);
}

#[test]
fn bounds_doubts_and_headings_say_no_value() {
    check(&[
        (r"6", r"The value is between 5 and 6.", false),
        (r"6", r"Nobody knows whether it is 6.", false),
        (r"6", r"They claim that it is 6.", false),
        (r"6", r"If it equals 6, we are done.", false),
        (r"6", r"If all are counted, then there are 6.", true),
        (r"6", r"Its square is 6.", false),
        (r"5", r"The value is between 5 and 6 so about 5.", false),
        (r"7", r"The value is between 5 and 6, and doubling it gives 7.", true),
        (r"42", r"I don't think the answer is 42.", false),
        (r"42", r"I am not sure about the lemma, but the answer is 42.", true),
        (r"42", r"The answer could be 42.", false),
        (r"42", r"The answer must be 42.", true),
        ("2", "Step 1: 2+3=5.\nStep 2:", false),
        (r"50", r"\boxed{\text{a profit of } \$50}", true),
        (r"50", r"\boxed{\text{a loss of } \$50}", false),
    ]);
}

#[test]
fn sentences_about_a_name() {
    check(&[
        (r"Alice", r"\boxed{\text{Alice wins}}", true),
        (r"Alice", r"\boxed{\text{Alice loses}}", false),
        (r"red", r"\boxed{\text{red, not blue}}", true),
        (r"red", r"\boxed{\text{blue, not red}}", false),
        (r"\text{Friday}", r"\boxed{\text{on a Friday}}", true),
        (r"\text{March 5, 2020}", r"\boxed{2020-03-05}", true),
        (r"\text{March 5, 2020}", r"\boxed{2020-05-03}", false),
        (r"12:00 \text{ noon}", r"\boxed{\text{noon}}", true),
        (r"12:00 \text{ noon}", r"\boxed{\text{midnight}}", false),
        (r"\infty", r"\boxed{\text{infinitely many}}", true),
        (r"20\%", r"\boxed{\text{twenty percent}}", true),
        (r"5‰", r"\boxed{0.005}", true),
    ]);
}

#[test]
fn signs_and_names_of_points() {
    check(&[
        (r"(\pm 3, \pm 2)", r"\boxed{(3,2), (3,-2), (-3,2), (-3,-2)}", true),
        (r"(\pm 3, \pm 2)", r"\boxed{(3,2), (-3,-2)}", false),
        (r"(\pm 3, \mp 2)", r"\boxed{(3,-2), (-3,2)}", true),
        (r"(3,2), (-3,-2)", r"\boxed{\pm(3,2)}", true),
        (r"(3,2), (-3,-2)", r"\boxed{\pm(3,-2)}", false),
        (r"(2,3)", r"\boxed{y=3, x=2}", true),
        (r"(2,3)", r"\boxed{y=2, x=3}", false),
        (r"[2,5)", r"\boxed{[2,5[}", true),
        (r"[2,5)", r"\boxed{]2,5]}", false),
    ]);
}

#[test]
fn a_box_is_a_part_of_its_term() {
    check(&[
        (r"e^x+C", r"$\boxed{e^x} + C$", true),
        (r"e^x", r"$\boxed{e^x} + C$", false),
        (r"-6", r"$x = -\boxed{6}$", true),
        (r"6", r"$x = -\boxed{6}$", false),
        (r"6", r"\(\boxed{6}^3\)", false),
        (r"6", r"$\boxed{6} \times 4$", false),
        (r"6", "- \\boxed{6}", true),
        (r"6", r"$\boxed{6} + 5 = 11$", true),
        (r"6", r"$\boxed{6}$ - a perfect number.", true),
    ]);
}

#[test]
fn what_is_said_behind_a_box() {
    check(&[
        (r"6", r"\boxed{6} does not satisfy it.", false),
        (r"6", r"\boxed{6} seemed good, but that is mistaken. The answer is 5.", false),
        (r"5", r"\boxed{6} seemed good, but that is mistaken. The answer is 5.", true),
        (r"6", r"\boxed{6}, which is not odd.", true),
        (r"6", r"\boxed{6} is not odd.", true),
        (r"6", r"\boxed{6} is not the answer.", false),
        (r"6", r"\boxed 6 is not the answer.", false),
        (r"B", r"\boxed{\text{(B) does not hold}}", false),
        (r"B", r"\boxed{\text{(B) does}}", true),
        (r"B", r"\boxed{\text{(B) no such number}}", true),
    ]);
}

#[test]
fn what_a_sentence_leads_to() {
    check(&[
        (r"6", r"The answer is anywhere from 5 to 6.", false),
        (r"6", r"The answer differs from 6 by one.", false),
        (r"6", r"The answer is a multiple of 6.", false),
        (r"6", r"The answer is a total of 6.", true),
        (r"6", r"The answer is 6% of 50.", false),
        (r"6", r"The answer is 6, although 7 might do as well.", false),
        (r"6", r"The answer is 6, since 7 or 8 would be too large.", true),
        (r"6", r"The answer is 6 if $n$ is odd and 7 if it is even.", false),
        (r"6", r"The answer is 2 times 3 = 6.", true),
        (r"6", r"Unless $n$ is odd the answer is 6.", false),
        (r"6", r"If $n$ is odd, then the answer is 6.", true),
        (r"6", r"It is untrue that the answer is 6.", false),
        (r"6", r"The incorrect answer is 6.", false),
        (r"6", r"Many people believe that the answer is 6.", false),
        (r"6", r"The answer is prime to 6.", false),
        (r"6", r"The answer is in the range (1, 6).", false),
        (r"6", r"The answer is the 6th number.", false),
        (r"6", r"The answer is 6 percent of 90.", false),
        (r"6", r"Answer: Mia paints 6 doors.", true),
        (r"6", r"The answer is therefore a total of 6.", true),
        (r"6", r"The answer is 6. Actually, it is 7.", false),
        (r"6", r"Hence 6 is a lower bound.", false),
        (r"6", r"The answer is the integer 6.", true),
        (r"6", r"The answer is given by $6$.", true),
        (r"6", r"The answer is 6, not 7 as one might think.", true),
        (r"(1,6)", r"The answer is precisely (1,6).", true),
        (r"6", r"Die Antwort ist nicht 6.", false),
        (r"6", r"La réponse n'est jamais 6.", false),
        (r"6", r"La risposta non è 6.", false),
        (r"6", r"La réponse est 5 ou 6.", false),
        (r"6", r"Die Antwort ist 6.", true),
        (r"6", r"最终结果不等于6", false),
    ]);
}

#[test]
fn what_stands_before_a_value_in_a_sentence() {
    check(&[
        (r"6", r"The answer has 6 digits.", false),
        (r"6", r"The answer approaches 6.", false),
        (r"6", r"The answer depends on 6.", false),
        (r"6", r"The answer is on line 6.", false),
        (r"6", r"Half the answer is 6.", false),
        (r"6", r"The answer modulo 50 is 6.", false),
        (r"6", r"The digits of the answer add up to 6.", false),
        (r"6", r"The product of the answer's digits is 6.", false),
        (r"6", r"The answer to another question is 6.", false),
        (r"6", r"The number that most people guess is 6.", false),
        (r"6", r"A friend claims the answer is 6.", false),
        (r"6", r"We have to show that the answer is 6.", false),
        (r"6", r"If x = 2 then the answer is 6.", false),
        (r"6", r"The total tends to 6.", false),
        (r"6", r"It is in the vicinity of 6.", false),
        (r"6", r"The value lies close to $6$.", false),
        (r"6", r"Twice the number is 6.", false),
        (r"6", r"The square of the result is 6.", false),
        (r"6", r"So far we have 6 of them.", false),
        (r"6", r"One could think that it is 6.", false),
        (r"6", r"Let n = 6.", false),
        (r"6", r"We are given that there are 6 hats.", false),
        (r"6", r"I cannot compute this. The first hat costs 6.", false),
        (r"6", r"There are 6 hats. How many are blue?", false),
        (r"6", r"The answer, as computed before, is 6.", true),
        (r"6", r"In all three cases the answer is 6.", true),
        (r"6", r"We see that the answer is 6.", true),
        (r"6", r"The answer to the question turns out to be 6.", true),
        (r"6", r"The sum comes to 6.", true),
        (r"6", r"That leaves us with 6.", true),
        (r"6", r"Ann sold 6 hats.", true),
        (r"6", r"The most likely number is 6.", true),
        (r"6", r"The value is between 5 and 6.", false),
        (r"6", r"The difference between the two is 6.", true),
        (r"6", r"They made a profit of $6 that day.", true),
        (r"6", r"The two numbers differ by 6.", true),
        (r"6", r"So the recipe calls for 6 eggs.", true),
    ]);
}

#[test]
fn what_stands_behind_a_value_in_a_sentence() {
    check(&[
        (r"6", r"It is 6 before rounding.", false),
        (r"6", r"The answer is 6 more than the last one.", false),
        (r"6", r"The answer is 6 reversed.", false),
        (r"6", r"The answer is 6 times as large.", false),
        (r"6", r"The answer is 6 apart from the sign.", false),
        (r"6", r"The answer is 6 upside down.", false),
        (r"6", r"The answer is 6 read backwards.", false),
        (r"6", r"The answer is 6 rounded up to a full dozen.", false),
        (r"6", r"The answer is 6 after we take 2 from it.", false),
        (r"6", r"The answer is 6 after we take out the 2.", true),
        (r"6", r"The answer is 6 unless n = 3.", false),
        (r"6", r"The answer is 6, plus 4 for the corners.", false),
        (r"6", r"The answer is 6, to which we add 1.", false),
        (r"6", r"The answer is 6, give or take.", false),
        (r"6", r"The answer is 6, yet nobody sees it.", false),
        (r"6", r"6 is one of them.", false),
        (r"6", r"The answer is 6 by the first method and 7 by the second.", false),
        (r"6", r"The answer is 6 for odd n.", false),
        (r"6", r"The answer is 6, were the coin fair.", false),
        (r"6", r"The answer is 6, no more and no less.", true),
        (r"6", r"\boxed{6} times the length", false),
        (r"6", r"\boxed{6 \text{ before rounding}}", false),
        (r"6", r"\boxed{6 \text{ maximum}}", false),
        (r"6", r"\boxed{6 \text{ gross}}", false),
        (r"864", r"\boxed{6 \text{ gross}}", true),
        (r"6", r"\boxed{6 \text{ is the answer}}", true),
        (r"6", r"\boxed{6 \text{ years old}}", true),
        (r"6", r"6 is the answer.", true),
        (r"6", r"The answer is 6 hats in total.", true),
        (r"6", r"The answer is 6; the other root, -4, is rejected.", true),
        (r"6", r"The answer is 6, which completes the proof.", true),
        (r"6", r"So Ann is 6 years old.", true),
    ]);
}

#[test]
fn terms_of_boxes() {
    check(&[
        (r"6", r"$\sqrt{\boxed{6}}$", false),
        (r"\sqrt6", r"$\sqrt{\boxed{6}}$", true),
        (r"6", r"$2\boxed{6}$", false),
        (r"12", r"$2\boxed{6}$", true),
        (r"6", r"$\frac{1}{\boxed{6}}$", false),
        (r"6", r"$\boxed{6}!$", false),
        (r"6", r"\boxed{6}!", true),
        (r"6", r"$\boxed{6}\pi$", false),
        (r"6", r"$x \neq \boxed{6}$", false),
        (r"6", r"\boxed{6} dozen", false),
        (r"72", r"\boxed{6} dozen", true),
        (r"6", r"Twice \boxed{6}", false),
        (r"6", r"\boxed{6} is the square of the answer.", false),
        (r"6", r"The answer is at least \boxed{6}.", false),
        (r"6", r"We need at least \boxed{6}.", true),
        (r"6", r"$\boxed{6}$ or so", false),
        (r"6", r"Part 2 \boxed{6}", true),
        (r"6", r"$\Rightarrow \boxed{6}$", true),
        (r"6", r"$8 + \boxed{6} = 14$", true),
        (r"6", r"\boxed{\ln x = 6}", false),
    ]);
}

#[test]
fn a_sentence_that_goes_on_after_its_value() {
    for behind in [
        "by the end of the week",
        "until Friday",
        "by bus",
        "by selling cakes",
        "while they wait",
        "once the work is done",
        "only",
        "away from home",
        "before lunch",
        "when he is done",
        "that are red",
        "for the whole trip",
        "in total",
        "each",
        "at the moment",
        "to reach her goal",
    ] {
        for said in ["So she has 36 miles", "Therefore it takes 36 minutes", "He earns $36"] {
            check(&[(r"36", &format!("{said} {behind}."), true)]);
        }
    }
    check(&[
        (r"36", "When x = 3, the value is 36.", true),
        (r"36", "$x = 3$, the value is 36", true),
        (r"36", "$x = 3$, some value is 36", false),
        (r"36", "She ran 36 miles without a break.", true),
        (r"36", "It has 36 rows by 24 columns.", false),
        (r"36", "There are 36 cakes by 24 cakes.", false),
        (r"36", "She has 36 coins until we take some away.", false),
        (r"36", "She has 36 coins once I subtract the rest.", false),
    ]);
}

#[test]
fn what_is_counted() {
    check(&[
        (r"2 \text{ hens}, 9 \text{ pigs}", r"\boxed{9 \text{ hens}, 2 \text{ pigs}}", false),
        (r"2 \text{ hens}, 9 \text{ pigs}", r"\boxed{9 \text{ pigs}, 2 \text{ hens}}", true),
        (r"4 \text{ minutes early}", r"\boxed{4 \text{ minutes late}}", false),
        (r"4 \text{ minutes early}", r"\boxed{4 \text{ minutes}}", true),
        (r"6 \text{ girls}", r"\boxed{6 \text{ boys}}", false),
        (r"6 \text{ children}", r"\boxed{6 \text{ kids}}", true),
        (r"6 \text{ plums}", r"\boxed{6 \text{ pears}}", false),
        (r"6 \text{ green pears}", r"\boxed{6 \text{ pears}}", true),
        (r"6 green pears", r"\boxed{6 red pears}", false),
        (r"6 dimes", r"6 pennies", false),
        (r"6 puppies", r"6 dogs", true),
        (r"6 bags of rice", r"\boxed{6 \text{ bags}}", true),
        (r"6", r"\boxed{6 bags of rice}", true),
        (r"6", r"\boxed{6 off by one}", false),
        (r"6", r"\boxed{6 times the rest}", false),
        (r"6", r"\boxed{6 men}", true),
        (r"6", r"\boxed{6 \text{ more than this}}", false),
        (r"6", r"\boxed{6 \text{ more than Ann}}", true),
        (r"6", r"\boxed{\#6}", false),
        (r"6", r"\boxed{6 \text{ and a bit}}", false),
    ]);
}

#[test]
fn the_unit_of_an_answer_may_stand_behind_it() {
    check(&[
        (r"6 \text{ hours}", r"$\boxed{6}$ minutes", false),
        (r"6 \text{ hours}", r"\boxed{360}\text{ minutes}", true),
        (r"6 \text{ hours}", r"It takes 6 minutes to get there.", false),
        (r"6 \text{ hours}", r"It takes 360 minutes to get there.", true),
        (r"6", r"It takes 6 minutes to get there.", true),
        (r"6", r"$\boxed{6}$ minutes", true),
        (r"6", r"$\boxed{6} \text{ thousand}$", false),
        (r"6 \text{ cm}^2", r"$\boxed{6}$ cm^2", true),
        (r"6 \text{ cm}^2", r"$\boxed{6}$ cm²", true),
        (r"6 \text{ mph}", r"$\boxed{6}$ miles per hour", true),
        (r"6", r"Ann has 6 in her bag.", true),
        (r"2 \text{ gallons}", r"\boxed{8 \text{ quarts}}", true),
        (r"2 \text{ weeks}", r"\boxed{2 \text{ fortnights}}", false),
    ]);
}

#[test]
fn how_long_it_took_is_another_value() {
    check(&[
        (r"6", r"6 cakes in 2 hours", true),
        (r"6", r"Answer: 6 cakes in 2 hours.", true),
        (r"6", r"\boxed{6 cakes in 2 hours}", true),
        (r"2", r"6 cakes in 2 hours", false),
        (r"2", r"2 hours in total", true),
        (r"6", r"6 cakes in 2 boxes", false),
        (r"6", r"6 in 2 hours", false),
    ]);
}

#[test]
fn the_left_side_of_an_answer() {
    check(&[
        (r"6", r"\boxed{x^2=6}", false),
        (r"6", r"\boxed{3y=6}", false),
        (r"6", r"\boxed{|u-v|=6}", true),
        (r"6", r"\boxed{p+q=6}", true),
        (r"6", r"\boxed{100p+q=6}", true),
        (r"6", r"\boxed{3p+q=6}", true),
        (r"6", r"\boxed{p^2+q^2=6}", true),
        (r"6", r"\boxed{AB^2=6}", true),
        (r"6", r"\boxed{|z|^2=6}", true),
        (r"6", r"\boxed{\sqrt{x}=6}", false),
        (r"6", r"\boxed{y+2=6}", false),
        (r"6", r"\boxed{-x=6}", false),
        (r"6", r"\boxed{x+y=6}", true),
        (r"6", r"\boxed{x-y=6}", true),
        (r"6", r"\boxed{10x+y=6}", true),
        (r"6", r"\boxed{\frac{x}{y}=6}", true),
        (r"6", r"\boxed{x^2+y^2=6}", false),
        (r"6", r"\boxed{xy^2=6}", false),
        (r"2x", r"\boxed{\frac{d}{dx}x^2=2x}", true),
        (r"2x", r"\boxed{y^2=2x}", false),
        (r"6", r"\boxed{u=6 \text{ or } v=6}", false),
        (r"[2,\infty)", r"\boxed{[2,\infty]}", false),
        (r"\text{Mia wins}", r"\boxed{\text{Mia}}", true),
        (r"\text{Mia does not win}", r"\boxed{\text{Mia}}", false),
    ]);
}
