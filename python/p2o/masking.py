"""Secrets among the settings: what is written or shown of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus, urlsplit

MASK = "***"

_USER = re.compile(r"(?<=://)[^?#]*@")
_QUERY = re.compile(r"([?&]([^=&#]*)=)([^&#]*)")
_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_SECRET_WORDS = frozenset(
    {
        *("apikey", "auth", "authorization", "bearer", "cookie", "credential", "credentials", "key"),
        *(
            "passphrase",
            "passwd",
            "password",
            "pat",
            "secret",
            "secrets",
            "signature",
            "subscription",
            "token",
        ),
    }
)
_SECRET_TEXT = re.compile(r"\s*(bearer|basic)\s+\S|sk-\w", re.IGNORECASE)
_VARIABLE = re.compile(r"_*[A-Z][A-Z0-9]{0,14}(_+[A-Z0-9]{1,15}){0,6}_*")


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds a secret: `api_key`, `x-api-key`, `accessToken`, but not `max_tokens`."""
    return not _SECRET_WORDS.isdisjoint(word.lower() for word in _WORDS.findall(name))


def is_variable_name(text: str) -> bool:
    """Whether a text is the name of an environment variable by its form, and not a key put in its place."""
    return _VARIABLE.fullmatch(text) is not None and sum(map(str.isdigit, text)) <= 4


def mask_url(url: str) -> str:
    """The address without user, password and secret query fields."""

    def value(match: re.Match[str]) -> str:
        return f"{match[1]}{MASK}" if is_secret_name(match[2]) else match[0]

    return _QUERY.sub(value, _USER.sub(f"{MASK}@", url))


def mask_fields(value: Any, name: str = "") -> Any:
    """Nested fields with their secret texts masked, by the field's name or the text's form."""
    if isinstance(value, Mapping):
        return {
            key: mask_fields(item, f"{name} {key}" if is_secret_name(name) else str(key))
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [mask_fields(item, name) for item in value]
    if isinstance(value, str) and (is_secret_name(name) or _SECRET_TEXT.match(value)):
        return MASK
    return value


def secrets_in(value: Any, name: str = "") -> list[str]:
    """The texts that `mask_fields` masks."""
    if isinstance(value, Mapping | list | tuple):
        items = value.items() if isinstance(value, Mapping) else ((name, item) for item in value)
        return [
            text
            for key, item in items
            for text in secrets_in(item, f"{name} {key}" if is_secret_name(name) else str(key))
        ]
    return [value] if isinstance(value, str) and value and mask_fields(value, name) == MASK else []


def secrets_in_url(url: str) -> list[str]:
    """The texts that `mask_url` masks: as they are written there, and as they are meant."""
    parts = urlsplit(url)
    found = [parts.password or parts.username or ""]
    found += [match[3] for match in _QUERY.finditer(url) if is_secret_name(match[2])]
    return [text for secret in found if secret for text in (secret, unquote_plus(secret))]


def scrub(text: str, secrets: list[str]) -> str:
    """A text that others wrote, such as a server's error, without the secrets."""
    for secret in sorted((secret for secret in secrets if len(secret) >= 4), key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text
