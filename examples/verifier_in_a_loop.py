"""The verifier in a loop of your own: sample, keep what is right, count why the rest is not (rejection sampling).

pip install "p2o-rl[train]"
python verifier_in_a_loop.py kept.jsonl
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import p2o
from p2o.tiny import MODEL_PATH

INSTRUCTION = "Add digit by digit from the right with the carry.\n\n"
QUESTIONS = [(f"{a}+{b}=?", str(a + b)) for a in (123, 377, 580) for b in (69, 245, 817)]


def main(file: str, samples: int = 8) -> Counter[str]:
    """Writes the right completions of each question; returns how many verdicts were of each status."""
    tokenizer = AutoTokenizer.from_pretrained(MODEL_PATH, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(MODEL_PATH, dtype="float32").eval()
    chats = [[{"role": "user", "content": INSTRUCTION + question}] for question, _ in QUESTIONS]
    prompts = tokenizer.apply_chat_template(
        chats, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
    )
    torch.manual_seed(0)
    drawn = model.generate(**prompts, do_sample=True, max_new_tokens=48, num_return_sequences=samples)
    texts = tokenizer.batch_decode(drawn[:, prompts["input_ids"].shape[1] :], skip_special_tokens=True)
    asked = [pair for pair in QUESTIONS for _ in range(samples)]

    # One call for all of them: in parallel, without the interpreter lock.
    verdicts = p2o.verify_batch(texts, [gold for _, gold in asked], return_verdicts=True)
    kept = [
        {"problem": question, "solution": text}
        for (question, _), text, verdict in zip(asked, texts, verdicts, strict=True)
        if verdict.correct
    ]
    Path(file).write_text("".join(json.dumps(record) + "\n" for record in kept))
    return Counter(verdict.status for verdict in verdicts)


if __name__ == "__main__":
    print(main(sys.argv[1]))
