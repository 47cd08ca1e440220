"""The tiny world: synthetic arithmetic, and a character model small enough to ship in the wheel.

A simulation of P²O's regime, for trying the whole method on a laptop: the plain prompt almost never makes the model
use the method it knows, the right instruction does, and each family of problems needs its own instruction.
"""

from pathlib import Path

MODEL_PATH = Path(__file__).parent / "model"
"""The weights of `p2o-tiny`, made by `python -m p2o.tiny.pretrain`."""
