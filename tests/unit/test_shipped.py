"""Files that p2o ships, by name, and those of a user in their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from p2o.errors import ConfigError
from p2o.files import read_toml
from p2o.shipped import load_toml, shipped


@pytest.mark.parametrize(
    ("folder", "suffix", "some"),
    [
        ("recipes", ".toml", {"paper", "paper_tiny", "quickstart"}),
        ("study", ".toml", {"main", "real"}),
        ("evaluation/presets", ".toml", {"paper"}),
        ("instructions", ".txt", {"general", "tiny"}),
        ("evolution/propose/prompts", ".txt", {"crossover", "default"}),
    ],
)
def test_what_is_shipped_is_found_by_name(folder: str, suffix: str, some: set[str]) -> None:
    found = shipped(folder, suffix)
    assert some <= found.keys()
    assert list(found) == sorted(found)
    assert all(path.is_file() and path.name == name + suffix for name, path in found.items())


def test_a_name_is_a_shipped_file_and_a_path_a_users(tmp_path: Path) -> None:
    assert load_toml("quickstart", "recipe", "recipes")["data"]["kind"] == "tiny"
    own = tmp_path / "quickstart.toml"
    own.write_text("\ufeffseed = 1\n", encoding="utf-8")
    assert load_toml(str(own), "recipe", "recipes") == read_toml(own, ConfigError) == {"seed": 1}
    with pytest.raises(
        ConfigError,
        match=r"no recipe 'quickstrat': did you mean quickstart\? give one of .*quickstart.*\.toml file",
    ):
        load_toml("quickstrat", "recipe", "recipes")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "no such file"), (b"a = \xff", "it is not UTF-8 text"), (b"a = ", "not valid TOML")],
)
def test_a_file_that_cannot_be_read_is_named_in_one_line(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"mine\.toml: .*{reason}") as refused:
        read_toml(path, ConfigError)
    assert "\n" not in str(refused.value)
