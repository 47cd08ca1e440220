//! What sentences say of a value: in other languages, behind a box, about words. Each line is gold, completion, and whether it
//! is right.

mod judged;

use judged::check;

#[test]
fn other_languages_state_a_value_by_known_words() {
    check(&[
        (r"31", r"La respuesta al problema es 31.", true),
        (r"31", r"Por lo tanto, la respuesta correcta es $31$.", true),
        (r"31", r"La réponse est donc de 31 mètres.", true),
        (r"31", r"Die Antwort auf die Frage lautet 31 Euro.", true),
        (r"31", r"Ответ: 31 рубль.", true),
        (r"31", r"La respuesta es casi 31.", false),
        (r"31", r"La respuesta es el triple de 31.", false),
        (r"31", r"La réponse est inférieure à 31.", false),
        (r"31", r"La réponse est le carré de 31.", false),
        (r"31", r"Die Antwort ist kleiner als 31.", false),
        (r"31", r"La risposta è minore di 31.", false),
        (r"31", r"Resposta: mais de 31", false),
        (r"31", r"Ответ: более 31", false),
        (r"31", r"Ответ: не 31", false),
        (r"31", r"Больше 31 рубля.", false),
        (r"31", r"Entre 20 et 31.", false),
        (r"31", r"La diferencia entre los dos es 31.", true),
        (r"31", r"Zwischen 20 und 31.", false),
        (r"31", r"Environ la moitié de 31.", false),
    ]);
}

#[test]
fn languages_without_spaces_go_on_behind_a_value() {
    check(&[
        (r"31", r"答案是31平方米。", true),
        (r"31", r"所以甲是乙的31倍。", true),
        (r"31", r"答案是31的平方。", false),
        (r"31", r"答案是31的五分之一。", false),
        (r"31", r"答えは31個です。", true),
        (r"31", r"答えは31ではありません。", false),
        (r"31", r"答えは31より大きい。", false),
        (r"31", r"정답은 31입니다.", true),
        (r"31", r"정답은 31이 아닙니다.", false),
        (r"31", r"정답은 31보다 작습니다.", false),
        (r"31", r"31개 이상입니다.", false),
        (r"31", r"31通り以上です。", false),
    ]);
}

#[test]
fn second_thoughts_behind_a_box() {
    check(&[
        (r"31", r"$\boxed{31}$ is too large.", false),
        (r"31", r"$\boxed{31}$ seems off.", false),
        (r"31", r"$\boxed{31}$ must be doubled.", false),
        (r"31", r"$\boxed{31}$ still has to be rounded.", false),
        (r"31", r"$\boxed{31}$ must be the answer.", true),
        (r"31", r"$\boxed{31}$ needs no proof.", true),
        (r"31", r"$\boxed{31}$ looks right.", true),
        (r"31", r"$\boxed{31}$. Wait, I skipped a case, so this is off by two.", false),
        (r"31", r"$\boxed{31}$. But this is an undercount.", false),
        (r"31", r"$\boxed{31}$. However, this ignores the empty set.", false),
        (r"31", r"$\boxed{31}$. That doesn't look right.", false),
        (r"31", r"$\boxed{31}$. This is wrong because $n$ is even.", false),
        (r"31", r"$\boxed{31}$. I see that I misread the question.", false),
        (r"31", r"$\boxed{31}$. I forgot to mention that $n$ is odd.", true),
        (r"31", r"$\boxed{31}$. But note that 30 is not attained.", true),
        (r"31", r"$\boxed{31}$. This counts the empty set too.", true),
        (r"31", r"$\boxed{31}$. Actually, the correct answer is 30.", false),
        (r"30", r"$\boxed{31}$. Actually, the correct answer is 30.", true),
        (r"31", r"$\boxed{31}$. So the correct answer is option D.", true),
        (r"31", r"$\boxed{31}$. So the correct answer is D.", true),
        (r"D", r"$\boxed{31}$. So the correct answer is D.", true),
        (r"31", r"$\boxed{31}$ (wrong)", false),
        (r"31", r"$\boxed{31}$ (correct)", true),
        (r"31", "$\\boxed{31}$\n\nEdit: the above is wrong.", false),
    ]);
}

#[test]
fn a_box_that_is_no_answer_is_not_searched_for_one() {
    check(&[
        (r"31", r"$\boxed{31}$ is two less than the answer.", false),
        (r"31", r"It is tempting to say $\boxed{31}$.", false),
        (r"31", r"A common mistake gives $\boxed{31}$.", false),
        (r"31", r"I doubt that it is $\boxed{31}$.", false),
        (r"31", r"There is no doubt that it is $\boxed{31}$.", true),
        (r"31", r"Avoiding the common mistake, we get $\boxed{31}$.", true),
        (r"31", r"Is it $\boxed{31}$?", false),
        (r"31", r"Is it 30? No, it is $\boxed{31}$.", true),
        (r"31", r"$\boxed{31}$ or 32.", false),
        (r"31", r"$\boxed{31}$ or $32$.", false),
        (r"0.25", r"$\boxed{\frac14}$ or $0.25$.", true),
        (r"31", r"$\boxed{31}$ or equivalently $30+1$.", true),
        (r"30", r"Not $\boxed{31}$, it is 30.", true),
    ]);
}

#[test]
fn a_text_that_breaks_off_says_nothing() {
    check(&[
        (r"31", r"The first term is 31, so the second is", false),
        (r"31", r"We have 31 of them, which gives the", false),
        (r"31", r"The length is 31 in", true),
        (r"31", r"We get **31**\n\nand that took a while", true),
    ]);
}

#[test]
fn sentences_say_words() {
    check(&[
        (r"No", r"No, two of them coincide.", true),
        (r"No", r"The answer is no: $n = 3$ is a counterexample.", true),
        (r"Yes", r"Yes, $n = 3$ works.", true),
        (r"No", r"No. For example, $n = 4$ fails.", true),
        (r"Yes", r"No. For example, $n = 4$ fails.", false),
        (r"Yes", r"Yes, if $n = 3$, or else no.", false),
        (r"No", r"No way to tell.", false),
        (r"rhombus", r"Yes, it is a rhombus.", true),
        (r"Friday", r"The 50th day falls on a Friday.", true),
        (r"Friday", r"The day before it falls on a Friday.", false),
        (r"Friday", r"It depends on Friday.", false),
        (r"odd", r"f is an odd function.", true),
        (r"odd", r"f is not an odd function.", false),
        (r"True", r"The claim is sometimes true.", false),
        (r"infinitely many", r"There are infinitely many such primes.", true),
        (r"infinitely many", r"There are not infinitely many such primes.", false),
        (r"20", r"The answer is therefore twenty.", true),
        (r"20", r"The answer is almost twenty.", false),
        (r"38", r"The answer is thirty-eight (38).", true),
        (r"\frac27", r"The probability equals two sevenths.", true),
        (r"9", r"I'm fairly confident that the answer is 9.", true),
        (r"6:15 a.m.", r"They will leave at 6:15 AM.", true),
        (r"6:15 a.m.", r"They will leave at 6:15 PM.", false),
        (r"(-\infty,4]", r"The solution is all real numbers x such that x ≤ 4.", true),
        (r"(-\infty,4]", r"The solution is all real numbers x such that x < 4.", false),
    ]);
}

#[test]
fn brackets_behind_an_answer() {
    check(&[
        (r"17", r"\boxed{17 (cm)}", true),
        (r"17 (cm)", r"\boxed{17}", true),
        (r"17 \text{ (years old)}", r"\boxed{17}", true),
        (r"17", r"\boxed{17 \text{ (cm}^2\text{)}}", true),
        (r"17 \text{ cm}", r"\boxed{17\ (\text{m})}", false),
        (r"17", r"\boxed{17 \text{ (at least)}}", false),
        (r"17", r"\boxed{17 \text{ (lower bound)}}", false),
        (r"17", r"\boxed{17 \text{ (thousand)}}", false),
        (r"17", r"\boxed{17(k)}", false),
        (r"x=2", r"\boxed{x=2 \text{ (double root)}}", true),
        (r"x=2", r"\boxed{x=2 \text{ (rejected)}}", false),
    ]);
}

#[test]
fn numbered_parts_and_statements() {
    check(&[
        (r"(1) $\frac12$; (2) $3$", r"\boxed{(1)\ \frac12;\ (2)\ 3}", true),
        (r"(1) $\frac12$; (2) $3$", r"\boxed{\frac12, 3}", true),
        (r"(1) $\frac12$; (2) $3$", r"\boxed{3, \frac12}", false),
        (r"(i) 3 (ii) 5", r"\boxed{\text{(i) } 3, \text{(ii) } 5}", true),
        (r"(i) 3 (ii) 5", r"\boxed{(i)\ 5,\ (ii)\ 3}", false),
        (r"(2)(3)", r"\boxed{(2), (3)}", true),
        (r"(2)(3)", r"\boxed{6}", false),
        (r"(x+1)(x+3)", r"\boxed{x^2+4x+3}", true),
        (r"36", r"\boxed{(12)(3)}", true),
        (r"24", r"\boxed{2(3)(4)}", true),
    ]);
}

#[test]
fn values_and_their_surroundings() {
    check(&[
        (r"15 m", r"\boxed{15 \text{ meters}}", true),
        (r"15 m", r"\boxed{15 \text{ seconds}}", false),
        (r"15 x", r"\boxed{15 \text{ meters}}", false),
        (r"10^{3}\ \mathrm{s^{-1}}", r"\boxed{10^3}", true),
        (r"10^{3}\ \mathrm{s^{-1}}", r"\boxed{10^{3}\text{ s}}", false),
        (r"1995", r"\boxed{\text{the year } 1995}", true),
        (r"x \ne 0, 1", r"\boxed{\mathbb{R} \setminus \{0, 1\}}", true),
        (r"x \ne 0, 1", r"\boxed{x \ne 0}", false),
        (r"x \ne 0, 1", r"\boxed{x = 0, 1}", false),
        (r"n^2", r"\boxed{\mathcal{O}(n^2)}", false),
        (r"n^2", r"\boxed{\text{O}(n^2)}", false),
    ]);
}

#[test]
fn signs_in_the_text_of_a_box() {
    check(&[
        (r"5", r"\boxed{\text{Area = } 5}", true),
        (r"5", r"\boxed{\text{n = } 5}", true),
        (r"5", r"\boxed{\text{x < } 5}", false),
        (r"5", r"\boxed{\text{x > } 5}", false),
        (r"5", r"\boxed{5 \text{ ??}}", false),
        (r"5", r"\boxed{5 \text{ (?)}}", false),
        (r"5", r"\boxed{5 \text{ !}}", false),
        (r"5", r"\boxed{5 \text{ only}}", true),
        (r"5", r"\boxed{5 \text{ miles away}}", true),
        (r"5", r"\boxed{5 \text{ odd numbers}}", true),
        (r"5", r"\boxed{5 \text{ odd}}", false),
        (r"5", r"\boxed{5 \text{ at a minimum}}", false),
        (r"5", r"\boxed{5 \text{ for n even}}", false),
        (r"5", r"\boxed{5 \text{ for a dollar}}", true),
        (r"5", r"\boxed{5 \text{ where n is even}}", false),
        (r"5", r"\boxed{5 \text{ recurring}}", false),
        (r"5", r"\boxed{\text{upper bound: } 5}", false),
        (r"5", r"\boxed{5 \text{ less a few}}", false),
        (r"5", r"\boxed{5 \text{ to one}}", false),
    ]);
}

#[test]
fn numbers_in_a_last_line() {
    check(&[
        (r"62", r"We obtain 62 as the result.", true),
        (r"62", r"We obtain 62 as a lower estimate.", false),
        (r"62", r"So the perimeter measures 62 cm.", true),
        (r"62", r"Thus the train travels at 62 km/h.", true),
        (r"62", r"Thus the sum hovers at 62.", false),
        (r"62", r"=> 62", true),
        (r"17", r"Of the 62 balls, 17 are green.", true),
        (r"17", r"Of the 62 balls, 17 are too heavy.", false),
        (r"62", r"There are 62 balls, and a third of them are green.", false),
        (r"62", r"He failed to reach 62.", false),
        (r"62", r"It is impossible to get 62.", false),
        (r"62", r"Answer: Chapter 62", false),
        (r"62", r"The answer is thought to be 62.", false),
        (r"62", r"The answer turns out to be 62.", true),
        (r"62", r"The answer was 62 in an earlier version.", false),
        (r"62", r"The answer depends on n; for n = 4 it is 62.", false),
        (r"62", r"The answer is 62, and we must double it.", false),
        (r"62", r"The answer is 62, and this is optimal.", true),
        (r"62", r"The answer is 62, then halved to give 31.", false),
        (r"62", r"Answer: Exactly 62", true),
        (r"62", r"Answer: The train travels 62 miles.", true),
        (r"62", r"about 60-62", false),
        (r"62", r"The product is 5 × 62", false),
        (r"62", r"It is 31 * 2 = 62", true),
        (r"62", r"The answer is 62. Just kidding, it's 63.", false),
        (r"63", r"The final answer is 62... or rather 63.", true),
    ]);
}

#[test]
fn sentences_that_take_back_a_box() {
    check(&[
        (r"31", r"$\boxed{31}$. That's incorrect. It is 8.", false),
        (r"31", r"$\boxed{31}$. That’s incorrect, since $5+8=13$.", false),
        (r"31", r"$\boxed{31}$. This is not wrong.", true),
        (r"31", r"$\boxed{31}$. Who counts 8, that is wrong.", true),
        (r"31", r"$\boxed{31}$. It is odd. Some say 8. That is wrong.", true),
        (r"31", r"$\boxed{31}$. Waiting takes longer.", true),
        (r"31", r"$\boxed{31}$. However, this counts mirror images twice, so the true count is 16.", false),
        (r"31", r"$\boxed{31}$. However, this never exceeds 40.", true),
        (r"31", r"$\boxed{31}$. But we must still subtract the corner.", false),
        (r"31", r"$\boxed{31}$. But we must have $n>2$.", true),
        (r"31", "$\\boxed{31}$\n\nThis contradicts the second condition.", false),
        (r"31", r"$\boxed{31}$ overshoots by four.", false),
        (r"31", r"$\boxed{31}$. Oh no, I meant 13.", false),
        (r"31", "$\\boxed{31}$\n\nSorry, that should be 13.", false),
        (r"31", "$\\boxed{31}$\n\nThat should be enough.", true),
        (r"31", r"$\boxed{31}$. The answer above is incorrect because $n$ is even.", false),
        (r"31", r"$\boxed{31}$. My previous result was not correct.", false),
        (r"31", r"$\boxed{31}$. The answer is easy to check.", true),
        (r"31", r"$\boxed{31}$. Hmm, $n=2$ fails here. So there is an error.", false),
        (r"31", r"$\boxed{31}$. There is a typo in the problem.", true),
        (r"31", r"$\boxed{31}$. Disregard this.", false),
        (r"31", r"$\boxed{31}$. Never mind the sign.", false),
        (r"31", r"$\boxed{31}$. But this is only a lower bound.", false),
        (r"31", r"$\boxed{31}$. This is a lower bound too, so we are done.", true),
        (r"31", r"$\boxed{31}$. However, 31 is out of range, so there is no solution.", false),
        (r"31", r"$\boxed{31}$. For odd $n$ there is no solution.", true),
        (r"31", r"$\boxed{31}$, but this counts each pair twice.", false),
        (r"31", r"$\boxed{31}$. But this also counts for $n=4$.", true),
        (r"31", r"$\boxed{31}$. The check fails, so I made a mistake.", false),
        (r"31", r"$\boxed{31}$. I made a mistake at first, and have corrected it.", false),
        (r"31", "$\\boxed{31}$\n\nWrong! The correct value is 13.", false),
        (r"13", "$\\boxed{31}$\n\nWrong! The correct value is 13.", true),
        (r"31", "$\\boxed{31}$\n\nWrong options are left out.", true),
        (r"31", r"$\boxed{31}$. So the actual number is 13.", false),
        (r"31", r"$\boxed{31}$. The answer should be 13.", false),
        (r"31", r"$\boxed{31}$. The answer should be positive.", true),
        (r"31", r"$\boxed{31}$. That is not my final answer.", false),
        (r"31", r"$\boxed{31}$. That is not the only way.", true),
        (r"31", r"$\boxed{31}$. However, the problem asks for $a+b$.", false),
        (r"31", r"$\boxed{31}$. However, the problem does not ask for a proof.", true),
        (r"31", r"$\boxed{31}$ turned out to be wrong.", false),
        (r"31", r"$\boxed{31}$ ✗", false),
        (r"31", r"$\boxed{31}$ ✓", true),
        (r"31", r"Answer: 31 ❌", false),
        (r"19", r"\boxed{19}. Adding 1 for the empty set, the final count is 20.", false),
        (r"20", r"\boxed{19}. Adding 1 for the empty set, the final count is 20.", true),
        (r"19", r"\boxed{19}. The final count is 19.", true),
        (r"19", r"\boxed{19}. The total number of students is 50.", true),
        (r"19", r"\boxed{19}. Thus the required number is one less, namely 18.", false),
        (r"19", r"\boxed{19}. This is one less than 20.", true),
        (r"19", r"\boxed{19}. UPDATE: I recounted and got 21.", false),
        (r"19", r"\boxed{19}. I rechecked and got 19.", true),
        (r"20", r"\boxed{19}. EDIT: it is 20.", true),
        (r"19", r"\boxed{19}. My apologies, it should have been 20.", false),
        (r"19", r"\boxed{19}. Counting again gives 20.", false),
        (r"19", r"\boxed{19}. Counting again gives 19.", true),
        (r"19", r"\boxed{19}. But the question wants the sum: 20.", false),
        (r"19", r"\boxed{19}. So the desired value is indeed 19.", true),
        (r"19", r"\boxed{19}. In fact, it is the only one.", true),
        (r"19", r"\boxed{19}. On reflection the answer ought to be 21.", false),
        (r"19", r"\boxed{19}. The question asks for pairs, so divide by 2.", false),
        (r"19", r"\boxed{19}. To verify, multiply by 2 to get 38.", true),
        (r"19", r"\boxed{19} was the intermediate value.", false),
        (r"19", r"\boxed{19} was found by the intermediate value theorem.", true),
        (r"12", r"\boxed{12\text{ short}}", false),
        (r"12", r"\boxed{12\text{ short of the total}}", false),
        (r"12", r"\boxed{12\text{ short sticks}}", true),
    ]);
}

#[test]
fn a_box_in_a_sentence_about_another_value() {
    check(&[
        (r"31", r"If order mattered, we would get $\boxed{31}$.", false),
        (r"31", r"If we add these, we get $\boxed{31}$.", true),
        (r"31", r"Some might think it is $\boxed{31}$.", false),
        (r"31", r"I think it is $\boxed{31}$.", true),
        (r"31", r"Twice the answer is $\boxed{31}$.", false),
        (r"31", r"Half of our answer is $\boxed{31}$.", false),
        (r"31", r"Suppose it is $\boxed{31}$.", false),
        (r"31", r"Suppose $x=2$, then it is $\boxed{31}$.", true),
        (r"31", r"Ruling out $\boxed{31}$, there is one case left.", false),
        (r"31", r"The number of ways is close to $\boxed{31}$.", false),
        (r"31", r"The largest is smaller than $\boxed{31}$.", false),
        (r"31", r"We need more than $\boxed{31}$.", true),
        (r"31", r"The sum of the answers is $\boxed{31}$.", true),
        (r"31", r"A lower bound is $\boxed{31}$.", false),
        (r"31", r"The least upper bound is $\boxed{31}$.", true),
        (r"31", r"It would be a mistake to answer $\boxed{31}$.", false),
        (r"31", r"Correcting the mistake, we get $\boxed{31}$.", true),
    ]);
}

#[test]
fn remarks_in_brackets_are_no_part_of_the_answer() {
    check(&[
        (r"5", r"Answer: 5 (since $f(2)+3=5$)", true),
        (r"5", r"\boxed{5 \text{ (since } 2+3=5)}", true),
        (r"5", r"\boxed{5 \text{ (which is } $5$)}", true),
        (r"\frac12", r"\boxed{\frac12 \text{ (one half)}}", true),
        (r"5", r"\boxed{5 \text{ (not 6)}}", true),
        (r"5", r"\boxed{5 \text{ (or 6)}}", false),
        (r"5", r"\boxed{5 \text{ (as a lower bound)}}", false),
        (r"5", r"\boxed{5 (x+1)}", false),
        (r"5", r"\boxed{5 \text{ (not prime)}}", true),
        (r"D", r"\boxed{\text{D (not C)}}", true),
        (r"D", r"\boxed{\text{D (or C)}}", false),
        (r"47", r"The answer is forty-seven (47).", true),
        (r"47", r"The answer is at most forty-eight (47).", false),
    ]);
}

#[test]
fn labels_are_no_part_of_the_answer() {
    check(&[
        (r"5", r"\boxed{\text{Total cost: } 5}", true),
        (r"5", r"\boxed{\textbf{Answer}: 5}", true),
        (r"5", r"\boxed{\text{at least: } 5}", false),
        (r"2:3", r"\boxed{boys:girls = 2:3}", true),
        (r"No solution", r"\boxed{\text{No Solution.}}", true),
        (r"No solution", r"\boxed{$\mathrm{~No\ solution}$}", true),
    ]);
}

#[test]
fn parts_that_stand_apart() {
    check(&[
        (r"(a) 5; (b) 12", r"\boxed{\text{(a) }5,\ \text{(b) }12}", true),
        (r"(a) 5; (b) 12", r"\boxed{\text{a) 5  b) 12}}", true),
        (r"(a) 5; (b) 12", r"\boxed{(a)\ 5 \quad (b)\ 12}", true),
        (r"(1) $5$; (2) $12$", r"\boxed{(1)\ 5,\ (2)\ 12}", true),
        (r"i) 5, ii) 12", r"\boxed{(i) 5 (ii) 12}", true),
        (r"a^2-b^2", r"\boxed{(a+b)(a-b)}", true),
        (r"2f(5)", r"\boxed{f(5) + f(5)}", true),
        (r"(a) 5; (b) 12", r"(a) $\boxed{5}$ (b) $\boxed{12}$", true),
        (r"(a) 5; (b) 12", r"(a) $\boxed{12}$ (b) $\boxed{5}$", false),
        (r"(a) 5; (b) 12", "Part (a): \\boxed{5}\n\nPart (b): \\boxed{12}", true),
        (r"12", r"(a) $\boxed{5}$ (b) $\boxed{12}$", true),
        (r"5, 12", r"f(a) = $\boxed{5}$ and then f(b) = $\boxed{12}$", false),
        (r"(a) 5; (b) 12", "**(a)** $5$\n\n**(b)** $12$", true),
        (r"(a) 5; (b) 12", "(a) 12\n(b) 5", false),
    ]);
}

#[test]
fn choices_and_names_in_a_last_line() {
    check(&[
        (r"B", r"(B) $12\pi$", true),
        (r"B", "(A) $6\\pi$\n(B) $12\\pi$", false),
        (r"B", r"(B) is too large", false),
        (r"D", "A) 3\nB) 4\nC) 5\nD) 6", false),
        (r"62", r"So the answer is not 26, it is 62.", true),
        (r"26", r"So the answer is not 26, it is 62.", false),
        (r"5", r"\boxed{x=5\ (x=-5 \text{ is rejected})}", true),
        (r"5", r"\boxed{x=-5\ (x=5 \text{ is rejected})}", false),
        (r"D", r"D: none of the above", true),
        (r"Ben", r"Ben is the tallest.", true),
        (r"Ben", r"Ben is the brother of the tallest.", false),
        (r"Ben", r"Ben is the tallest but Tom.", false),
        (r"Mia", r"Mia has the most marbles.", true),
        (r"The first player wins", r"\boxed{\text{First player}}", true),
        (r"The first player wins", r"\boxed{\text{Second player}}", false),
        (r"(4,-1)", r"The vertex is at (4, -1).", true),
        (r"62", r"__62__", true),
        (r"62", r"Hence, 62 students play neither sport.", true),
        (r"62", r"62 is neither prime nor the answer.", false),
        (r"62", r"The answer is 62; 26 is wrong.", true),
        (r"62", r"The answer is 26; 62 is wrong.", false),
        (r"62", r"So x = 62 is the only real root.", true),
        (r"62", r"So x = 62 is the square root.", false),
        (r"62", r"So x = 62 (rejecting x = -62).", true),
        (r"62", r"So x = -62 (rejecting x = 62).", false),
        (r"62", r"It follows that $n \mid 62$.", false),
        (r"62", r"It follows that $62 \mid n$.", false),
        (r"62", r"Answer: ~~26~~ 62", true),
        (r"26", r"Answer: ~~26~~ 62", false),
        (r"x=6,y=2", r"$x=6,~~y=2$", true),
        (r"62", r"Answer: the 62 from part (a) halved.", false),
        (r"62", r"Answer: the 62 from part (a).", true),
        (r"\frac35", r"概率为五分之三。", true),
        (r"\frac35", r"概率不是五分之三。", false),
    ]);
}
