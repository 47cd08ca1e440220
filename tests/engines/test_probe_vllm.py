"""`p2o probe` with the sampler `vllm`: what is in the journal is not drawn again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vllm_world import VLLM_WARNINGS, tiny_llama

from p2o.config import load_config
from p2o.probe.run import probe_recipe, to_dict
from p2o.template_files import read_templates
from p2o.tiny.tokenizer import build_tokenizer
from p2o.track.console import Console

pytestmark = VLLM_WARNINGS


def probe(source: Path, output: Path) -> dict[str, Any]:
    overrides = [
        f"model.source={source}",
        "model.device=cpu",
        "data.train_size=8",
        "data.evaluation_size=2",
        "rollout.sampler=vllm",
        "rollout.max_tokens=8",
        "rollout.max_prompt_tokens=200",
        "rollout.batch_size=16",
    ]
    found = probe_recipe(
        load_config("quickstart", overrides),
        read_templates("tiny", "--templates")[:3],
        output,
        Console.silent(),
        problems=6,
        samples=2,
        setting="--templates",
    )
    return to_dict(found)


def test_a_probe_with_an_engine_goes_on_from_its_journal(tmp_path: Path) -> None:
    source = tmp_path / "model"
    tokenizer = build_tokenizer()
    model = tiny_llama(vocabulary=len(tokenizer))
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(source)
    tokenizer.save_pretrained(source)
    found = probe(source, tmp_path / "probe")
    first = (
        6 * 2 * (1 + 3)
    )  # problems, samples, plain and templates; then fresh rollouts of what was never solved
    assert found["rollouts"] >= first
    assert 0 < found["tokens"] <= 8 * found["rollouts"]
    journal = tmp_path / "probe/journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:2]))  # killed after the first batch
    again = probe(source, tmp_path / "probe")
    assert (again["rollouts"], again["problems"]) == (found["rollouts"], found["problems"])
    assert journal.read_text().splitlines(keepends=True)[1] == lines[1]
