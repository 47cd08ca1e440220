//! Golds of data sets: numbers and formulae in all their spellings, conditions, and what names the value it gives. Each
//! line is `gold || answer`.

mod boxed;

use p2o_core::verify::Status;

use boxed::check;

#[test]
fn numbers_spelled_in_words() {
    check(
        r"
        0 || \text{zero}
        100 || \text{a hundred}
        100000 || \text{a hundred thousand}
        306 || \text{three hundred and six}
        1500 || \text{fifteen hundred}
        2001 || \text{two thousand and one}
        1200040 || \text{one million two hundred thousand forty}
        15 || 十五
        105 || 一百零五
        2001 || 两千零一
        35000 || 三万五千
        \frac23 || 三分之二
        30\% || 百分之三十
        ",
        Status::Correct,
    );
    check(
        r"
        11 || \text{five six}
        32 || \text{twenty twelve}
        17 || \text{twelve five}
        100 || \text{hundred}
        3 || \text{one and two}
        200 || \text{two hundred and}
        2003000 || \text{two thousand three million}
        20 || \text{twenty zero}
        5 || 二三
        5 || 零五分之二
        0 || 零分之二
        ",
        Status::Wrong,
    );
}

#[test]
fn names_of_quantities_and_their_units() {
    check(
        r"
        \sin\theta=\frac35 || \frac35
        \tan\alpha=2 || 2
        |z|=5 || 5
        A \cap B=\{2\} || \{2\}
        A \cup B=(1,3] || (1,3]
        9\pi cm^2 || 9\pi
        9\sqrt{3} cm || 9\sqrt3
        $9\sqrt{3}$ cm$^2$ || 9\sqrt3
        \frac{1}{2} mg || \frac{1}{2} gm
        2\pi hr || 2\pi rh
        k<-1或k>3 || k<-1 \text{ or } k>3
        2 或 -3 || -3, 2
        ",
        Status::Correct,
    );
    check(
        r"
        |x|=5 || 5
        \sin\theta=\frac35 || \frac45
        \sin\theta=\frac35 || \cos\theta=\frac35
        A \cap B=\{2\} || \{3\}
        A \cap B=\{2\} || A \cup B=\{2\}
        9\pi cm^2 || 9
        \frac{1}{2} mg || \frac12
        k<-1或k>3 || k<-1
        ",
        Status::Wrong,
    );
}

#[test]
fn conditions_behind_an_equation() {
    check(
        r"
        \frac{x^2}{4}+y^2=1(y\neq 0) || x^2+4y^2=4,\ y \neq 0
        \frac{x^2}{4}+y^2=1(y\neq 0) || \frac{x^2}{4}+y^2=1 \quad (y \neq 0)
        \frac{x^2}{4}+y^2=1, y\neq 0 || x^2+4y^2=4 \text{ where } y \neq 0
        y=x^2(x>0) || y=x^2 \text{ for } x>0
        f(x)=x^2-1, x \in [0,1] || f(x)=x^2-1\ (0\le x\le 1)
        a_n=2n-1(n\in N^*) || a_n=2n-1
        a_n=2n-1 || a_n=2n-1, n\in\mathbb{N}^{*}
        a_n=2n-1, n\in\mathbb{Z}^+ || a_n=2n-1,\ n \ge 1
        x \in R || x\in\mathbb{R}
        p=P(X>2) || P(X>2)
        ",
        Status::Correct,
    );
    check(
        r"
        \frac{x^2}{4}+y^2=1(y\neq 0) || x^2+4y^2=4
        \frac{x^2}{4}+y^2=1(y\neq 0) || x^2+4y^2=4,\ y \neq 1
        y=x^2(x>0) || y=x^2
        y=x^2(x>0) || y=x^2\ (x \ge 0)
        f(x)=x^2-1 || f(x)=x^2-1\ (0\le x\le 1)
        a_n=2n-1 || a_n=2n-1,\ n \ge 2
        a_n=2n-1, n\in\mathbb{N}^* || a_n=2n+1
        a_n=2n-1, n\in\mathbb{N}^* || a_n=2n-1, k\in\mathbb{N}^*
        ",
        Status::Wrong,
    );
}

#[test]
fn golds_that_name_what_they_are_the_value_of() {
    check(
        r"
        |\overrightarrow{AB}|=\sqrt5 || \sqrt5
        |\vec{a}+\vec{b}|=\sqrt7 || \sqrt7
        \cos(\alpha+\beta)=-\frac{16}{65} || -\frac{16}{65}
        \frac{AB}{BC}=\frac23 || \frac23
        f(-1)+f(1)=4 || 4
        f(x)_{\max}=5 || 5
        \max=5 || 5
        \gcd(a,b)=4 || 4
        \text{Re}(z)=3 || 3
        A∩B={x|1<x<2} || (1,2)
        {x|1<x<2} || (1,2)
        {(1,2)} || \{(1,2)\}
        E(X)=2, D(X)=1 || 2, 1
        The minimum of $f$ is $-2$ || -2
        \frac{a|b|}{2} || \frac12 a|b|
        ",
        Status::Correct,
    );
    check(
        r"
        |\vec{a}+\vec{b}|=\sqrt7 || 7
        |x+1|=5 || 5
        a+b=5 || 5
        \frac{a}{x+1}=5 || 5
        f(x)+f(y)=x+y || x+y
        E(X)=2, D(X)=1 || 1, 2
        {x|1<x<2} || [1,2]
        A∩B={x|1<x<2} || (1,3)
        ",
        Status::Wrong,
    );
}

#[test]
fn digits_and_formulae() {
    check(
        r"
        1234567 || 1,\!234,\!567
        1234567 || 1\,234\,567
        \frac{2469}{2} || 1,234.5
        4500 || 4.5e3
        0.001 || 1E-3
        \frac17 || 0.(142857)
        \frac{12}{11} || 1.\overline{09}
        \frac16 || 0.1666\ldots
        \frac{4}{33} || 0.121212...
        2e^x || e^x \cdot 2
        \mathrm{H_2O} || \ce{H2O}
        H₂O || \text{H}_{2}\text{O}
        \text{Na}^+ || \ce{Na+}
        ",
        Status::Correct,
    );
    check(
        r"
        1234 || 12,34
        12345 || 1,2345
        123 || 1 23
        \frac13 || 0.33...
        Fe^{3+} || Fe^{2+}
        CO || Co
        H_2O || H_2O_2
        ",
        Status::Wrong,
    );
}
