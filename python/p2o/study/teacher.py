"""A simulated teacher for the tiny world: an OpenAI-compatible server that answers as a good large model would.

It reads the failed examples of a reflection request and replies with a precise instruction for the kind of problem
that failed. It stands for the strong reflection model of the paper; it is a simulation, and knows the tiny world's
families by heart. Under the name `simulated-teacher-0.1` it does so in one reply out of ten and otherwise gives advice
that names no method: a reflection model that hardly ever knows what helps.
"""

from __future__ import annotations

import json
import random
import re
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from p2o.errors import InputError
from p2o.tiny.world import FAMILIES, NEUTRAL

MODEL = "simulated-teacher"
"""The name the server goes by: the default `reflection.endpoint.model` of a study's teacher arms."""

_QUESTION = re.compile(r"(\d+)\s*([+\-*])\s*(\d+)\s*=\?")
_VERDICT = re.compile(r"\b(right|correct|wrong|incorrect)\b", re.IGNORECASE)


def failed_signs(text: str) -> list[str]:
    """The operators of the examples that a reflection prompt shows as wrong, one for each example."""
    shown = list(_QUESTION.finditer(text))
    ends = [match.start() for match in shown[1:]] + [len(text)]
    signs = []
    for match, end in zip(shown, ends, strict=True):
        # The first such word is the example's verdict; the prompt's own text comes before or after the examples.
        verdict = _VERDICT.search(text, match.end(), end)
        if verdict is not None and verdict[0].lower() in ("wrong", "incorrect"):
            signs.append(match[2])
    return signs


def useful_share(model: str) -> float:
    """The share of useful replies that a model name stands for.

    >>> useful_share("simulated-teacher"), useful_share("simulated-teacher-0.1")
    (1.0, 0.1)

    Raises:
        InputError: if the teacher does not go by this name.
    """
    found = re.fullmatch(rf"{MODEL}(?:-(0\.\d+))?", model)
    if found is None:
        raise InputError(
            f"{model!r} is not a name of the teacher: {MODEL}, or {MODEL}-0.1 for one useful reply in ten"
        )
    return float(found[1] or 1.0)


def instruct(text: str, seed: int, useful: float = 1.0) -> str:
    """A precise instruction for a family that failed in the prompt `text`, or for a random one if none did.

    For a share 1 - `useful` of the seeds it is advice that names no method: one to four of the tiny world's neutral
    instructions, under which the shipped model answers as on the plain prompt.
    """
    rng = random.Random(seed)
    if useful < 1.0 and rng.random() >= useful:
        return " ".join(rng.sample(NEUTRAL, rng.randint(1, 4)))
    signs = failed_signs(text)
    sign = rng.choice(signs) if signs else None
    family = next((family for family in FAMILIES if family.sign == sign), None) or rng.choice(FAMILIES)
    return family.instruction(rng, precise=True)


def answer(body: Mapping[str, Any]) -> dict[str, Any]:
    """The chat completion of a request. Tokens are counted as for the tiny model: one per character."""
    messages = body["messages"]
    prompt = "\n".join(message["content"] for message in messages)
    useful = useful_share(body.get("model", MODEL))
    text = f"```\n{instruct(messages[-1]['content'], int(body.get('seed') or 0), useful)}\n```"
    usage = {"prompt_tokens": len(prompt), "completion_tokens": len(text) + 1}
    return {
        "id": "simulated",
        "object": "chat.completion",
        "created": 0,
        "model": body.get("model", MODEL),
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {**usage, "total_tokens": sum(usage.values())},
    }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answers a chat completion request; anything else is refused with 400."""
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        try:
            status, content = 200, answer(json.loads(raw))
        except (InputError, ValueError, KeyError, TypeError, IndexError) as error:
            status, content = 400, {"error": {"message": f"not a chat completion request: {error}"}}
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Connections waiting to be accepted. The default of 5 resets some of the reflector's 16 on a busy machine.
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores clients that left before their answer."""


class Teacher:
    """The server, on a free local port, for the length of a `with` block.

    >>> with Teacher() as teacher:
    ...     print(teacher.url.endswith("/v1"))
    True
    """

    def __init__(self) -> None:
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
