"""Who may change a `p2o serve`: whoever has its token. The server writes it where the same user on the same node finds
it; another node is given it in `P2O_SERVER_TOKEN`.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from p2o.model.fetch import cache_folder

TOKEN_VARIABLE = "P2O_SERVER_TOKEN"
"""Environment variable of the token, for the server and for its clients."""

API_KEY_VARIABLE = "P2O_SERVER_API_KEY"
"""By which `p2o serve` hands vLLM's own key to the guard."""

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


def token_file(host: str, port: int) -> Path:
    """Where the token of the server of a node's port is. A home folder may be that of several nodes."""
    return cache_folder() / "servers" / f"{host}-{port}.token"


def give_token(port: int) -> tuple[str, Path]:
    """A token for the server that is about to start, that of the environment or a new one, and its file.

    Raises:
        OSError: if the file cannot be written.
    """
    token = os.environ.get(TOKEN_VARIABLE) or secrets.token_urlsafe(32)
    path = token_file(socket.gethostname(), port)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(token)
    temporary.replace(path)
    return token, path


def find_token(url: str) -> str | None:
    """The token of the server at an address: that of the environment, or of a server of this user on its node."""
    if token := os.environ.get(TOKEN_VARIABLE):
        return token
    parts = urlsplit(url)
    host = socket.gethostname() if parts.hostname in LOCAL_HOSTS else str(parts.hostname)
    try:
        path = token_file(host, parts.port or (443 if parts.scheme == "https" else 80))
        return path.read_text(encoding="ascii").strip() or None
    except (OSError, ValueError):
        return None


def api_key_of(arguments: Sequence[str]) -> str | None:
    """A key that vLLM asks for on its API: of the arguments `--api-key`, or of its environment variable."""
    found = os.environ.get("VLLM_API_KEY") or None
    for place, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name.replace("_", "-") == "--api-key":
            found = value if equals else next(iter(arguments[place + 1 :]), None)
    return found
