"""A dozen families of tokenizers, small: their control tokens, the kind of their vocabulary, their chat templates."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

CORPUS = [
    "Compute 12 + 345. Think step by step, then write the answer in a box: the user asks, the assistant answers.",
    "start end of turn system message header id begin text im sep role User Assistant 67 89 <|>_/[]",
] * 4

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
BARS = (
    "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


@dataclass(frozen=True)
class Family:
    """One family. `plain` are control tokens that are not flagged as special, `kind` is that of the vocabulary."""

    special: tuple[str, ...]
    template: str
    end_of_turn: str | None
    eos: str
    kind: str = "bytes"
    plain: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    """Added tokens that are text."""


FAMILIES = {
    "llama 2": Family(
        ("<unk>", "<s>", "</s>"),
        "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %} {{ m.content }} </s>"
        "{% else %}[INST] {{ m.content | trim }} [/INST]{% endif %}{% endfor %}",
        "</s>",
        "</s>",
        kind="sentencepiece",
    ),
    "llama 3": Family(
        (
            "<|begin_of_text|>",
            "<|end_of_text|>",
            "<|start_header_id|>",
            "<|end_header_id|>",
            "<|eom_id|>",
            "<|eot_id|>",
        ),
        "<|begin_of_text|>{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
        "{{ m.content | trim }}<|eot_id|>{% endfor %}{% if add_generation_prompt %}"
        "<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}",
        "<|eot_id|>",
        "<|end_of_text|>",
        kind="whole words",
    ),
    "llama 4": Family(
        ("<|begin_of_text|>", "<|header_start|>", "<|header_end|>", "<|eom|>", "<|eot|>", "<|image|>"),
        "<|begin_of_text|>{% for m in messages %}<|header_start|>{{ m.role }}<|header_end|>\n\n{{ m.content }}<|eot|>"
        "{% endfor %}{% if add_generation_prompt %}<|header_start|>assistant<|header_end|>\n\n{% endif %}",
        "<|eot|>",
        "<|eot|>",
    ),
    "qwen 3": Family(
        ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>"),
        CHATML.replace(
            "m.content", "m.content.split('</think>')[-1] if m.role == 'assistant' else m.content"
        ),
        "<|im_end|>",
        "<|endoftext|>",
        plain=("<|fim_prefix|>", "<|file_sep|>"),
        words=("<think>", "</think>", "<tool_call>"),
    ),
    "gemma 3": Family(
        ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"),
        "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
        "{{ m.content | trim }}<end_of_turn>\n{% endfor %}"
        "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}",
        "<end_of_turn>",
        "<eos>",
        kind="sentencepiece",
        words=("\n\n", "  ", "<h1>"),
    ),
    "mistral": Family(
        ("<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[TOOL_CALLS]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"),
        "<s>{% for m in messages %}{% if m.role == 'user' %}[INST]{{ m.content }}[/INST]{% elif m.role == 'system' %}"
        "[SYSTEM_PROMPT]{{ m.content }}[/SYSTEM_PROMPT]{% else %}{{ m.content }}</s>{% endif %}{% endfor %}",
        "</s>",
        "</s>",
    ),
    "phi 3": Family(
        ("<|endoftext|>", "<|assistant|>", "<|system|>", "<|end|>", "<|user|>"),
        BARS,
        "<|end|>",
        "<|endoftext|>",
        kind="sentencepiece, stripping",
    ),
    "phi 4": Family(
        ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|im_sep|>"),
        CHATML.replace("{{ m.role }}\n", "{{ m.role }}<|im_sep|>"),
        "<|im_end|>",
        "<|endoftext|>",
        words=("<think>", "</think>"),
    ),
    "deepseek": Family(
        ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"),
        "<｜begin▁of▁sentence｜>{% for m in messages %}{% if m.role == 'assistant' %}<｜Assistant｜>{{ m.content }}"
        "<｜end▁of▁sentence｜>{% else %}<｜User｜>{{ m.content }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<｜Assistant｜>{% endif %}",
        "<｜end▁of▁sentence｜>",
        "<｜end▁of▁sentence｜>",
        plain=("<｜User｜>", "<｜Assistant｜>", "<｜tool▁calls▁begin｜>"),
        words=("<think>", "</think>"),
    ),
    "gpt-oss": Family(
        (
            "<|startoftext|>",
            "<|endoftext|>",
            "<|return|>",
            "<|channel|>",
            "<|start|>",
            "<|end|>",
            "<|message|>",
            "<|call|>",
        ),
        "{% for m in messages %}<|start|>{{ m.role }}{% if m.role == 'assistant' %}<|channel|>final{% endif %}"
        "<|message|>{{ m.content }}{% if m.role == 'assistant' and loop.last and not add_generation_prompt %}<|return|>"
        "{% else %}<|end|>{% endif %}{% endfor %}{% if add_generation_prompt %}<|start|>assistant{% endif %}",
        "<|return|>",
        "<|return|>",
    ),
    "cohere": Family(
        (
            "<PAD>",
            "<BOS_TOKEN>",
            "<EOS_TOKEN>",
            "<|START_OF_TURN_TOKEN|>",
            "<|END_OF_TURN_TOKEN|>",
            "<|USER_TOKEN|>",
            "<|CHATBOT_TOKEN|>",
            "<|SYSTEM_TOKEN|>",
        ),
        "{{ bos_token }}{% for m in messages %}<|START_OF_TURN_TOKEN|>"
        "{{ '<|CHATBOT_TOKEN|>' if m.role == 'assistant' else '<|' + m.role | upper + '_TOKEN|>' }}{{ m.content }}"
        "<|END_OF_TURN_TOKEN|>{% endfor %}"
        "{% if add_generation_prompt %}<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>{% endif %}",
        "<|END_OF_TURN_TOKEN|>",
        "<EOS_TOKEN>",
    ),
    "granite": Family(
        ("<|end_of_text|>", "<|start_of_role|>", "<|end_of_role|>", "<|tool_call|>"),
        "{% for m in messages %}<|start_of_role|>{{ m.role }}<|end_of_role|>{{ m.content }}"
        "<|end_of_text|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|start_of_role|>assistant<|end_of_role|>{% endif %}",
        "<|end_of_text|>",
        "<|end_of_text|>",
    ),
    "glm 4": Family(
        ("<|endoftext|>", "[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"),
        "[gMASK]<sop>{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
        "<|user|>",
        "<|endoftext|>",
        words=("<think>", "</think>"),
    ),
    "added by hand": Family(
        ("<eos>",),
        "{% for m in messages %}[{{ m.role }}] {{ m.content }} [over]{% endfor %}"
        "{% if add_generation_prompt %}[assistant]{% endif %}",
        "[over]",
        "<eos>",
        kind="normalised",
        plain=("[user]", "[assistant]", "[over]"),
    ),
    "base": Family(("<|endoftext|>",), "", None, "<|endoftext|>"),
    "base, unigram": Family(("<pad>", "</s>", "<unk>"), "", None, "</s>", kind="unigram"),
}


def make(family: Family) -> Any:
    """The tokenizer of a family."""
    if family.kind == "unigram":
        backend = Tokenizer(models.Unigram())
        backend.pre_tokenizer = pre_tokenizers.Metaspace()
        backend.decoder = decoders.Metaspace()
        backend.train_from_iterator(
            CORPUS,
            trainers.UnigramTrainer(
                vocab_size=90, unk_token="<unk>", special_tokens=list(family.special), show_progress=False
            ),
        )
    elif family.kind.startswith("sentencepiece"):
        # Control tokens are in the vocabulary itself; a text begins with a space of its own.
        backend = Tokenizer(models.BPE(byte_fallback=True, unk_token=family.special[0]))
        backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        backend.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
        fallback = [f"<0x{byte:02X}>" for byte in range(256)]
        backend.train_from_iterator(
            CORPUS,
            trainers.BpeTrainer(
                vocab_size=420, special_tokens=[*family.special, *fallback], show_progress=False
            ),
        )
        values = json.loads(backend.to_str())
        backend = Tokenizer.from_str(
            json.dumps({**values, "added_tokens": []})
        )  # bytes are no special tokens
    else:
        backend = Tokenizer(models.BPE(ignore_merges=family.kind == "whole words"))
        if family.kind == "normalised":
            backend.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        backend.train_from_iterator(
            CORPUS,
            trainers.BpeTrainer(
                vocab_size=330, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
            ),
        )
    strips = family.kind.endswith("stripping")
    normalised = family.kind == "normalised"
    backend.add_special_tokens(
        [AddedToken(name, special=True, rstrip=strips, normalized=normalised) for name in family.special]
    )
    backend.add_tokens([AddedToken(name, normalized=normalised) for name in (*family.plain, *family.words)])
    bos = next((name for name in family.special if name in ("<s>", "<bos>", "<BOS_TOKEN>")), None)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token=family.eos,
        bos_token=bos,
        unk_token="<unk>" if "<unk>" in family.special else None,
        chat_template=family.template or None,
        clean_up_tokenization_spaces=False,
    )
