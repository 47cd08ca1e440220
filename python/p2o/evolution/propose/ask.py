"""Questions to the reflection model: one flat batch, through ledger and journal."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Sequence

from p2o.errors import RunDirectoryError
from p2o.evolution.contract import checked_reply, in_order
from p2o.evolution.inputs import StepInputs
from p2o.evolution.types import ReflectionReply, ReflectionRequest
from p2o.types import Message


def ask(inputs: StepInputs, prompts: Sequence[tuple[Message, ...]]) -> list[ReflectionReply]:
    """The replies, from the journal as far as it goes. The ledger counts calls when they are reserved and gives
    back those that brought no reply.

    Raises:
        RunDirectoryError: if the journal's replies are those to other questions.
        ReflectionError: if the reflection model cannot be used any longer.
    """
    ledger, journal = inputs.ledger, inputs.journal
    requests: list[ReflectionRequest] = []
    waiting: deque[str] = deque()
    replies: list[ReflectionReply] = []

    def paid(reply: ReflectionReply) -> ReflectionReply:
        ledger.reflection_tokens += reply.tokens
        ledger.reflection_cost += reply.cost
        return reply

    first = ledger.reflection_calls
    ledger.reflection_calls += len(prompts)
    for call, messages in enumerate(prompts, start=first):
        digest = hashlib.sha256(f"{inputs.seed}/{call}/{json.dumps(messages)}".encode())
        name = digest.hexdigest()[:16]
        if call < len(journal.reflections):
            asked, reply = journal.reflections[call]
            if asked != name:
                raise RunDirectoryError(
                    f"{journal.path}: reflection {call} asked something else; "
                    "delete the journal to start the step again"
                )
            replies.append(paid(reply))
        else:
            requests.append(ReflectionRequest(messages, int.from_bytes(digest.digest()[:4]) >> 1))
            waiting.append(name)
    try:
        if requests:
            journal.before_asking()
        answers = inputs.reflect(requests) if requests else ()
        for answer in in_order("reflect", ReflectionReply, answers, len(requests)):
            reply = checked_reply(answer)
            journal.reflection(waiting.popleft(), reply)
            replies.append(paid(reply))
    finally:
        ledger.reflection_calls -= len(waiting)
        journal.sync()
    return replies
