"""An OpenAI-compatible server in this process, for tests of what speaks to one."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, Any] | tuple[int, Any, dict[str, str]]


def completion(text: str | None, finish_reason: str = "stop", prompt: int = 10, reply: int = 20) -> Answer:
    choice = {
        "index": 0,
        "finish_reason": finish_reason,
        "message": {"role": "assistant", "content": text},
    }
    usage = {"prompt_tokens": prompt, "completion_tokens": reply, "total_tokens": prompt + reply}
    return 200, {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]} | {
        "usage": usage
    }


class QuietHTTPServer(ThreadingHTTPServer):
    request_queue_size = (
        64  # connections waiting to be accepted; the default of 5 resets some on a busy machine
    )

    """Says nothing about a client that left before its answer, as a cancelled one does."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class Server:
    """Answers each request by a function of the parsed body; keeps the bodies and the most requests at once."""

    def __init__(self) -> None:
        self.answer: Callable[[dict[str, Any]], Answer] = lambda body: completion("ok")
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.open = self.most_open = 0
        self.lock = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with owner.lock:
                    owner.bodies.append(body)
                    owner.headers.append({name.lower(): value for name, value in self.headers.items()})
                    owner.open += 1
                    owner.most_open = max(owner.most_open, owner.open)
                status, content, *more = owner.answer(body)
                with owner.lock:
                    owner.open -= 1
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in (more[0] if more else {}).items():
                    self.send_header(name, value)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: Any) -> None:
                pass

        self.http = QuietHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()
