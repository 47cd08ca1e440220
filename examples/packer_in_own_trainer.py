"""p2o's packer in a training loop of your own: rows of many lengths in micro-batches of a fixed number of tokens.

pip install "p2o-rl[train]"
python packer_in_own_trainer.py
"""

from __future__ import annotations

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from p2o.packing import Rows, fill, pack
from p2o.tiny import MODEL_PATH

PAIRS = [(f"{a}+{b}=?", f"{a + b}") for a in (7, 64, 512) for b in (5, 38, 246, 1975)] * 4


def packed_loss(model: torch.nn.Module, rows: Rows, budget: int) -> torch.Tensor:
    """Backward passes of the loss of one optimizer step, -(advantage * log-prob) over all response tokens."""
    packing = pack(rows.lengths, budget=budget)
    total = torch.zeros(())
    for batch in fill(packing, rows):
        ids, positions, labels, advantage = (
            torch.from_numpy(array)[None]
            for array in (batch.input_ids, batch.position_ids, batch.labels, batch.advantage)
        )
        # Positions that start again at 0 tell the model where a row begins: rows do not see each other.
        logits = model(input_ids=ids.long(), position_ids=positions.long(), use_cache=False).logits
        # Labels and advantages are at the place that predicts the token: nothing is shifted.
        chosen = logits.float().log_softmax(-1).gather(-1, labels.long().clamp(min=0)[..., None])[..., 0]
        loss = -(advantage * chosen * (labels >= 0)).sum() / len(rows.lengths)
        loss.backward()
        total += loss.detach()
    return total


def main(steps: int = 20, budget: int = 256) -> list[float]:
    """Fine-tunes on right answers (advantage 1); returns the loss of each step."""
    tokenizer = AutoTokenizer.from_pretrained(MODEL_PATH)
    model = AutoModelForCausalLM.from_pretrained(MODEL_PATH, dtype="float32")
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4)
    chats = [[{"role": "user", "content": question}] for question, _ in PAIRS]
    prompts = [tokenizer.apply_chat_template(c, add_generation_prompt=True, return_dict=False) for c in chats]
    answers = [[*tokenizer(text)["input_ids"], tokenizer.eos_token_id] for _, text in PAIRS]
    rows = Rows.of(prompts, answers, advantages=[1.0] * len(PAIRS), streams={})
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        losses.append(float(packed_loss(model, rows, budget)))
        optimizer.step()
    return losses


if __name__ == "__main__":
    losses = main()
    print(f"loss {losses[0]:.2f} -> {losses[-1]:.2f}")
