"""What is shown of secrets."""

from __future__ import annotations

from typing import Any

import pytest

from p2o.cli.main import main
from p2o.config import build_config
from p2o.errors import ConfigError
from p2o.evolution import ReflectionConfig
from p2o.evolution.config import EndpointConfig
from p2o.masking import is_secret_name, is_variable_name, mask_fields, mask_url, scrub, secrets_in
from p2o.track.run_directory import config_values

SECRET = "hunter2-very-secret"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://host:8000/v1", "http://host:8000/v1"),
        (f"http://me:{SECRET}@host/v1", "http://***@host/v1"),
        (f"https://me:p@{SECRET}@host", "https://***@host"),
        (f"https://{SECRET}@host", "https://***@host"),
        (f"https://host/v1?api_key={SECRET}&version=2", "https://host/v1?api_key=***&version=2"),
    ],
)
def test_addresses(url: str, shown: str) -> None:
    assert mask_url(url) == shown
    assert mask_url(shown) == shown


@pytest.mark.parametrize(
    "name", ["api_key", "apiKey", "x-api-key", "Authorization", "access_token", "HF_TOKEN", "password"]
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["max_tokens", "chat_template_kwargs", "monkey", "top_k", "keys", "seed"])
def test_other_names(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "MY_KEY", "P2O_NO_KEY", "KEY2", "_K"])
def test_names_of_variables(name: str) -> None:
    assert is_variable_name(name)


@pytest.mark.parametrize(
    "key", ["sk-proj-abc123", "gsk_abc123", "AKIAIOSFODNN7EXAMPLE", "hf_abcDEF", "3f2a9c", "A1B2C3D4E5F6", ""]
)
def test_keys_are_no_names(key: str) -> None:
    assert not is_variable_name(key)


def test_fields_are_masked_by_name_and_by_form() -> None:
    fields: dict[str, Any] = {
        "headers": {"Authorization": f"Bearer {SECRET}", "X-Custom": f"Bearer {SECRET}", "X-Plain": "yes"},
        "auth": {"user": SECRET, "all": [SECRET]},
        "max_tokens": 7,
        "list": [{"token": SECRET}, "sk-abc"],
    }
    shown = mask_fields(fields)
    assert SECRET not in str(shown)
    assert "sk-abc" not in str(shown)
    assert (shown["headers"]["X-Plain"], shown["max_tokens"]) == ("yes", 7)
    assert SECRET in secrets_in(fields)
    assert "yes" not in secrets_in(fields)
    assert scrub(f"bad key {SECRET}!", secrets_in(fields)) == "bad key ***!"
    # The longer first; of a word of three letters nothing would be left of a text.
    assert scrub("abcdef abcd abc", ["abc", "abcd", "abcdef"]) == "*** *** abc"


def test_settings_are_written_without_secrets_and_used_with_them() -> None:
    endpoint = {
        "model": "m",
        "base_url": f"http://me:{SECRET}@host/v1",
        "extra_body": {"api_key": SECRET, "top_k": 3},
    }
    values = {
        "model": {"source": "p2o-tiny"},
        "data": {"kind": "tiny"},
        "reflection": {"kind": "openai", "endpoint": endpoint},
        "rollout": {"vllm": {"url": f"http://me:{SECRET}@host"}},
    }
    config = build_config(values)
    assert config.reflection.endpoint is not None
    assert config.reflection.endpoint.base_url == endpoint["base_url"]
    assert config.reflection.endpoint.extra_body == endpoint["extra_body"]
    written = config_values(config)
    assert SECRET not in str(written)
    assert written["reflection"]["endpoint"]["extra_body"]["top_k"] == 3
    assert config_values(build_config(written)) == written, "a run is resumed by comparing these"


@pytest.mark.parametrize(
    "endpoint",
    [
        {"api_key_env": SECRET},
        {"api_key_env": f"sk-{SECRET}"},
        {"api_key_env": [SECRET]},
        {"base_url": f"ftp://me:{SECRET}@host"},
        {"api_key": SECRET},
    ],
)
def test_no_message_tells_a_secret(endpoint: dict[str, Any]) -> None:
    values = {
        "model": {"source": "p2o-tiny"},
        "data": {"kind": "tiny"},
        "reflection": {"kind": "openai", "endpoint": {"model": "m", **endpoint}},
    }
    with pytest.raises(ConfigError) as caught:
        build_config(values)
    assert SECRET not in str(caught.value)
    for where, settings in (
        (ReflectionConfig, values["reflection"]),
        (EndpointConfig, {"model": "m", **endpoint}),
    ):
        with pytest.raises(ValueError, match=where.__name__) as direct:
            where.model_validate(settings)
        assert SECRET not in str(direct.value)


def test_a_key_in_place_of_its_variable_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--set=reflection.kind=openai", "--set=reflection.endpoint.model=m"]
    key = f"--set=reflection.endpoint.api_key_env=sk-{SECRET}"
    assert main(["train", "quickstart", "--check", *arguments, key]) == 2
    told = capsys.readouterr().err
    assert "reflection.endpoint.api_key_env: is not the name of an environment variable" in told
    assert told.count("\n") == 1
    assert SECRET not in told
