"""The exceptions users meet. Each message is one line: what is wrong, where, and the remedy.

To add one: derive from [`P2oError`][] and from the standard exception a caller would expect to catch. All take a
single message, so all of them pickle (they cross process boundaries under torchrun and in `spawn` pools).
"""


class P2oError(Exception):
    """Base of every error p2o raises on purpose. The commands print it as one line and exit with 2."""


class ConfigError(P2oError, ValueError):
    """A setting is unknown, of the wrong type, or contradicts another. The message names the setting."""


class RewardError(ConfigError):
    """A reward function gave no reward, or one outside [0, 1]. A run writes a checkpoint before it ends."""


class DataError(P2oError, ValueError):
    """A data file cannot be used. The message names the file and the line."""


class InputError(P2oError, ValueError):
    """An argument of a library call cannot be used (raised by the Rust core as well)."""


class TooFewProblemsError(InputError):
    """There are too few problems for a prompt step to find anything out."""


class ModelError(P2oError, ValueError):
    """A model path or id does not lead to a loadable model."""


class MissingDependencyError(P2oError, ImportError):
    """An optional dependency is needed. The message gives the `pip install` line."""


class HubError(P2oError, RuntimeError):
    """A model hub refuses, or cannot be reached."""


class ReflectionError(P2oError, RuntimeError):
    """The reflection model cannot be reached or refuses for good. Ends the prompt step, not the run."""


class RunDirectoryError(P2oError, RuntimeError):
    """A run directory cannot be used: it exists already, is incomplete, or belongs to another configuration."""


class CheckpointError(P2oError, RuntimeError):
    """A checkpoint cannot be resumed: it is damaged, or of another model."""


class TrainingError(P2oError, RuntimeError):
    """Training cannot continue (non-finite loss, sampler and trainer disagree about the weights)."""


class SamplerError(TrainingError):
    """A server that samples gives no answer, or none that can be used. A run writes a checkpoint before it ends."""


def brief(value: object) -> str:
    """A value as messages show it."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def in_one_line(error: BaseException) -> str:
    """Type and message of an error that code of others raised."""
    return harmless(" ".join(f"{type(error).__name__}: {error}".split()))


def harmless(text: str) -> str:
    """A text that others may have written on one line, without what could steer a terminal (newlines shown as ⏎)."""
    return "".join(c if c.isprintable() else "⏎" if c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
