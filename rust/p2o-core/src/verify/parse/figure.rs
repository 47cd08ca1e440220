//! Names of geometry: `\angle ABC`, `\triangle ABC`, `\overline{AB}`.

use super::Parser;
use super::lex::Kind;
use crate::verify::expr::Expr;

impl Parser<'_, '_> {
    /// The name of an angle or a triangle, whose letters are no product. An angle has its vertex in the middle; the corners
    /// of a triangle have no order where it stands alone.
    pub(super) fn figure(&mut self, name: &str) -> Option<Expr> {
        let kind = match name {
            "angle" | "measuredangle" | "sphericalangle" => "angle",
            "triangle" => "triangle",
            _ => return None,
        };
        let braced = usize::from(self.is_op('{'));
        let mut letters: Vec<&str> = self.tokens[self.at + braced..]
            .iter()
            .map_while(|token| match token.kind {
                Kind::Symbol(letter) if letter.len() == 1 && letter.starts_with(char::is_uppercase) => {
                    Some(letter)
                }
                _ => None,
            })
            .collect();
        let end = braced + letters.len();
        if letters.is_empty() || braced == 1 && !self.is_op_at(end, '}') {
            return None;
        }
        let corresponds = |kind: &Kind<'_>| matches!(kind, Kind::Symbol("cong") | Kind::Op('∼' | '≅' | '='));
        if kind == "angle" {
            if letters.first() > letters.last() {
                letters.reverse();
            }
        } else if !self.tokens.iter().any(|token| corresponds(&token.kind)) {
            letters.sort_unstable();
        }
        self.at += end + braced;
        Some(Expr::Symbol(format!("{kind} {}", letters.concat()).into()))
    }
}

/// The letters of a segment in their order in the alphabet: that from B to A is that from A to B.
pub(super) fn ends_of_segment(letters: String) -> String {
    match letters.as_bytes() {
        [first @ b'A'..=b'Z', second @ b'A'..=b'Z'] if first > second => letters.chars().rev().collect(),
        _ => letters,
    }
}
