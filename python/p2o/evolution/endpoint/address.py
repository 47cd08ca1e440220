"""Where requests to a model go, and which key goes with them: to no other host than the one it is for."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urljoin, urlsplit

from p2o.errors import ConfigError
from p2o.evolution.config import EndpointConfig
from p2o.masking import mask_url

OPENAI_URL = "https://api.openai.com/v1"
OPENAI_KEY = "OPENAI_API_KEY"


def address_of(config: EndpointConfig) -> str:
    """Where requests go: `base_url`, or OpenAI's address, which the client's own variable may replace."""
    return config.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL


def key_of(config: EndpointConfig) -> str:
    """The key that goes with the requests; empty for none. That of OpenAI goes nowhere else unless it is named.

    Raises:
        ConfigError: if OpenAI's own API is meant and its key is not set, or a key is none.
    """
    at_openai = origin(address_of(config)) == origin(os.environ.get("OPENAI_BASE_URL") or OPENAI_URL)
    name = config.api_key_env or (OPENAI_KEY if at_openai else None)
    key = os.environ.get(name, "") if name is not None else ""
    if config.base_url is None and not key:
        raise ConfigError(f"environment variable {name} is not set; put the API key there")
    if not key.isascii() or not key.isprintable():
        raise ConfigError(f"environment variable {name} holds characters that no API key has")
    return key


class ElsewhereError(Exception):
    """A server sends the request on to another one, which was given neither the problems nor the key."""


async def stay_here(response: Any) -> None:
    """Refuses a redirect to another host, where the request's body would go along."""
    if response.has_redirect_location:
        here = str(response.request.url)
        there = urljoin(here, response.headers["location"])
        if urlsplit(there).hostname != urlsplit(here).hostname or (
            origin(there) != origin(here) and not there.startswith("https:")
        ):
            raise ElsewhereError(
                f"redirects to another host, {mask_url(there)}: set base_url to it if it is meant"
            )


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of an address; the port is that of the scheme where none is written."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = None  # the client will refuse it
    return (
        parts.scheme,
        (parts.hostname or "").rstrip("."),
        port or {"http": 80, "https": 443}.get(parts.scheme),
    )
