//! Answer verification: extraction of the final answer and equivalence with the gold.
