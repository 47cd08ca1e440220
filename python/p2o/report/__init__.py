"""The report: what a run left, on one page that works without a network."""
