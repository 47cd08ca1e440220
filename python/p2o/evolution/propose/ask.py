"""Questions to the reflection model: those of all rounds that wait, one flat batch, through ledger and journal."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from p2o.errors import RunDirectoryError
from p2o.evolution.contract import checked_reply, in_order
from p2o.evolution.inputs import StepInputs
from p2o.evolution.search.turns import Order
from p2o.evolution.types import ReflectionReply, ReflectionRequest
from p2o.types import Message


def ask(inputs: StepInputs, prompts: Sequence[tuple[Message, ...]]) -> list[ReflectionReply]:
    """The replies, from the journal as far as it goes. The ledger counts calls when they are reserved and gives
    back those that brought no reply.

    Raises:
        RunDirectoryError: if the journal's replies are those to other questions.
        ReflectionError: if the reflection model cannot be used any longer.
    """
    questions = Questions(inputs, prompts, first=inputs.ledger.reflection_calls)
    inputs.ledger.reflection_calls += len(prompts)
    if prompts:
        # Another model than the policy answers while that is rolled out.
        beside = bool(getattr(inputs.reflect, "beside", False))
        inputs.turns.wait(Order(questions, Questions.serve, Questions.give_back, beside))
    return questions.replies


@dataclass
class Questions:
    """What one round asks."""

    inputs: StepInputs
    prompts: Sequence[tuple[Message, ...]]
    first: int
    """Calls of the step before."""

    replies: list[ReflectionReply] = field(default_factory=list)

    @staticmethod
    def serve(asked: Sequence[Questions]) -> None:
        """Has the questions of several rounds answered in one batch."""
        inputs = asked[0].inputs
        journal, recall = inputs.journal, getattr(inputs.reflect, "recall", None)
        requests: list[ReflectionRequest] = []
        waiting: deque[tuple[Questions, str]] = deque()
        for order in asked:
            for call, name, request in order.requests():
                if call < len(journal.reflections):
                    recorded, reply = journal.reflections[call]
                    if recorded != name:
                        raise RunDirectoryError(
                            f"{journal.path}: reflection {call} asked something else; "
                            "delete the journal to start the step again"
                        )
                    order.take(reply)
                    if recall is not None:
                        recall(reply)
                else:
                    requests.append(request)
                    waiting.append((order, name))
        try:
            if requests:
                journal.before_asking()
            answers = inputs.reflect(requests) if requests else ()
            for answer in in_order("reflect", ReflectionReply, answers, len(requests)):
                reply = checked_reply(answer)
                order, name = waiting.popleft()
                journal.reflection(name, reply)
                order.take(reply)
        finally:
            journal.sync()

    def requests(self) -> Iterator[tuple[int, str, ReflectionRequest]]:
        """The number of each call in the step, its name in the journal, and what is asked."""
        for call, messages in enumerate(self.prompts, start=self.first):
            digest = hashlib.sha256(f"{self.inputs.seed}/{call}/{json.dumps(messages)}".encode())
            seed = int.from_bytes(digest.digest()[:4]) >> 1
            yield call, digest.hexdigest()[:16], ReflectionRequest(messages, seed)

    def take(self, reply: ReflectionReply) -> None:
        """Counts a reply, which is the next one."""
        self.inputs.ledger.reflection_tokens += reply.tokens
        self.inputs.ledger.reflection_cost += reply.cost
        self.replies.append(reply)

    def give_back(self) -> None:
        """Takes back the calls that brought no reply."""
        self.inputs.ledger.reflection_calls -= len(self.prompts) - len(self.replies)
