//! What words, commands and letters say: one row a word in [`lexicon`], and the phrases made of them.

pub(crate) mod behind;
pub(crate) mod chemistry;
pub(crate) mod dates;
pub(crate) mod denial;
pub(crate) mod english;
#[cfg(test)]
mod laws;
pub(crate) mod lexicon;
pub(crate) mod numerals;
pub(crate) mod parts;
pub(crate) mod retraction;
pub(crate) mod sayings;
pub(crate) mod statement;
pub(crate) mod text;
pub(crate) mod units;
pub(crate) mod words;
