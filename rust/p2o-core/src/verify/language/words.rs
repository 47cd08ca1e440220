//! The vocabulary: which names are functions, constants, operators, letters, units, or nothing at all.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

use super::lexicon::split;
use crate::verify::expr::Function;

/// Names with a meaning of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Function(Function),
    /// `\log`, whose base may follow as a subscript.
    Log,
    SquareRoot,
    CubeRoot,
    Pi,
    Infinity,
    Or,
    And,
    In,
    Union,
    Reals,
    EmptySet,
    Percent,
    Degree,
    /// `a \pmod m` and `a \bmod m`.
    Modulo,
    /// `cis x`, which is `cos x + i sin x`.
    Cis,
}

/// Words that mean the same with and without a backslash or `\text`.
pub(crate) fn plain_word(name: &str) -> Option<Word> {
    use Function as F;
    Some(match name {
        "sin" => Word::Function(F::Sin),
        "cos" => Word::Function(F::Cos),
        "tan" | "tg" => Word::Function(F::Tan),
        "cot" | "ctg" | "cotan" => Word::Function(F::Cot),
        "sec" => Word::Function(F::Sec),
        "csc" | "cosec" => Word::Function(F::Csc),
        "arcsin" | "asin" => Word::Function(F::Arcsin),
        "arccos" | "acos" => Word::Function(F::Arccos),
        "arctan" | "atan" | "arctg" => Word::Function(F::Arctan),
        "arccot" | "acot" | "arcctg" => Word::Function(F::Arccot),
        "sinh" => Word::Function(F::Sinh),
        "cosh" => Word::Function(F::Cosh),
        "tanh" => Word::Function(F::Tanh),
        "arcsinh" | "asinh" | "arsinh" => Word::Function(F::Arcsinh),
        "arccosh" | "acosh" | "arcosh" => Word::Function(F::Arccosh),
        "arctanh" | "atanh" | "artanh" => Word::Function(F::Arctanh),
        "ln" => Word::Function(F::Ln),
        "lg" | "log" => Word::Log,
        "exp" => Word::Function(F::Exp),
        "abs" => Word::Function(F::Abs),
        "floor" => Word::Function(F::Floor),
        "ceil" | "ceiling" => Word::Function(F::Ceil),
        "gcd" => Word::Function(F::Gcd),
        "lcm" => Word::Function(F::Lcm),
        "min" => Word::Function(F::Min),
        "max" => Word::Function(F::Max),
        "binom" | "binomial" => Word::Function(F::Binomial),
        "factorial" => Word::Function(F::Factorial),
        "Re" => Word::Function(F::Re),
        "Im" => Word::Function(F::Im),
        "sqrt" => Word::SquareRoot,
        "cbrt" => Word::CubeRoot,
        "pi" | "Pi" => Word::Pi,
        "infty" | "infinity" | "inf" | "Infinity" | "oo" => Word::Infinity,
        "or" | "OR" | "Or" => Word::Or,
        "and" | "AND" | "And" => Word::And,
        "in" => Word::In,
        "union" | "U" if name.len() > 1 => Word::Union,
        "percent" | "percents" => Word::Percent,
        "degree" | "degrees" | "deg" => Word::Degree,
        "mod" => Word::Modulo,
        "cis" => Word::Cis,
        _ => return None,
    })
}

/// What joins two values in Chinese.
pub(crate) fn joint(word: &str) -> Option<Word> {
    match word {
        "或" | "或者" => Some(Word::Or),
        "和" | "且" | "与" => Some(Word::And),
        _ => None,
    }
}

/// What a LaTeX command is to the lexer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Spacing, sizing and layout.
    Invisible,
    /// Its argument is set in another font.
    Font,
    /// One operator character.
    Operator(char),
    Word(Word),
    /// It has arguments or a bracket's role, which the parser knows.
    Structural,
}

const INVISIBLE: &str = "left right big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr middle quad qquad displaystyle \
    textstyle scriptstyle limits nolimits hspace thinspace enspace space hfill hline underline nonumber \
    notag centering small large Large therefore because negthinspace checkmark mathstrut strut \
    ensuremath blacksquare square Box qed QED qedsymbol qedhere rm bf it tt sf";
const FONTS: &str = "text textbf textit textrm textsf texttt textnormal textup mathrm mathbf mathit mathsf mathtt mathcal \
    mathscr mathfrak mathbb Bbb mbox hbox boldsymbol bm pmb emph operatorname textsc mathop mathnormal";
const STRUCTURAL: &str = "frac dfrac tfrac cfrac sfrac sqrt cbrt binom dbinom tbinom choose begin end lfloor rfloor lceil \
    rceil langle rangle sum prod int iint oint lim limsup liminf overline bar hat widehat vec tilde \
    widetilde dot ddot over overrightarrow boxed fbox atop partial nabla det sup forall exists \
    underbrace overbrace xrightarrow stackrel substack cancel phantom conj";
const OPERATORS: &[(char, &str)] = &[
    ('*', "cdot times ast bullet cdotp"),
    ('/', "div"),
    ('±', "pm"),
    ('∓', "mp"),
    ('≤', "le leq leqslant leqq"),
    ('≥', "ge geq geqslant geqq"),
    ('<', "lt"),
    ('>', "gt"),
    ('≠', "ne neq"),
    ('≈', "approx simeq thickapprox"),
    ('=', "equiv"),
    ('∪', "cup bigcup"),
    ('∩', "cap bigcap"),
    ('∖', "setminus backslash smallsetminus"),
    ('∈', "in"),
    (':', "colon"),
    ('|', "mid vert lvert rvert"),
    ('‖', "Vert lVert rVert parallel"),
    ('\'', "prime"),
    ('→', "to rightarrow Rightarrow implies iff Leftrightarrow mapsto"),
    ('…', "dots ldots cdots dotsc"),
    ('[', "lbrack"),
    (']', "rbrack"),
    ('(', "lparen"),
    (')', "rparen"),
    ('∼', "sim"),
];

static COMMANDS: LazyLock<FxHashMap<&str, Command>> = LazyLock::new(|| {
    let named = |command: Command, names: &'static str| names.split(' ').map(move |name| (name, command));
    [(Command::Structural, STRUCTURAL), (Command::Invisible, INVISIBLE), (Command::Font, FONTS)]
        .into_iter()
        .chain(OPERATORS.iter().map(|(operator, names)| (Command::Operator(*operator), *names)))
        .flat_map(|(command, names)| named(command, names))
        .collect()
});

/// What the command of a name is; none of a letter's.
pub(crate) fn command(name: &str) -> Option<Command> {
    let word = |word| Some(Command::Word(word));
    match name {
        "emptyset" | "varnothing" | "O" => word(Word::EmptySet),
        "Reals" | "reals" | "R" => word(Word::Reals),
        "degree" | "circ" | "textdegree" => word(Word::Degree),
        "inf" | "U" | "sup" | "Pi" => COMMANDS.get(name).copied(),
        "land" | "wedge" => word(Word::And),
        "lor" | "vee" => word(Word::Or),
        "pmod" | "bmod" => word(Word::Modulo),
        _ => COMMANDS.get(name).copied().or_else(|| plain_word(name).map(Command::Word)),
    }
}

/// The letters that Unicode characters stand for.
const LETTERS: &str = "αalpha βbeta γgamma δdelta εepsilon ζzeta ηeta θtheta κkappa λlambda μmu µmu νnu ξxi ρrho σsigma \
    τtau φphi ϕphi χchi ψpsi ωomega ΓGamma ΔDelta ∆Delta ΘTheta ΛLambda ΣSigma ΦPhi ΨPsi ΩOmega ℓell";

/// The letter a Unicode character stands for.
pub(crate) fn letter_name(character: char) -> Option<&'static str> {
    let letter = || LETTERS.split(' ').find_map(|letter| letter.strip_prefix(character));
    if character.is_ascii() { None } else { letter() }
}

/// A Greek letter written out in plain text.
pub(crate) fn spelled_letter(run: &str) -> Option<&'static str> {
    const SPELLED: [&str; 13] =
        split("alpha beta gamma delta epsilon theta lambda mu rho sigma tau phi omega");
    SPELLED.into_iter().find(|letter| *letter == run)
}

/// The letter of a command: variants of a Greek letter are that letter.
pub(crate) fn letter_command(name: &str) -> &str {
    let plain = name.strip_prefix("var").filter(|plain| spelled_letter(plain).is_some());
    plain.unwrap_or(name)
}
