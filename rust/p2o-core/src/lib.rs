#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod pack;
pub mod pareto;
pub mod verify;
