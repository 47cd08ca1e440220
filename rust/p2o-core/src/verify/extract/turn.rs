//! Where a model's turn ends.

/// Tokens that end a turn, as chat templates write them.
const TURN_ENDS: &str = "<|im_end|> <|im_start|> <|endoftext|> <|end_of_text|> <|eot_id|> <|start_header_id|> <|end|> \
    <|return|> <|EOT|> <|endofturn|> <|user|> <|end\u{2581}of\u{2581}sentence|> <end_of_turn> <eos> </s> [/INST]";

/// A text up to the first token that ends a turn in which something was said: what follows is another's.
pub(super) fn turn(text: &str) -> &str {
    for (at, _) in text.match_indices(['<', '[']) {
        let rest = &text[at..];
        let Some(token) = TURN_ENDS.split(' ').find(|token| rest.starts_with(token)) else { continue };
        // The end of a thought, with the model's own answer behind it.
        let goes_on = rest[token.len()..].starts_with("<|start|>assistant");
        let said = text[..at].bytes().any(|byte| !byte.is_ascii_whitespace());
        if said && !goes_on {
            return &text[..at];
        }
    }
    text
}
