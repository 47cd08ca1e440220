"""Entry points. Arguments are parsed before anything heavy is imported."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

from p2o import __version__
from p2o.cli.common import accept_any_text, drop_output, flush_output
from p2o.distributed import is_told_elsewhere, launched_size, let_threads_sleep
from p2o.errors import ConfigError, P2oError, harmless

COMMANDS = {
    "train": "train a model with P²O or GRPO",
    "eval": "a model on benchmarks: avg@k, maj@k, pass@k; or two evaluations compared",
    "probe": "which method fits a model and its problems, before anything is trained",
    "data": "what a file of problems holds: golds, duplicates, contradictions, overlap",
    "verify": "check completions against gold answers",
    "evolve": "evolve prompt templates without training",
    "report": "write the HTML report of a run, or compare several",
    "watch": "show the report of a run under way in a browser",
    "push": "upload a run's model to the Hugging Face hub, with a model card",
    "serve": "a vLLM server that takes its weights from a training run",
    "study": "compare ways of training at equal generated tokens, over several seeds",
    "doctor": "what is installed, what works, and what to install",
}
"""Subcommand -> one-line help, a sentence but for its first letter and its full stop. `p2o.cli.<name>` has
`add_arguments(parser)` and `run(args) -> int`."""


ABOUT = "Joint policy and prompt optimization of language models."
EPILOG = "`p2o COMMAND --help` explains a command. `p2o train` alone is a demo that takes minutes on a CPU."


def main(argv: Sequence[str] | None = None) -> int:
    """The command `p2o`. Returns the exit code: 0, or 2 for a user's mistake.

    A user's mistake, or a file that cannot be used, is one line on stderr.
    """
    accept_any_text()
    let_threads_sleep()
    try:
        try:
            return run_command(list(sys.argv[1:] if argv is None else argv))
        finally:
            flush_output()
    except P2oError as error:
        if not is_told_elsewhere(error):
            print(f"error: {harmless(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        drop_output()
        return 141
    except OSError as error:
        # A folder that cannot be written, a full disk. The system's message fits one line.
        reason = (str(error.strerror or error).splitlines() or [type(error).__name__])[0]
        name = error.filename
        where = f"{os.fsdecode(name) if isinstance(name, bytes) else name}: " if name is not None else ""
        if not is_told_elsewhere(error):
            print(f"error: {harmless(where + reason)}", file=sys.stderr)
        drop_output()
        return 2
    except (MemoryError, RuntimeError) as error:
        if launched_size() > 1 and is_lost_process(error):
            print(LOST_PROCESS, file=sys.stderr)
            return 2
        if not is_out_of_memory(error):
            raise
        reason = (str(error).splitlines() or ["the system has none left"])[0]
        print(f"error: out of memory: {reason[:200]}. {LESS_MEMORY}", file=sys.stderr)
        return 2


class Parser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one line, as every mistake is told."""

    def error(self, message: str) -> NoReturn:
        """Raises ConfigError."""
        raise ConfigError(f"{message}; {self.prog} --help explains them")


def make_parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of a command line. It knows the arguments of the command that the line names, and of no other."""
    parser = Parser(prog="p2o", description=ABOUT, epilog=EPILOG)
    parser.add_argument("--version", action="version", version=f"p2o {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    # Only the chosen command's module is imported: `p2o verify` must not pay for the trainer.
    chosen = next((word for word in arguments if word in COMMANDS), None)
    for name, summary in COMMANDS.items():
        subparser = subparsers.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."
        )
        if name == chosen:
            import_module(f"p2o.cli.{name}").add_arguments(subparser)
    return parser


def run_command(arguments: Sequence[str]) -> int:
    """Parses the arguments and runs the command that they name."""
    args, unknown = make_parser(arguments).parse_known_args(arguments)
    if unknown:
        raise ConfigError(
            f"unrecognized arguments: {' '.join(unknown)}; p2o {args.command} --help explains them"
        )
    try:
        code: int = import_module(f"p2o.cli.{args.command}").run(args)
    except SystemExit as error:  # p2o itself calls no exit(); with code 0 it would look done
        raise P2oError(
            f"code from outside p2o (a part of your own, or of the model) called exit({error.code!r})"
        ) from error
    return code


LOST_PROCESS = "error: another process of the run has ended; what it said, or its launcher, tells why"


def is_lost_process(error: Exception) -> bool:
    """Whether communication broke off because another process has gone: the fault is there, not here."""
    said = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "remote process exited")
    return any(words in str(error) for words in said)


LESS_MEMORY = (
    "A run takes less with optimizer.gradient_checkpointing=true and a smaller optimizer.micro_batch_tokens, "
    "rollout.batch_size or rollout.vllm.gpu_memory_utilization, also with --resume; p2o train --check estimates it"
)


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory ran out: the machine's or a GPU's. torch, whose errors they are, is not imported for it."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "DefaultCPUAllocator: can't allocate memory" in str(error)
    )


def main_train(argv: Sequence[str] | None = None) -> int:
    """The command `p2o-train`: `p2o train` under its own name."""
    return main(["train", *(sys.argv[1:] if argv is None else argv)])
