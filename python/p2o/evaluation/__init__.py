"""`p2o eval`: benchmarks, their metrics over k completions a problem, resumable evaluations and their comparison."""
