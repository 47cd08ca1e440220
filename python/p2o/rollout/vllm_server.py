"""The sampler `vllm-server`, a client of a server: vLLM's own OpenAI server, started with `p2o serve`.

Prompts and completions travel as token ids over `/v1/completions`, a request a completion; weights travel by
[`p2o.rollout.vllm_weights`][].
"""

from __future__ import annotations

import math
import os
import re
import socket
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from itertools import islice
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Self, TypeVar
from uuid import uuid4

import torch

from p2o.distributed import ONE_PROCESS, Processes
from p2o.errors import ConfigError, P2oError, SamplerError, TrainingError
from p2o.masking import MASK, mask_url, secrets_in_url
from p2o.rollout import server_client
from p2o.rollout.config import Nccl, RolloutConfig, SharedMemory, parse_transfer
from p2o.rollout.encode import end_ids
from p2o.rollout.probe import vllm_computes_in
from p2o.rollout.sampler import Ended, Progress, Sample, Sampler, SampleRequest, SamplingParams, in_order
from p2o.rollout.server_access import TOKEN_VARIABLE, find_token
from p2o.rollout.server_client import ServerClient, ServerError
from p2o.rollout.server_guard import HOLD, NAME_HEADER, RUN_HEADER, TOKEN_HEADER
from p2o.rollout.vllm import AT_ONCE, check_length
from p2o.rollout.vllm_lora import AdapterPush, MergedPush, ServerSlot, check_lora
from p2o.rollout.vllm_weights import BACKEND, HttpControl, NcclTransfer, SentTypes, SharedMemoryTransfer
from p2o.sizes import ITEMSIZE

if TYPE_CHECKING:
    from p2o.config import Config
    from p2o.policy.optimizer_config import LoraConfig
    from p2o.policy.weights import Weights

T = TypeVar("T")

_ABOVE_ZERO = 1e-3
"""Log-probs are at most 0, up to rounding."""

COMPARED = ("vocab_size", "hidden_size", "num_hidden_layers")
"""What a server's model must have in common with the policy's."""

LOOK_S = 0.02
"""Seconds after which a stream gives its caller a turn although nothing has ended."""

RUN = uuid4().hex
"""This process to a server that works for one run: a run may have several samplers."""


class ServerSampler(Sampler):
    """Samples from a vLLM server, to which rank 0 pushes the weights.

    Args:
        model: the policy's model; only its configuration is used here.
        config: the rollout's settings.
        end_ids: tokens that end a response.
        lora: the adapters that the server takes in place of merged weights; unset, none.
        processes: the processes of the run.

    Raises:
        ConfigError: if nothing answers at `rollout.vllm.url`, or not a `p2o serve` of this model, or it works for
            another run.
    """

    in_process = False
    beside_training = True
    refills = True
    max_model_len: int

    def __init__(
        self,
        model: Any,
        config: RolloutConfig,
        *,
        end_ids: Sequence[int],
        lora: LoraConfig | None = None,
        processes: Processes = ONE_PROCESS,
    ) -> None:
        settings = config.vllm
        self.lora = lora
        self.adapters = lora is not None
        self.at_once = config.batch_size or AT_ONCE
        self.way = parse_transfer(settings.transfer)
        self.processes = processes
        self.end_ids = sorted(end_ids)
        self.url = mask_url(settings.url.rstrip("/"))
        self.version: str | None = None
        """Version of the weights that were pushed last; None before the first push and after one that failed."""
        self.pushes = 0
        headers = {RUN_HEADER: processes.broadcast(RUN)}
        if (token := find_token(settings.url)) is not None:
            headers[TOKEN_HEADER] = token
        self.client = ServerClient(
            settings.url.rstrip("/"), settings.timeout_s, connections=self.at_once, headers=headers
        )
        self.control = HttpControl(self.client)
        try:
            description = self._connect(model, config)
            self._accounted = self._generated() if processes.is_main else 0
            """Tokens that the server has generated and that are known of."""
        except P2oError:
            self.close()
            raise
        self.max_model_len = description["max_model_len"]
        self.vocabulary = description["vocab_size"]
        self.dtype = description["dtype"]
        self.computes_in = vllm_computes_in(self.dtype, gpu=description["device"] == "cuda")
        types = SentTypes(model.dtype, getattr(torch, self.dtype))
        transfer = (
            NcclTransfer(self.control, types, rank=processes.rank, way=self.way)
            if isinstance(self.way, Nccl)
            else SharedMemoryTransfer(self.control, types, self.way.folder)
        )
        self.pusher = (
            AdapterPush(transfer, ServerSlot(self.client), self.way.folder)
            if self.adapters and isinstance(self.way, SharedMemory)
            else MergedPush(transfer)
        )

    @classmethod
    def make(cls, config: Config, model: Any, tokenizer: Any, processes: Processes) -> Self:
        """A client of the server at `rollout.vllm.url`, which must be running."""
        return cls(
            model,
            config.rollout,
            end_ids=end_ids(model, tokenizer),
            lora=config.optimizer.lora if config.rollout.vllm.lora == "adapter" else None,
            processes=processes,
        )

    @classmethod
    def check(cls, config: Config) -> None:
        """Refuses an address without its secret, arguments of an engine that the server has long had, and adapters by
        NCCL."""
        check_lora(config)
        # A run may go on by the settings that it wrote down.
        if MASK in secrets_in_url(config.rollout.vllm.url):
            raise ConfigError(
                f"rollout.vllm.url holds {MASK} in place of a secret, as settings are written down: give it again with "
                "--set rollout.vllm.url=..."
            )
        if config.rollout.vllm.lora == "adapter" and isinstance(
            parse_transfer(config.rollout.vllm.transfer), Nccl
        ):
            raise ConfigError(
                'rollout.vllm.lora = "adapter" goes through files: set rollout.vllm.transfer = '
                '"shared-memory:/FOLDER", a folder that the server sees too'
            )
        if config.rollout.vllm.extra:
            raise ConfigError(
                "rollout.vllm.extra: a server takes further arguments when it starts (p2o serve MODEL --vllm ...); "
                "leave them out"
            )

    def _connect(self, model: Any, config: RolloutConfig) -> dict[str, Any]:
        """Takes the server for this run, until the connection ends, and returns what it says about its model.

        Raises:
            ConfigError: on all ranks, if it is no server of p2o's, belongs to another run, or has another model or
                other settings than are needed.
        """
        with self.processes.raising_on_all():
            try:
                if self.processes.is_main:
                    self.client.get("/health", lambda _: None)
                    self.client.hold(HOLD, {NAME_HEADER: f"process {os.getpid()} on {socket.gethostname()}"})
                description = self.client.post(
                    "/collective_rpc",
                    {"method": "p2o_describe"},
                    lambda answer: describe(answer["results"][0]),
                )
            except ServerError as error:
                raise self._not_ours(error) from error
            except SamplerError as error:
                raise ConfigError(f"{error}: start it with `p2o serve MODEL`") from error
            self._check(description, model, config)
        return description

    def _not_ours(self, error: ServerError) -> ConfigError:
        """Why the server cannot be used."""
        server = f"the server at rollout.vllm.url = {self.url}"
        match error.status:
            case 401:
                return ConfigError(
                    f"{server} asks for its token: on its own node the user who started it has it; elsewhere set "
                    f"{TOKEN_VARIABLE} to what is in the file that `p2o serve` named"
                )
            case 409:
                return ConfigError(
                    f"{server} is taken: {error}; wait for that run, or start a server of its own (p2o serve --port)"
                )
        return ConfigError(f"{server} is not one of p2o's: start it with `p2o serve MODEL` ({error})")

    def _check(self, description: Mapping[str, Any], model: Any, config: RolloutConfig) -> None:
        """Refuses another model than the policy's, another transfer, and what would refuse the longest prompts later.

        Raises:
            ConfigError: saying how to start the server.
        """
        ours = model.config.get_text_config()
        different = [name for name in COMPARED if description[name] != getattr(ours, name)]
        if different:
            raise ConfigError(
                f"the server at {self.url} serves another model: its {different[0]} is {description[different[0]]}, "
                f"the policy's {getattr(ours, different[0])}; start it with `p2o serve` and the policy's model"
            )
        kind, backend = ("nccl", "nccl") if isinstance(self.way, Nccl) else ("shared-memory", BACKEND)
        if description["transfer"] != backend:
            raise ConfigError(
                f"the server at {self.url} takes its weights by {description['transfer']!r}: start it with "
                f"`p2o serve --transfer {kind}`, or change rollout.vllm.transfer"
            )
        if self.lora is not None and description["lora_rank"] < self.lora.rank:
            raise ConfigError(
                f"the server at {self.url} takes adapters of rank {description['lora_rank']} at most, and "
                f"optimizer.lora.rank is {self.lora.rank}: start it with `p2o serve --lora {self.lora.rank}`, or set "
                'rollout.vllm.lora = "merged"'
            )
        needed = config.max_prompt_tokens + config.max_tokens
        if description["max_model_len"] < needed:
            raise ConfigError(
                f"the server at {self.url} takes {description['max_model_len']} tokens, less than "
                f"rollout.max_prompt_tokens = {config.max_prompt_tokens} and rollout.max_tokens = {config.max_tokens} "
                f"together: start it with `p2o serve --max-model-len {needed}`, or lower one of them"
            )

    def sync(self, policy: Weights) -> None:
        """Pushes the policy's weights from rank 0; again, where that may help.

        Raises:
            TrainingError: if the push fails; nothing is sampled before one succeeds.
            ConfigError: if the weights don't fit the folder of `rollout.vllm.transfer`.
        """
        for attempt in range(server_client.RETRIES + 1):
            try:
                self._push(policy)
                return
            except SamplerError:
                if attempt == server_client.RETRIES:
                    raise
            time.sleep(server_client.BACKOFF_S * 2**attempt)

    def _push(self, policy: Weights) -> None:
        """Pushes the weights once. What fails on one rank is raised on all."""
        held, self.version = self.version, None
        self.pushes += 1
        pushes = self.processes.is_main or isinstance(self.way, Nccl)
        with self.processes.raising_on_all():
            take_part = self.pusher.push if pushes else self.pusher.follow
            version, self.adapter = take_part(policy, f"p2o-{self.pushes}", held)
            if self.processes.is_main and not self.client.post(
                "/reset_prefix_cache", {}, lambda answer: bool(answer["success"])
            ):
                raise TrainingError(
                    f"the vLLM server at {self.url} could not drop its prefix cache: others use it too"
                )
        self.version = version

    def close(self) -> None:
        """Closes the connections; the server goes on, free for another run."""
        self.client.close()

    def sample(
        self, requests: Sequence[SampleRequest], params: SamplingParams, progress: Progress | None = None
    ) -> list[Sample]:
        """Draws one completion per request; see `stream`."""
        return in_order(ServerSampler.stream(self, requests, params, progress))

    def stream(
        self,
        requests: Iterable[SampleRequest],
        params: SamplingParams,
        progress: Progress | None = None,
        at_once: int | None = None,
    ) -> Generator[Ended]:
        """Completions as their answers come; see [`p2o.rollout.sampler.Sampler.stream`][].

        Raises:
            TrainingError: if the server is dead, or does not hold the weights of the last `sync`.
            ConfigError: if a prompt leaves no room for the response.
        """
        if self.version is None:
            raise TrainingError("the vLLM server has no current weights: sync before sampling")
        self._check_version()
        repeated = self.client.repeated
        waiting, taken = iter(requests), 0
        under_way: dict[Future[Sample], int] = {}
        done: SimpleQueue[Future[Sample]] = SimpleQueue()
        try:
            while True:
                room = None if at_once is None else min(at_once, self.at_once) - len(under_way)
                for request in islice(waiting, room):
                    check_length(len(request.prompt_ids), params.max_tokens, self.max_model_len)
                    future = self._complete(request, params)
                    under_way[future] = taken
                    future.add_done_callback(done.put)
                    taken += 1
                if not under_way:
                    break
                ended = [(under_way.pop(future), future.result()) for future in _within(LOOK_S, done)]
                self.received += sum(len(sample.response_ids) for _, sample in ended)
                if progress is not None and ended:
                    progress(len(ended))
                yield ended
        finally:
            for future in under_way:
                future.cancel()
        if self.client.repeated > repeated:  # the server may have started again meanwhile
            self._check_version()

    def given_up(self, received: int) -> int:
        """See [`p2o.rollout.sampler.Sampler.given_up`][].

        It is what the server has generated and nobody has received, by its own count: of requests sent again as well. A
        few tokens more may come of those that it has not ended yet, and are in the next sum.
        """
        if not self.processes.is_main:
            return 0
        given_up = max(0, self._generated() - self._accounted - received)
        self._accounted += given_up
        return given_up

    def _generated(self) -> int:
        """Tokens that the server has generated since it was started, which its metrics tell."""
        counts = re.findall(
            r"^vllm:generation_tokens_total(?:{.*})? (\S+)$", self.client.text("/metrics"), re.M
        )
        return round(sum(map(float, counts)))

    def _check_version(self) -> None:
        """Raises TrainingError if the server does not hold the weights that were pushed last."""
        held = self.control.version()
        if held != self.version:
            raise TrainingError(
                f"the vLLM server at {self.url} holds the weights {held!r}, not {self.version!r}: it was restarted, or "
                "another run uses it; resume from the last checkpoint, with a server of its own"
            )

    def _complete(self, request: SampleRequest, params: SamplingParams) -> Future[Sample]:
        """A completion to come. The same seed gives the same one, so that a request can be repeated."""
        asked = {
            "prompt": list(request.prompt_ids),
            "max_tokens": params.max_tokens,
            "temperature": params.temperature,
            "top_p": params.top_p,
            "top_k": params.top_k,
            "seed": request.seed,
            "stop_token_ids": self.end_ids,
            "ignore_eos": True,  # only end_ids end a response
            "logprobs": 0,  # of the sampled token alone
            "return_token_ids": True,
        }
        if self.adapter is not None:
            asked["model"] = self.adapter
        return self.client.submit(
            "POST",
            "/v1/completions",
            asked,
            lambda answer: completion(answer, self.end_ids, params.max_tokens, self.vocabulary),
            repeat=True,
        )


def _within(seconds: float, queue: SimpleQueue[T]) -> Iterator[T]:
    """What is in the queue; if nothing is, what comes first within these seconds."""
    with suppress(Empty):
        yield queue.get(timeout=seconds)
        while True:
            yield queue.get_nowait()


def describe(description: Any) -> dict[str, Any]:
    """What a server says about its model, as far as it is used.

    Raises:
        ValueError, TypeError, LookupError: if it says something else.
    """
    if description["dtype"] not in ITEMSIZE:
        raise ValueError(f"dtype is {description['dtype']!r}")
    sizes = {name: int(description[name]) for name in (*COMPARED, "max_model_len", "lora_rank")}
    return {**sizes, **{name: description[name] for name in ("dtype", "device", "transfer")}}


def completion(answer: Any, end_ids: Sequence[int], max_tokens: int, vocabulary: int) -> Sample:
    """The one completion that was asked for. What is damaged would be trained on, or graded as 0.

    Raises:
        ValueError, TypeError, LookupError: if it is none.
    """
    (choice,) = answer["choices"]
    ids, logprobs, reason = choice["token_ids"], choice["logprobs"]["token_logprobs"], choice["finish_reason"]
    if reason not in ("stop", "length"):
        raise ValueError(f"a response ended with {reason!r}")
    if not all(type(token) is int and 0 <= token < vocabulary for token in ids):
        raise ValueError(f"a token is none of the vocabulary of {vocabulary}")
    if len(logprobs) != len(ids):
        raise ValueError(f"{len(logprobs)} log-probs of {len(ids)} tokens")
    if not all(isinstance(value, int | float) and -math.inf < value < _ABOVE_ZERO for value in logprobs):
        raise ValueError("a log-prob is no number below 0")
    whole = ids[-1] in end_ids and len(ids) <= max_tokens if reason == "stop" else len(ids) == max_tokens
    if not whole:
        raise ValueError(f"a response of {len(ids)} tokens ended with {reason!r}, of at most {max_tokens}")
    return Sample(ids, logprobs, reason)
