"""`p2o study`: the same training under different rules, at equal generated tokens, over several seeds.

`plan.py` reads a study (TOML) and lists its runs; `runner.py` runs them, one process per run (`worker.py`);
`results.py` keeps the result of each; `statistics.py`, `tables.py` and `plots.py` make the report. `teacher.py` is a
simulated teacher for the tiny world; `worlds.py` trains tiny models with other leaks, the "worlds" of a study.
"""
