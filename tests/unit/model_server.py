"""Servers in this process that fail when they are told to; one has the calls of `p2o serve`."""

from __future__ import annotations

import copy
import hashlib
import json
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import Any

import torch
from chat_server import QuietHTTPServer

from p2o.rollout.hf import HfSampler
from p2o.rollout.sampler import SampleRequest, SamplingParams
from p2o.rollout.vllm_weights import BACKEND, TensorPlace

COMPLETIONS = "/v1/completions"

DRIP_S = 0.02
"""Seconds between two bytes of a server that drips."""

Damage = Callable[[Any], Any]


def _in_choice(change: Callable[[dict[str, Any]], Any]) -> Damage:
    def damage(answer: Any) -> Any:
        answer = copy.deepcopy(answer)
        change(answer["choices"][0])
        return answer

    return damage


DAMAGES: dict[str, Damage] = {
    "wrong shape": lambda _: {"data": [1, 2]},
    "a list": lambda _: [],
    "null": lambda _: None,
    "no choice": lambda answer: {**answer, "choices": []},
    "two choices": lambda answer: {**answer, "choices": answer["choices"] * 2},
    "NaN": _in_choice(lambda choice: choice["logprobs"]["token_logprobs"].__setitem__(0, float("nan"))),
    "no log-prob": _in_choice(lambda choice: choice["logprobs"]["token_logprobs"].__setitem__(0, None)),
    "above zero": _in_choice(lambda choice: choice["logprobs"]["token_logprobs"].__setitem__(0, 0.5)),
    "too few log-probs": _in_choice(lambda choice: choice["logprobs"]["token_logprobs"].pop()),
    "too few tokens": _in_choice(
        lambda choice: (choice["token_ids"].pop(), choice["logprobs"]["token_logprobs"].pop())
    ),
    "unknown token": _in_choice(lambda choice: choice["token_ids"].__setitem__(0, 10**6)),
    "negative token": _in_choice(lambda choice: choice["token_ids"].__setitem__(0, -1)),
    "a text": _in_choice(lambda choice: choice.update(token_ids="abc")),
    "aborted": _in_choice(lambda choice: choice.update(finish_reason="abort")),
}
"""Answers of status 200 that are not what was asked for; the first three of any call, the others of a completion."""

OF_ANY_CALL = ("wrong shape", "a list", "null")

BROKEN = ("resets", "breaks off", "drips", "drips its head", "hangs", "500", "429", "html")
"""Other faults of an answer to any call."""


class FaultyServer:
    """Answers by `answer`.

    `fault_of(number, call)` names the fault of a call, in the order in which they come from 1 on, or is empty. A call's
    name is its path, or the method that `/collective_rpc` is to call.
    """

    def __init__(self) -> None:
        self.fault_of: Callable[[int, str], str] = lambda number, call: ""
        self.calls: list[str] = []
        """Names, in order."""
        self.lock = threading.RLock()
        self.over = threading.Event()
        self.port = 0
        self.listen()

    def answer(self, path: str, body: Any) -> Any:
        """The JSON of an answer."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def listen(self) -> None:
        """Starts, or starts again on the same port."""
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                owner.handle(self, None)

            def do_POST(self) -> None:
                owner.handle(
                    self, json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
                )

            def log_message(self, *args: Any) -> None:
                pass

        self.http = QuietHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self.http.server_port
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def leave(self) -> None:
        """Nothing listens from now on."""
        with self.lock:
            if self.thread.is_alive():
                self.http.shutdown()
                self.thread.join()
                # Closing is not enough: a process that was forked has the socket as well.
                self.http.socket.shutdown(socket.SHUT_RDWR)
                self.http.server_close()

    def close(self) -> None:
        self.over.set()
        self.leave()

    def handle(self, request: Any, body: Any) -> None:
        """Answers a call, or does worse."""
        if request.path == "/p2o/hold":
            request.send_response(200)
            request.send_header("transfer-encoding", "chunked")
            request.end_headers()
            request.wfile.write(b"5\r\nheld\n\r\n")
            request.rfile.read(1)  # until the client goes
            request.close_connection = True
            return
        with self.lock:
            call = body["method"] if request.path == "/collective_rpc" else request.path
            self.calls.append(call)
            fault = self.fault_of(len(self.calls), call)
        status, answer = 200, None
        if fault in ("500", "429"):
            status, answer = int(fault), {"error": {"message": "busy"}}
        else:
            with self.lock:
                answer = self.answer(request.path, body)
            if fault in DAMAGES:
                answer = DAMAGES[fault](answer)
        data = b"<html>Please log in.</html>" if fault == "html" else json.dumps(answer).encode()
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n".encode()
        with suppress(OSError):  # the client has given up
            self.send(request, fault, head, data)

    def send(self, request: Any, fault: str, head: bytes, data: bytes) -> None:
        if fault in ("", "500", "429", "html", *DAMAGES):
            request.wfile.write(head + data)
            return
        request.close_connection = True
        if fault == "resets":
            linger = struct.pack("ii", 1, 0)
            request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            request.connection.close()
        elif fault == "leaves":
            self.leave()
        elif fault == "breaks off":
            request.wfile.write(head + data[: len(data) // 2])
        elif fault == "hangs":
            self.over.wait()
        else:
            slow = head + data if fault == "drips its head" else data
            request.wfile.write((head + data).removesuffix(slow))
            for byte in slow + b" " * 10**6:
                request.wfile.write(bytes([byte]))
                if self.over.wait(DRIP_S):
                    return


class ModelServer(FaultyServer):
    """Samples from `model`, whose weights it is pushed."""

    def __init__(self, model: Any, end_ids: Any, *, pad_id: int = 0) -> None:
        self.model = copy.deepcopy(model)
        self.sampler = HfSampler(self.model, end_ids=end_ids, pad_id=pad_id)
        self.version = "start"
        self.loaded: set[str] = set()
        self.known: dict[str, dict[str, Any]] = {}
        """Completions drawn before: runs of a test ask for the same."""
        super().__init__()

    def answer(self, path: str, body: Any) -> Any:
        """What vLLM answers."""
        match path:
            case "/start_weight_update":
                self.loaded = set()
            case "/update_weights":
                self.load(body["update_info"])
            case "/finish_weight_update":
                self.version = body["weight_version"]
            case "/weight_info":
                return {"weight_version": self.version}
            case "/reset_prefix_cache":
                return {"success": True}
            case "/collective_rpc":
                return {"results": [getattr(self, body["method"])()]}
            case "/v1/completions":
                key = hashlib.sha256(f"{self.digest} {json.dumps(body)}".encode()).hexdigest()
                if key not in self.known:
                    self.known[key] = self.complete(body)
                return {"choices": [self.known[key]]}
        return {}

    def load(self, info: dict[str, Any]) -> None:
        """Weights of a file in shared memory, as in `p2o.rollout.vllm_worker`."""
        places = [TensorPlace(*place) for place in info["places"]]
        size = max(place.offset + place.size for place in places)
        buffer = torch.from_file(info["path"], shared=True, size=size, dtype=torch.uint8)
        weights = dict(self.model.named_parameters())
        with torch.no_grad():
            for place in places:
                flat = buffer[place.offset : place.offset + place.size].view(getattr(torch, place.dtype))
                weights[place.name].copy_(flat.view(place.shape))
                self.loaded.add(place.name)

    @property
    def digest(self) -> str:
        weights = b"".join(weight.detach().numpy().tobytes() for weight in self.model.parameters())
        return hashlib.sha256(weights).hexdigest()

    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        params = SamplingParams(body["max_tokens"], body["temperature"], body["top_p"], body["top_k"])
        (sample,) = self.sampler.sample([SampleRequest(tuple(body["prompt"]), body["seed"])], params)
        return {
            "token_ids": [int(token) for token in sample.response_ids],
            "logprobs": {"token_logprobs": [float(value) for value in sample.logprobs]},
            "finish_reason": sample.finish_reason,
        }

    def p2o_describe(self) -> dict[str, Any]:
        config = self.model.config
        sizes = {name: getattr(config, name) for name in ("vocab_size", "hidden_size", "num_hidden_layers")}
        return {
            **sizes,
            "dtype": "float32",
            "device": "cuda",
            "max_model_len": 512,
            "transfer": BACKEND,
            "lora_rank": 0,
        }

    def p2o_missing_weights(self) -> list[str]:
        return sorted({name for name, _ in self.model.named_parameters()} - self.loaded)

    def p2o_abandon_update(self) -> None:
        pass
