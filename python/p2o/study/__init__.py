"""`p2o study`: the same training under different rules, at equal generated tokens, over several seeds.

`plan.py` reads a study (TOML) and says which runs it takes; `runner.py` works them off, one process a run
(`worker.py`); `results.py` is what is kept of a run; `statistics.py`, `tables.py` and `plots.py` make the report of it.
`teacher.py` is a simulated teacher for the tiny world, `worlds.py` makes tiny worlds of other leaks.
"""
