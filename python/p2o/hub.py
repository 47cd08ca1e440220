"""Whether the Hugging Face hub answers: where it does not, only what was downloaded before can load."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

CONNECT_S = 10.0
"""Limit of the one attempt to connect; the hub's client has the same."""

_TRUE = {"1", "ON", "YES", "TRUE"}


def hub_answers() -> bool:
    """False where the hub's host is unknown or takes no connection: its client would try for half a minute and more.

    What the hub sends, and how slowly, is not looked at. With a proxy, which finds the host by itself, it is True.
    """
    if any(os.environ.get(name, "").upper() in _TRUE for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")):
        return False
    address = urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    # `NO_PROXY` is listed beside the proxies, as one for "no".
    if getproxies().keys() - {"no"} and not proxy_bypass(address.hostname or ""):
        return True
    port = address.port or (80 if address.scheme == "http" else 443)
    try:
        socket.create_connection((address.hostname or "", port), CONNECT_S).close()
    except OSError:
        return False
    return True


@contextmanager
def only_downloaded() -> Iterator[None]:
    """The library `datasets`, and the hub's client under it, in the offline mode that HF_HUB_OFFLINE sets at import."""
    from datasets import config
    from huggingface_hub import constants

    modules: tuple[Any, ...] = (config, constants)
    before = [module.HF_HUB_OFFLINE for module in modules]
    for module in modules:
        module.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        for module, value in zip(modules, before, strict=True):
            module.HF_HUB_OFFLINE = value
