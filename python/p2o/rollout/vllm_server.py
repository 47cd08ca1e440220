"""The sampler `vllm-server`, a client of a server: vLLM's own OpenAI server, started with `p2o serve`.

Prompts and completions travel as token ids over `/v1/completions`, a request a completion; weights travel by
[`p2o.rollout.vllm_weights`][].
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit
from uuid import uuid4

import torch

from p2o.distributed import ONE_PROCESS, Processes
from p2o.errors import ConfigError, MissingDependencyError, P2oError, TrainingError
from p2o.masking import mask_url
from p2o.policy.weights import saved_weights
from p2o.rollout.config import Nccl, RolloutConfig, parse_transfer
from p2o.rollout.encode import end_ids
from p2o.rollout.sampler import Progress, Sample, Sampler, SampleRequest, SamplingParams
from p2o.rollout.server_access import LOCAL_HOSTS, TOKEN_VARIABLE, find_token
from p2o.rollout.server_guard import HOLD, NAME_HEADER, RUN_HEADER, TOKEN_HEADER
from p2o.rollout.vllm import AT_ONCE, check_length, raise_on_all_ranks
from p2o.rollout.vllm_weights import BACKEND, HttpControl, NcclTransfer, SharedMemoryTransfer, Transfer, drain

if TYPE_CHECKING:
    from p2o.config import Config
    from p2o.policy.weights import Weights

COMPARED = ("vocab_size", "hidden_size", "num_hidden_layers")
"""What a server's model must have in common with the policy's."""


ANSWER_TIMEOUT = 600.0
"""Seconds without an answer after which a server counts as dead."""


RUN = uuid4().hex
"""This process to a server that works for one run: a run may have several samplers."""


class ServerSampler(Sampler):
    """Samples from a vLLM server, to which rank 0 pushes the weights.

    Args:
        model: the policy's model; only its configuration is used here.
        config: the rollout's settings.
        end_ids: tokens that end a response.
        processes: the processes of the run.

    Raises:
        ConfigError: if nothing answers at `rollout.vllm.url`, or not a `p2o serve` of this model, or it works for
            another run.
    """

    in_process = False
    max_model_len: int

    def __init__(
        self, model: Any, config: RolloutConfig, *, end_ids: Sequence[int], processes: Processes = ONE_PROCESS
    ) -> None:
        settings = config.vllm
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
        # One more: the request that holds the server stays open.
        self.client = open_client(
            settings.url.rstrip("/"), ANSWER_TIMEOUT, connections=self.at_once + 1, headers=headers
        )
        self.open = ExitStack()
        self.control = HttpControl(self._get, self._post)
        try:
            self._hold()
            description = self._describe(model)
            self.max_model_len = int(description["max_model_len"])
            self._check_length(config)
        except P2oError:
            self.close()
            raise
        self.dtype = str(description["dtype"])
        dtype = getattr(torch, self.dtype)
        self.transfer: Transfer = (
            NcclTransfer(self.control, dtype, rank=processes.rank, way=self.way)
            if isinstance(self.way, Nccl)
            else SharedMemoryTransfer(self.control, dtype, self.way.folder)
        )

    @classmethod
    def make(cls, config: Config, model: Any, tokenizer: Any, processes: Processes) -> Self:
        """A client of the server at `rollout.vllm.url`, which must be running."""
        return cls(model, config.rollout, end_ids=end_ids(model, tokenizer), processes=processes)

    def _hold(self) -> None:
        """Takes the server for this run, until the connection ends.

        Raises:
            ConfigError: if it is no server of p2o's, or belongs to another run.
        """
        failed: P2oError | None = None
        if self.processes.is_main:
            try:
                self._get("/health")
                name = f"process {os.getpid()} on {socket.gethostname()}"
                request = self.client.build_request("POST", HOLD, headers={NAME_HEADER: name})
                self.open.callback(self._answer(request, stream=True).close)
            except ServerError as error:
                failed = self._not_ours(error)
            except TrainingError as error:
                failed = ConfigError(f"{error}: start it with `p2o serve MODEL`")
        raise_on_all_ranks(self.processes, failed)

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

    def _describe(self, model: Any) -> dict[str, Any]:
        """What the server serves, once it is known to be the policy's model, with the settings that are needed."""
        try:
            description: dict[str, Any] = self.control.call("p2o_describe")
        except ServerError as error:
            raise self._not_ours(error) from error
        except TrainingError as error:
            raise ConfigError(f"{error}: start it with `p2o serve MODEL`") from error
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
        return description

    def _check_length(self, config: RolloutConfig) -> None:
        """Refuses a server that would refuse the longest prompts, when a run meets them."""
        needed = config.max_prompt_tokens + config.max_tokens
        if self.max_model_len < needed:
            raise ConfigError(
                f"the server at {self.url} takes {self.max_model_len} tokens, less than rollout.max_prompt_tokens = "
                f"{config.max_prompt_tokens} and rollout.max_tokens = {config.max_tokens} together: start it with "
                f"`p2o serve --max-model-len {needed}`, or lower one of them"
            )

    def sync(self, policy: Weights) -> None:
        """Pushes the policy's weights from rank 0.

        Raises:
            TrainingError: if the push fails; nothing is sampled before one succeeds.
            ConfigError: if the weights don't fit the folder of `rollout.vllm.transfer`.
        """
        self.version = None
        self.pushes += 1
        version = f"p2o-{self.pushes}"
        failed: P2oError | None = None
        try:
            if self.processes.is_main or isinstance(self.way, Nccl):
                self.transfer.push(lambda: saved_weights(policy), version)
            else:
                drain(policy.weights())
            if self.processes.is_main and not self._post("/reset_prefix_cache", {})["success"]:
                raise TrainingError(
                    f"the vLLM server at {self.url} could not drop its prefix cache: others use it too"
                )
        except P2oError as error:
            failed = error
        raise_on_all_ranks(self.processes, failed)
        self.version = version

    def close(self) -> None:
        """Closes the connections; the server goes on, free for another run."""
        self.open.close()
        self.client.close()

    def sample(
        self, requests: Sequence[SampleRequest], params: SamplingParams, progress: Progress | None = None
    ) -> list[Sample]:
        """Draws one completion per request; see [`p2o.rollout.sampler.Sampler`][].

        Raises:
            TrainingError: if the server is dead, or does not hold the weights of the last `sync`.
            ConfigError: if a prompt leaves no room for the response.
        """
        if self.version is None:
            raise TrainingError("the vLLM server has no current weights: sync before sampling")
        for request in requests:
            check_length(len(request.prompt_ids), params.max_tokens, self.max_model_len)
        held = self.control.version()
        if held != self.version:
            raise TrainingError(
                f"the vLLM server at {self.url} holds the weights {held!r}, not {self.version!r}: it was restarted, or "
                "another run uses it; resume from the last checkpoint, with a server of its own"
            )
        with ThreadPoolExecutor(max_workers=min(self.at_once, max(1, len(requests)))) as pool:
            futures: list[Future[Sample]] = [
                pool.submit(self._complete, request, params) for request in requests
            ]
            try:
                for future in as_completed(futures):
                    future.result()
                    if progress is not None:
                        progress(1)
            except BaseException:
                for future in futures:
                    future.cancel()
                raise
        return [future.result() for future in futures]

    def _complete(self, request: SampleRequest, params: SamplingParams) -> Sample:
        answer = self._post(
            "/v1/completions",
            {
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
            },
        )
        choice = answer["choices"][0]
        if choice["finish_reason"] not in ("stop", "length"):
            raise TrainingError(
                f"the vLLM server at {self.url} ended a response with {choice['finish_reason']!r}"
            )
        return Sample(choice["token_ids"], choice["logprobs"]["token_logprobs"], choice["finish_reason"])

    def _get(self, path: str) -> Any:
        return self._send("GET", path, None)

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        return self._send("POST", path, body)

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        """The decoded JSON of an answer; None where there is no body."""
        answer = self._answer(self.client.build_request(method, path, json=body))
        return answer.json() if answer.content else None

    def _answer(self, request: Any, *, stream: bool = False) -> Any:
        """The answer to a request; with `stream` one that goes on.

        Raises:
            ServerError: for any status but 200.
            TrainingError: if there is no answer.
        """
        import httpx

        try:
            answer = self.client.send(request, stream=stream)
            if answer.status_code != httpx.codes.OK:
                answer.read()
        except httpx.HTTPError as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise TrainingError(f"the vLLM server at {self.url} does not answer ({reason})") from error
        if answer.status_code != httpx.codes.OK:
            raise ServerError(
                f"{request.url.path}: {answer.status_code} {reason_of(answer)}", status=answer.status_code
            )
        return answer


class ServerError(TrainingError):
    """The server answered, but not with what was asked for."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


def open_client(url: str, timeout: float, *, connections: int, headers: Mapping[str, str]) -> Any:
    """An HTTP client of the server. The environment's proxies are left out for this machine's own addresses.

    Raises:
        MissingDependencyError: if httpx is not installed.
    """
    try:
        import httpx
    except ImportError:
        raise MissingDependencyError(
            "rollout.sampler = 'vllm-server' needs httpx: pip install httpx"
        ) from None
    local = urlsplit(url).hostname in LOCAL_HOSTS
    return httpx.Client(
        base_url=url,
        headers=dict(headers),
        timeout=httpx.Timeout(timeout, connect=min(timeout, 10.0)),
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        trust_env=not local,
    )


def reason_of(answer: Any) -> str:
    """The message of an error answer, in one line."""
    try:
        body = answer.json()
        message = body["error"]["message"] if isinstance(body["error"], dict) else body["error"]
    except (ValueError, KeyError, TypeError):
        message = answer.text
    return " ".join(str(message).split())[:300]
