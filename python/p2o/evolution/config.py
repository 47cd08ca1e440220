"""Settings of the prompt step and of reflection."""

from __future__ import annotations

import json
import os
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, PositiveInt, field_serializer, field_validator, model_validator

from p2o.masking import is_variable_name, mask_fields, mask_url
from p2o.plugins import ImportPath
from p2o.settings import Settings

Acceptance = Literal["strict", "posterior", "sequential"]
Level = Literal["light", "medium", "heavy", "heavy_2", "heavy_3", "heavy_4", "heavy_16"]

ProposerName = Literal["reflection", "reflection+crossover", "examples", "reflection+examples", "given"]

PROPOSERS: dict[str, str] = {
    "reflection": "p2o.evolution.propose.reflection:Reflection",
    "reflection+crossover": "p2o.evolution.propose.crossover:ReflectionAndCrossover",
    "examples": "p2o.evolution.propose.examples:Examples",
    "reflection+examples": "p2o.evolution.propose.examples:ReflectionAndExamples",
    "given": "p2o.evolution.propose.given:Given",
}
"""Where the classes are."""


class EvolveConfig(Settings):
    """The prompt step."""

    search: Literal["evolve", "random"] = "evolve"
    """`evolve`: propose, try out, select (the method). `random`: the first proposals of the reflection model on the
    plain prompt's failures become the training templates, as many as `parents`, without an
    evaluation; under `reflection.kind = "none"` all of `evolve.templates` do. What remains of P²O without evolution."""

    proposer: ProposerName | ImportPath = "reflection"
    """Who proposes templates. `reflection`: a model that is shown failures (`[reflection]`). `reflection+crossover`:
    the same, which also joins two templates that solve different problems. `examples`: nobody; the templates are worked
    examples, the policy's own verified solutions of other problems. `reflection+examples`: both in turn. `given`:
    nobody beyond `evolve.templates`. `module:name`: a `p2o.evolution.propose.Proposer` of your own."""

    examples: PositiveInt = 2
    """Worked examples in a template of `examples`; fewer where `reflection.max_template_chars` leaves no room."""

    templates: str | None = Field(default=None, min_length=1)
    """Templates you already have: a file with one a block and a line `---` between blocks, a `.jsonl` file with one a
    line, a `.json` list, or a shipped set (`general`: a dozen general instructions). They are candidates of the first
    prompt step of a run (under `reflection.kind = "none"` of each), judged like any other."""

    budget: Level | PositiveInt = "heavy_4"
    """Rollouts the prompt step may spend, or a level whose rollouts follow from the size of the dev set."""

    dev_size: PositiveInt = 300
    """Problems that score the templates; half of the hard set if that is fewer."""

    feedback_size: PositiveInt | Literal["all"] = 300
    """Hard problems beside the dev set on which proposals are made and tried out. Each is rolled out once under a
    parent: the fewer there are, the more proposals the budget pays for. `all`: all of them (the paper)."""

    parents: PositiveInt = 16
    """K: parents drawn from the front in each round; as many proposals, one batch, are spread over those there are."""

    rounds_at_once: PositiveInt = 1
    """Rounds open at once. With 2 or more the next one begins while rollouts and replies of those before are awaited,
    from the front as it is then, and what all wait for is asked together: engines with room for more rollouts than a
    round has are done sooner."""

    minibatch: PositiveInt = 3
    """Feedback problems on which a proposal is compared with its parent."""

    rollouts_per_evaluation: PositiveInt = 1
    """Rollouts of each (template, problem) evaluation, at the policy's sampling settings."""

    acceptance: Acceptance = "sequential"
    """`strict`: a higher sum of rewards on the minibatch is enough (the paper, GEPA). `posterior`: a higher reward on
    one of its problems is the ticket to a race on the dev set, which a template wins if, with 99% confidence, it is
    better than the plain prompt on the problems it won from it. `sequential`: the same ticket and race; a template
    wins if its mean gain over the plain prompt exceeds 0.005, or if it solves again what it solved far more
    reliably, so that what it does carries over to other problems. No greedy or caching policy misleads it."""

    cover: Literal["greedy", "greedy_with_plain", "best"] = "greedy"
    """Which accepted templates are trained under. `greedy`: a set cover of the dev problems. `greedy_with_plain`: the
    plain prompt may be one of it, and then has its share of the rollouts that get a template (the paper). `best`: only
    the one with the highest mean dev reward."""

    carry_over: bool = True
    """In a training run: start from the templates the step before chose, judged again for at most half of the budget,
    and go on using them where a step is skipped. Off, every step starts from the plain prompt (the paper)."""

    patience: PositiveInt | None = None
    """Stop after this many rounds in a row without an accepted template."""


def _has_host(address: str) -> bool:
    """Whether an address can be called at all."""
    try:
        parts = urlsplit(address)
        return bool(parts.hostname) and parts.port != 0 and address.isprintable() and " " not in address
    except ValueError:
        return False


class EndpointConfig(Settings):
    """A model behind an OpenAI-compatible API. Secrets are masked wherever the settings are written or shown."""

    model: str = Field(min_length=1)
    """Model name at the API."""

    base_url: str | None = None
    """Address of the API, with http:// or https://; None is OpenAI's."""

    api_key_env: str | None = None
    """Environment variable that holds the key of this server; unset, OPENAI_API_KEY at OpenAI's address, and no key
    anywhere else."""

    concurrency: PositiveInt = 16
    """Requests in flight at once."""

    timeout_s: float = Field(default=120.0, gt=0)
    """Seconds until one attempt counts as failed. An error that may pass is met with four further ones."""

    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Further fields of each request, such as `chat_template_kwargs`."""

    @field_validator("base_url")
    @classmethod
    def _address(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        if value is not None and not _has_host(value):
            raise ValueError("names no host and port: write http://HOST:PORT/v1")
        return value

    @field_validator("api_key_env")
    @classmethod
    def _variable(cls, value: str | None) -> str | None:
        if value is not None and value not in os.environ and not is_variable_name(value):
            raise ValueError(
                "is not the name of an environment variable that is set (a key itself does not belong here): put the "
                "key into a variable, such as OPENAI_API_KEY, and write its name"
            )
        return value

    @field_validator("extra_body")
    @classmethod
    def _can_be_sent(cls, value: dict[str, Any]) -> dict[str, Any]:
        try:
            json.dumps(value)
        except (TypeError, ValueError):
            raise ValueError(
                "holds a value that JSON has no form for, such as a date: write it as text"
            ) from None
        return value

    @field_serializer("base_url")
    def _mask_address(self, value: str | None) -> str | None:
        return None if value is None else mask_url(value)

    @field_serializer("extra_body")
    def _mask_fields(self, value: dict[str, Any]) -> Any:
        return mask_fields(value)


TRANSPORT = {"base_url", "api_key_env", "concurrency", "timeout_s"}
"""Settings of how a model is reached: what a journal holds does not depend on them."""


class ReflectionConfig(Settings):
    """The reflection model and what it is asked."""

    kind: Literal["self", "current", "openai", "none"] = "self"
    """`self`: the policy as it was at the start. `current`: the policy as trained so far, whose templates lose
    diversity as it sharpens. `openai`: a model behind an OpenAI-compatible API. `none`: nobody; a prompt step only
    judges `evolve.templates` and those carried over, and no evolution takes place."""

    endpoint: EndpointConfig | None = None
    """Where the model of kind `openai` is."""

    prompt: str = "default"
    """Prompt file: the name of a shipped one (`default`, `tiny`) or a path."""

    show_gold: bool = True
    """Whether the reflection model sees the gold answers of its examples."""

    max_tokens: PositiveInt = 2048
    """Most tokens of a reply; a reply that reaches it is refused."""

    temperature: float = Field(default=1.0, ge=0)
    """Sampling temperature of the reflection model."""

    max_template_chars: PositiveInt = 6000
    """Longest template accepted, in characters."""

    prices: tuple[float, float] = Field(default=(0.0, 0.0), strict=False)
    """Prices of a million tokens of prompts and of replies, for the cost in the ledger."""

    max_cost: float | None = Field(default=None, gt=0)
    """Cost from which on a prompt step begins no further round."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.kind == "openai" and self.endpoint is None:
            raise ValueError("kind 'openai' needs a model: set reflection.endpoint.model")
        if self.kind != "openai" and self.endpoint is not None:
            raise ValueError(
                f"kind {self.kind!r} has no use for reflection.endpoint: leave it out, or set reflection.kind=openai"
            )
        if min(self.prices) < 0:
            raise ValueError("prices must not be negative")
        return self

    @property
    def by_policy(self) -> bool:
        """Whether the policy reflects, at the start or now."""
        return self.kind in ("self", "current")


GREEDY = 0.01
"""A temperature or a top-p below which a model's draws are as good as greedy."""


def is_greedy(*, temperature: float, top_p: float = 1.0, top_k: float = 0) -> bool:
    """Whether repeated rollouts of a prompt are one draw."""
    return temperature < GREEDY or top_p < GREEDY or top_k == 1


def races(evolve: EvolveConfig) -> bool:
    """Whether repeated rollouts decide about a template."""
    return evolve.search == "evolve" and evolve.acceptance == "posterior"


class EvaluatedModelConfig(EndpointConfig):
    """The model whose prompt is evolved, behind an OpenAI-compatible API: evolution without training."""

    max_tokens: PositiveInt = 4096
    """Most tokens of a response."""

    temperature: float = Field(default=1.0, ge=0)
    """Sampling temperature: the one the model is used at."""

    top_p: float = Field(default=1.0, gt=0, le=1)
    """Nucleus sampling; 1 is off."""

    verify: Literal["math", "exact"] = "math"
    """What earns the reward: an answer equivalent to the gold, or a response whose last line is the gold."""
