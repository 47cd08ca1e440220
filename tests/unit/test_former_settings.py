"""Settings of former names: refused with the present one, and recorded studies stay valid."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from p2o.config import load_config
from p2o.errors import ConfigError
from p2o.former_settings import ADDED, GONE, RENAMED, REWORDED, SPLIT, UNSET, in_former_terms
from p2o.study.plan import load_study, make_job
from p2o.track.run_directory import config_values, flatten

STUDIES = Path(__file__).parents[2] / "docs" / "study"


REAL = ['model.source="smollm2"', "data.train=number_sequence.jsonl"]
"""The settings of the command on docs/study.md."""


@pytest.mark.parametrize("name", ["ablations", "main", "proposals", "smollm2", "real"])
def test_recorded_results_are_those_of_today_s_settings(name: str) -> None:
    study = load_study(name, REAL) if name == "real" else load_study(name)
    lines = (STUDIES / name / "results.jsonl").read_text().splitlines()
    assert lines
    for line in lines:
        record = json.loads(line)
        if record["arm"] not in study.arms:
            continue
        job = make_job(
            study, record["world"], record["arm"], record["phase"], record["seed"], record["learning_rate"]
        )
        assert record["fingerprint"] in job.fingerprints, record["id"]


@pytest.mark.parametrize("former", sorted(RENAMED))
def test_a_former_name_is_refused_with_the_present_one(former: str) -> None:
    with pytest.raises(ConfigError, match=f"^setting {former} is now {re.escape(RENAMED[former])}$"):
        load_config("quickstart", [f"{former}=1"])


@pytest.mark.parametrize("former", sorted(GONE))
def test_a_setting_that_is_gone_is_refused_with_what_to_do(former: str) -> None:
    needed = ["reflection.endpoint.model=m"] if former.startswith("reflection.endpoint") else []
    with pytest.raises(ConfigError, match=f"^setting {former} is gone: .{{10,}}") as caught:
        load_config("quickstart", [f"{former}=1", *needed])
    assert "\n" not in str(caught.value)


def test_merged_settings_are_told_apart_again() -> None:
    """Two prices that are one setting today, and settings of a section that may be absent."""
    assert (
        in_former_terms({"reflection.prices": [1.0, 2.0], "run.seed": 3}).items()
        >= {
            "reflection.price_per_million_input": 1.0,
            "reflection.price_per_million_output": 2.0,
            "reflection.model": "",
            "reflection.timeout_s": 120.0,
            "run.seed": 3,
        }.items()
    )
    present = in_former_terms({"reflection.endpoint.model": "m", "reflection.endpoint.timeout_s": 9.0})
    assert (present["reflection.model"], present["reflection.timeout_s"]) == ("m", 9.0)
    assert not any(name.startswith(("reflection.prices", "reflection.endpoint")) for name in present)
    assert UNSET.keys() <= RENAMED.keys()


def test_bounds_are_told_apart_again() -> None:
    """One list of bounds for two modes, and what became a constant."""
    cap, low, high = "correction.cap", "correction.sequence_low", "correction.sequence_high"
    for settings, expected in [
        ({"correction.mode": "token"}, (2.0, 0.95, 1.05)),
        ({"correction.mode": "token", "correction.bounds": [0.0, 3.0]}, (3.0, 0.95, 1.05)),
        ({"correction.mode": "sequence", "correction.bounds": [0.0, 3.0]}, (2.0, 0.0, 3.0)),
    ]:
        found = in_former_terms(settings)
        assert (found[cap], found[low], found[high]) == expected
        assert "correction.bounds" not in found
    found = in_former_terms({"loss.clip": [0.1, 0.3]})
    assert (found["evolve.race_stages"], found["evolve.race_thresholds"]) == (
        [0.1, 0.25, 0.5],
        [0.5, 0.7, 0.9],
    )
    assert (found["loss.clip_low"], found["loss.clip_high"]) == (0.1, 0.3)
    assert "loss.clip" not in found


def test_a_second_name_of_a_value_is_refused_with_the_first_which_is_the_one_hashed() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("quickstart", ["loss.name=bnpo"])
    assert str(caught.value) == "setting loss.name = 'bnpo' is now loss.name = 'dapo'"
    assert in_former_terms({"loss.name": "dapo"})["loss.name"] == "dapo"


def test_fields_that_are_not_named_are_those_that_were_the_defaults() -> None:
    """Of records; the tiny world has no fields."""
    usual = {"data.problem_key": "problem", "data.answer_key": "answer", "data.answer_is": "answer"}
    of_records = in_former_terms({"data.kind": "jsonl"})
    assert usual.items() <= of_records.items()
    assert in_former_terms({"data.kind": "jsonl", "data.answer_key": "gold"})["data.answer_key"] == "gold"
    assert not usual.keys() & in_former_terms({"data.kind": "tiny"}).keys()


def test_what_was_a_mode_of_the_engine_is_a_sampler() -> None:
    """A run by a server and one by an engine beside the trainer, as they were written down at first."""
    for sampler, former in [
        ("vllm-server", ("vllm", "server")),
        ("vllm", ("vllm", "colocate")),
        ("hf", ("hf", "colocate")),
    ]:
        found = in_former_terms({"rollout.sampler": sampler, "rollout.n": 6})
        assert (found["rollout.sampler"], found["rollout.vllm.mode"]) == former
        assert found["rollout.n"] == 6


def test_a_mode_that_was_no_weight_is_refused_with_the_prompt_it_meant() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config("quickstart", ["context.mode=no-distill"])
    assert str(caught.value) == "setting context.mode = 'no-distill' is now context.distillation = 'none'"
    sampled = in_former_terms({"context.mode": "hard", "context.distillation": "none"})
    assert sampled["context.mode"] == "no-distill", "whatever the weight: there is none"
    plain = in_former_terms({"context.mode": "hard", "context.distillation": "rollouts"})
    assert plain["context.mode"] == "hard"
    for found in (sampled, plain):
        assert "context.distillation" not in found
        assert found["context.renormalize"] is False


def test_the_tables_name_settings_that_there_are() -> None:
    known = {
        name for recipe in ("quickstart", "smollm2") for name in flatten(config_values(load_config(recipe)))
    }
    assert set(ADDED) <= known
    assert set(SPLIT) <= known | {"correction.bounds"}, "which is unset"
    assert not known & (set(RENAMED) | set(GONE))
    for words in REWORDED:
        assert set(words.present) <= known
        assert set(words.former) <= known | set(RENAMED) | set(GONE)
