"""The policy update: rewards to advantages, token streams, losses.

`advantages` and `context` are numpy; `streams`, `losses` and `logprobs` are torch. `config` imports neither.
"""
