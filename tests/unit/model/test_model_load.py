import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from p2o.errors import ConfigError, ModelError
from p2o.model.load import load_model, load_outline, save_model

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MERGES = [("Ġ", "Ġ"), ("i", "s")]
MESSAGES = [{"role": "user", "content": "What is  12 + 30?"}]


def vocabulary():
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    return SPECIAL + letters + [a + b for a, b in MERGES]


def make_tokenizer():
    words = {word: index for index, word in enumerate(vocabulary())}
    tokenizer = Tokenizer(models.BPE(vocab=words, merges=MERGES))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        unk_token="<|endoftext|>",
        chat_template=CHAT_TEMPLATE,
    )


def make_model(**changes):
    torch.manual_seed(0)
    shape = {
        "vocab_size": len(vocabulary()),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
        "tie_word_embeddings": True,
    }
    return LlamaForCausalLM(LlamaConfig(**(shape | changes))).eval()


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_model(make_model(), make_tokenizer(), folder)
    return folder


def write_gguf(path, model):
    """Writes a Llama model as llama.cpp's converter lays it out: rotary halves of q and k interleaved."""
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    words = vocabulary()
    writer.add_token_list(words)
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_token_types([control if word in SPECIAL else normal for word in words])
    writer.add_token_merges([" ".join(pair) for pair in MERGES])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_chat_template(CHAT_TEMPLATE)

    def interleave(weight, heads):
        split = weight.reshape(heads, 2, weight.shape[0] // heads // 2, weight.shape[1])
        return np.ascontiguousarray(split.swapaxes(1, 2).reshape(weight.shape))

    state = {name: value.numpy() for name, value in model.state_dict().items()}
    writer.add_tensor("token_embd.weight", state["model.embed_tokens.weight"])
    writer.add_tensor("output_norm.weight", state["model.norm.weight"])
    for layer in range(config.num_hidden_layers):
        ours, theirs = f"model.layers.{layer}.", f"blk.{layer}."
        q, k = state[ours + "self_attn.q_proj.weight"], state[ours + "self_attn.k_proj.weight"]
        writer.add_tensor(theirs + "attn_q.weight", interleave(q, config.num_attention_heads))
        writer.add_tensor(theirs + "attn_k.weight", interleave(k, config.num_key_value_heads))
        for there, here in {
            "attn_v": "self_attn.v_proj",
            "attn_output": "self_attn.o_proj",
            "ffn_gate": "mlp.gate_proj",
            "ffn_up": "mlp.up_proj",
            "ffn_down": "mlp.down_proj",
            "attn_norm": "input_layernorm",
            "ffn_norm": "post_attention_layernorm",
        }.items():
            writer.add_tensor(f"{theirs}{there}.weight", state[f"{ours}{here}.weight"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def gguf_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    write_gguf(path, make_model())
    return path


def logits(model, tokens=None):
    tokens = torch.arange(3, 40)[None] if tokens is None else tokens
    with torch.no_grad():
        return model(input_ids=tokens).logits


def states_equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_saved_and_reloaded_equal(model_folder):
    model, tokenizer = load_model(model_folder)
    assert states_equal(model.state_dict(), make_model().state_dict())
    assert not model.training
    assert model.dtype == torch.float32
    assert tokenizer.get_vocab() == make_tokenizer().get_vocab()
    assert tokenizer.chat_template == CHAT_TEMPLATE
    assert tokenizer.pad_token == "<|im_end|>"


def test_a_clean_up_that_transformers_refuses_is_not_asked_for(tmp_path):
    """Llama 3's tokenizer asks for it; on byte-pair encodings it is left out with a warning at the first response."""
    save_model(make_model(), make_tokenizer(), tmp_path / "model")
    config = tmp_path / "model/tokenizer_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"clean_up_tokenization_spaces": True}))
    _, loaded = load_model(tmp_path / "model")
    text = "one , two ."
    assert loaded.decode(loaded(text)["input_ids"]) == text
    assert loaded.clean_up_tokenization_spaces is False


def test_nothing_but_the_model_is_left_beside_it(model_folder):
    assert [path.name for path in model_folder.parent.iterdir()] == ["tiny"]
    assert not [path for path in model_folder.iterdir() if path.suffix in (".bin", ".pt", ".pth")]


def test_dtype(model_folder):
    model, _ = load_model(str(model_folder), dtype="bfloat16")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    with pytest.raises(ConfigError, match="dtype is 'fp32': choose one of float32, bfloat16, float16"):
        load_model(model_folder, dtype="fp32")


def test_saving_replaces_an_earlier_model(tmp_path):
    folder = tmp_path / "model"
    save_model(make_model(), make_tokenizer(), folder)
    changed = make_model()
    with torch.no_grad():
        changed.model.norm.weight.add_(1.0)
    (folder / "stale.safetensors").write_bytes(b"")
    save_model(changed, make_tokenizer(), folder)
    reloaded, _ = load_model(folder)
    assert states_equal(reloaded.state_dict(), changed.state_dict())
    assert not (folder / "stale.safetensors").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        Exception("No space left on device (os error 28)"),  # as the library tokenizers has it
    ],
)
def test_a_save_that_fails_leaves_the_earlier_model_alone(tmp_path, error):
    folder = tmp_path / "model"
    save_model(make_model(), make_tokenizer(), folder)

    class FullDisk:
        def save_pretrained(self, path):
            raise error

    with pytest.raises(ModelError, match=r"cannot write the model to .*: No space left on device"):
        save_model(make_model(), FullDisk(), folder)
    load_model(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_rename_that_fails_brings_the_earlier_model_back(tmp_path, monkeypatch):
    folder = tmp_path / "model"
    save_model(make_model(), make_tokenizer(), folder)
    rename = Path.rename

    def fail_for_the_new_model(path, target):
        if path.name.endswith(".tmp"):
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail_for_the_new_model)
    with pytest.raises(ModelError, match="Input/output error"):
        save_model(make_model(), make_tokenizer(), folder)
    load_model(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_saving_does_not_touch_other_folders(tmp_path):
    (tmp_path / "notes.txt").write_text("keep")
    with pytest.raises(ModelError, match="exists and is not a model: choose another folder"):
        save_model(make_model(), make_tokenizer(), tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "keep"


def test_gguf_is_the_model_it_was_made_from(gguf_file):
    model, tokenizer = load_model(gguf_file)
    torch.testing.assert_close(logits(model), logits(make_model()), atol=1e-5, rtol=1e-5)
    text = tokenizer.apply_chat_template(MESSAGES, add_generation_prompt=True, tokenize=False)
    assert text == "<|im_start|>user\nWhat is  12 + 30?<|im_end|>\n<|im_start|>assistant\n"
    encoded = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert encoded == make_tokenizer()(text, add_special_tokens=False)["input_ids"]
    assert encoded.count(1) == 2
    assert tokenizer.decode(encoded) == text
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (2, 2)


def test_gguf_can_be_saved_and_reloaded_equal(gguf_file, tmp_path):
    model, tokenizer = load_model(gguf_file)
    save_model(model, tokenizer, tmp_path / "plain")
    reloaded, again = load_model(tmp_path / "plain")
    assert states_equal(model.state_dict(), reloaded.state_dict())
    assert torch.equal(logits(model), logits(reloaded))
    assert "quantization_config" not in json.loads((tmp_path / "plain" / "config.json").read_text())
    text = "a  12 été\n\n x=3"
    assert again(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert again.chat_template == tokenizer.chat_template


def test_gguf_can_be_trained(gguf_file):
    model, _ = load_model(gguf_file)
    tokens = torch.arange(3, 40)[None]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    losses = []
    for _ in range(3):
        loss = model(input_ids=tokens, labels=tokens).loss
        loss.backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[2] < losses[1] < losses[0]


def test_gguf_dtype(gguf_file):
    model, _ = load_model(gguf_file, dtype="bfloat16")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


def test_hub_ids(model_folder, tmp_path):
    # The hub's cache as a download leaves it; where the hub is out of reach only what is in it can be loaded.
    repository = tmp_path / "models--someone--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    shutil.copytree(model_folder, repository / "snapshots" / ("0" * 40))
    code = """
from p2o.errors import ModelError
from p2o.model.load import load_model
model, tokenizer = load_model("someone/tiny")
print(type(model).__name__, tokenizer.eos_token)
try:
    load_model("someone/absent")
except ModelError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"HF_HUB_CACHE": str(tmp_path), "HF_ENDPOINT": "https://hub.invalid"},
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "LlamaForCausalLM <|im_end|>", done.stderr
    assert lines[1].startswith("cannot load the model someone/absent: no such folder, and as a hub id: ")
    assert lines[1].endswith("; check the name and the connection, or give a folder that holds a copy")
    assert len(lines) == 2
    assert "Retrying" not in done.stderr


def one_line(error):
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/model", "missing.gguf", "a/b/c", "~/nowhere"])
def test_a_path_that_does_not_exist(name):
    with pytest.raises(ModelError, match="does not exist: give a model folder") as error:
        load_model(name)
    one_line(error)


def test_no_name_is_not_the_current_folder():
    with pytest.raises(ModelError, match="no model is named"):
        load_model("")


def test_a_file_that_is_no_gguf(tmp_path):
    for name, content in [("model.gguf", b"hello"), ("model.bin", b"GGUF"), ("empty.gguf", b"")]:
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ModelError, match=f"{name} is a file but not a GGUF model"):
            load_model(path)


def test_a_broken_gguf(gguf_file, tmp_path):
    path = tmp_path / "cut.gguf"
    path.write_bytes(gguf_file.read_bytes()[:3000])
    with pytest.raises(
        ModelError, match=r"cannot load the model .*cut.gguf: .*; if a file of it is damaged"
    ) as error:
        load_model(path)
    one_line(error)


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(ModelError, match=r"is not a model folder: it has no config.json"):
        load_model(tmp_path)


def test_pickled_weights_are_not_loaded(model_folder, tmp_path):
    folder = tmp_path / "pickled"
    shutil.copytree(model_folder, folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(
        ModelError, match=r"has no \*.safetensors: convert its weights \(pickled ones are not loaded\)"
    ):
        load_model(folder)


def test_missing_weights_are_not_made_up(model_folder, tmp_path):
    folder = tmp_path / "partial"
    shutil.copytree(model_folder, folder)
    state = load_file(folder / "model.safetensors")
    del state["model.layers.1.mlp.up_proj.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        ModelError, match=r"lacks 1 weights of a LlamaForCausalLM .first: model.layers.1.mlp.up_proj"
    ):
        load_model(folder)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", b"{"),
        ("config.json", b'{"model_type": "no-such-architecture"}'),
        ("config.json", b'{"model_type": "t5"}'),
        ("model.safetensors", b"short"),
        ("tokenizer.json", b"[]"),
    ],
)
def test_damaged_files_are_reported_in_one_line(model_folder, tmp_path, file, content):
    folder = tmp_path / "damaged"
    shutil.copytree(model_folder, folder)
    (folder / file).write_bytes(content)
    with pytest.raises(
        ModelError, match=r"cannot load the model .*; if a file of it is damaged or missing, download "
    ) as error:
        load_model(folder)
    one_line(error)


def test_weights_of_another_shape(model_folder, tmp_path):
    folder = tmp_path / "other"
    shutil.copytree(model_folder, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 48}))
    with pytest.raises(ModelError, match="cannot load the model") as error:
        load_model(folder)
    one_line(error)


def test_an_unknown_device(model_folder):
    with pytest.raises(ModelError, match="cannot load the model"):
        load_model(model_folder, device="gpu")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_outline_has_the_models_shapes_and_no_weights(model_folder, gguf_file, dtype):
    for source in (model_folder, gguf_file):
        model, _ = load_model(source, dtype=dtype)
        outline = load_outline(source, dtype=dtype)
        shapes = {name: (p.shape, p.dtype) for name, p in model.named_parameters()}
        assert {name: (p.shape, p.dtype) for name, p in outline.named_parameters()} == shapes
        assert all(p.is_meta for p in outline.parameters())


def test_an_outline_of_nothing_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"no config\.json") as error:
        load_outline(tmp_path)
    one_line(error)


@pytest.mark.parametrize(
    ("gpu", "given", "expected"), [(False, None, "cpu"), (True, None, None), (False, "cuda", "cuda")]
)
def test_deepspeed_is_told_of_the_cpu_where_there_is_no_gpu(gpu, given, expected, model_folder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setenv("DS_ACCELERATOR", given or "")  # noted, to be put back
    if given is None:
        monkeypatch.delenv("DS_ACCELERATOR")
    load_model(model_folder, device="cpu")
    assert os.environ.get("DS_ACCELERATOR") == expected


def test_deepspeed_says_nothing_of_the_accelerator(model_folder, tmp_path):
    """transformers imports DeepSpeed when a model is saved."""
    code = f"""
import sys
from p2o.model.load import load_model, save_model
save_model(*load_model({str(model_folder)!r}), "saved")
print("deepspeed" in sys.modules)
"""
    environment = {name: value for name, value in os.environ.items() if name != "DS_ACCELERATOR"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert done.stdout.splitlines() == ["True"]
    assert "Setting accelerator" not in done.stderr
