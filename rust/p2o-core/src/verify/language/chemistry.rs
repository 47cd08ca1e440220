//! Chemical formulae: `\\mathrm{H_2O}`, `\\ce{SO4^2-}`, H₂O.

const ELEMENTS: &str = " H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br \
    Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os \
    Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu ";

/// A formula as elements, counts and charge, without fonts, groups and underscores; none of anything else.
pub(crate) fn formula(text: &str) -> Option<String> {
    const LONGEST: usize = 120;
    if text.len() > LONGEST || !text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let mut plain = text.to_string();
    for font in ["\\ce", "\\mathrm", "\\text", "\\rm", "\\,", "\\!", "\\cdot"] {
        plain = plain.replace(font, "");
    }
    let mut flat = String::with_capacity(plain.len());
    for character in plain.chars() {
        match character {
            '{' | '}' | '$' | '_' | ' ' => {}
            '₀'..='₉' => flat.extend(char::from_digit(u32::from(character) - u32::from('₀'), 10)),
            '⁺' => flat.push_str("^+"),
            '⁻' => flat.push_str("^-"),
            other => flat.push(other),
        }
    }
    // `\ce{Na+}` is charged too.
    let charged =
        flat.strip_suffix(['+', '-']).filter(|body| body.ends_with(|last: char| last.is_ascii_alphabetic()));
    if let Some(body) = charged {
        flat = format!("{body}^{}", &flat[body.len()..]);
    }
    is_formula(&flat).then_some(flat)
}

/// Whether two texts are the same formula.
pub(crate) fn same(left: &str, right: &str) -> bool {
    formula(left).is_some_and(|left| Some(left) == formula(right))
}

/// Elements with counts, groups of them in parentheses, and a charge at the end.
fn is_formula(flat: &str) -> bool {
    let (body, charge) = match flat.split_once('^') {
        Some((body, charge)) => (body, Some(charge)),
        None => (flat, None),
    };
    let charged = charge.is_none_or(|charge| {
        let signs = charge.trim_start_matches(|digit: char| digit.is_ascii_digit());
        matches!(signs, "+" | "-")
    });
    let mut rest = body;
    let mut elements = 0;
    while let Some(first) = rest.chars().next() {
        let element = [2, 1]
            .into_iter()
            .find(|length| rest.get(..*length).is_some_and(|name| ELEMENTS.contains(&format!(" {name} "))));
        let length = match element {
            Some(length) if first.is_ascii_uppercase() => {
                elements += 1;
                length
            }
            _ if elements > 0 && (first.is_ascii_digit() || first == ')') || first == '(' => 1,
            _ => return false,
        };
        rest = &rest[length..];
    }
    charged && elements > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulae() {
        for text in ["\\mathrm{H_2O}", "\\ce{H2O}", "H₂O", "\\text{H}_{2}\\text{O}"] {
            assert_eq!(formula(text).as_deref(), Some("H2O"), "{text}");
        }
        assert!(same("\\mathrm{SO_4^{2-}}", "\\ce{SO4^2-}"));
        assert!(same("\\text{Na}^+", "\\ce{Na+}"));
        for (left, right) in
            [("Fe^{3+}", "Fe^{2+}"), ("CO", "Co"), ("H_2O", "H_2O_2"), ("x^2", "x^2"), ("5", "5")]
        {
            assert!(!same(left, right), "{left} {right}");
        }
    }
}
