"""`p2o probe`: whether plain samples, words, or neither solve the problems of a recipe, before anything is trained.

`run` draws the rollouts and journals them, `statistics` says what they mean, `display` and `plot` show it.
"""
