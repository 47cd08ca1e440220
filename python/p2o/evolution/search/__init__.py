"""How templates are looked for: rounds of proposals, what is tried out, accepted and trained under."""
