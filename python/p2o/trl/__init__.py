"""P²O inside TRL's `GRPOTrainer`: completions of hard problems are drawn under templates, and learnt on plain prompts.

    guide = Guide(dataset, {"reflection.kind": "self"})
    trainer = GRPOTrainer(..., reward_funcs=guide.reward, rollout_func=guide.rollout, callbacks=[guide])

Ledger, mining, assignment, prompt step and context bounds are those of a run of p2o's own. Written for TRL 1.16, whose
`rollout_func` is experimental.
"""

from p2o.trl.guide import Guide

__all__ = ["Guide"]
