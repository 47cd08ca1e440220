"""Rollouts: what is sampled (`collect`), and who samples it (`hf`). A sampler is a class with `sample` and `sync`."""
