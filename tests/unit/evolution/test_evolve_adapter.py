"""gepa's own default adapter, run by p2o.evolve."""

from dataclasses import replace

import pytest
from evolve_world import by_race
from gepa.adapters.default_adapter.default_adapter import DefaultAdapter

from p2o.errors import InputError, RunDirectoryError
from p2o.evolution.adapter import best_candidate, evolve_adapter

SEED = {"system_prompt": "You answer."}


def instances(count, start=0):
    return [
        {"input": f"Spell {i}.", "additional_context": {"hint": "in words"}, "answer": f"<{i}>"}
        for i in range(start, start + count)
    ]


class Model:
    """Brackets its answer only when the prompt asks for brackets."""

    def __init__(self):
        self.calls = 0

    def __call__(self, messages):
        self.calls += 1
        number = messages[1]["content"].split()[1].rstrip(".")
        return f"<{number}>" if "brackets" in messages[0]["content"] else number


def test_an_adapter_of_gepa_runs_unchanged():
    model, asked = Model(), []

    def reflection_lm(prompt):
        asked.append(prompt)
        return "```\nAnswer in brackets.\n```"

    adapter = DefaultAdapter(model)
    config = by_race(budget=300, parents=2)
    data = instances(30), instances(20, 100)
    evolution = evolve_adapter(adapter, SEED, *data, reflection_lm, config, max_rounds=2)
    assert best_candidate(evolution, SEED) == {"system_prompt": "Answer in brackets."}
    assert [template.text for template in evolution.chosen] == ["Answer in brackets."]
    assert evolution.ledger.rollouts == model.calls <= 300
    assert evolution.metrics()["evolve/dev_plain"] == 0
    # The reflection model sees the seed text and the adapter's own records.
    assert "```\nYou answer.\n```" in asked[0]
    assert "Score: 0" in asked[0]
    assert "Inputs: Spell " in asked[0]
    assert "Feedback: The generated response is incorrect. The correct answer is '<" in asked[0]


def test_the_seed_text_proposed_again_is_no_new_template():
    model = Model()
    data = instances(30), instances(20, 100)
    options = {"max_rounds": 2, "templates": [" You  answer. "]}
    config = by_race(budget=300, parents=2)
    evolution = evolve_adapter(
        DefaultAdapter(model), SEED, *data, lambda prompt: "```\nYou answer.\n```", config, **options
    )
    assert evolution.refusals == {"unchanged": 5}
    assert evolution.ledger.rollouts == model.calls == 20 + 2 * 2 * 3, "dev, and two minibatches a round"


def test_other_components_stay_and_the_evolving_one_must_be_clear():
    seen = []

    class Adapter(DefaultAdapter):
        def evaluate(self, batch, candidate, capture_traces=False):
            seen.append(dict(candidate))
            return super().evaluate(batch, {"system_prompt": candidate["system_prompt"]}, capture_traces)

    two = {**SEED, "style": "curt"}
    run = (Adapter(Model()), two, instances(6), instances(6, 50), lambda prompt: "```\nUse brackets.\n```")
    config = by_race(budget=60, parents=1)
    with pytest.raises(InputError, match="choose one of 'system_prompt', 'style'"):
        evolve_adapter(*run, config)
    evolution = evolve_adapter(*run, config, component="system_prompt", max_rounds=1)
    assert {candidate["style"] for candidate in seen} == {"curt"}
    assert best_candidate(evolution, two, "system_prompt") == {
        "system_prompt": "Use brackets.",
        "style": "curt",
    }


@pytest.mark.parametrize(
    ("score", "mean"),
    [(1.0000000000000002, 1.0), (-1e-17, 0.0), (float("nan"), None), (1.1, None), (None, None)],
)
def test_scores_are_taken_as_training_takes_rewards(score, mean):
    class Adapter(DefaultAdapter):
        def evaluate(self, batch, candidate, capture_traces=False):
            found = super().evaluate(batch, candidate, capture_traces)
            found.scores = [score] * len(found.scores)
            return found

    def run():
        config = by_race(budget=60, parents=1)
        data = instances(6), instances(6, 50)
        return evolve_adapter(Adapter(Model()), SEED, *data, lambda prompt: "no", config, max_rounds=1)

    if mean is not None:
        assert run().candidates[0].mean == mean
        return
    with pytest.raises(
        InputError, match=r"^evaluate, problem val-.*: reward .* is outside \[0, 1\]; rescale it$"
    ):
        run()


def test_an_adapter_with_missing_scores_is_named():
    class Adapter(DefaultAdapter):
        def evaluate(self, batch, candidate, capture_traces=False):
            return super().evaluate(batch[1:], candidate, capture_traces)

    with pytest.raises(InputError, match="returned 5 scores for 6 instances"):
        evolve_adapter(Adapter(Model()), SEED, instances(6), instances(6, 50), str, by_race(budget=60))


@pytest.mark.parametrize("name", ["outputs", "trajectories"])
def test_an_adapter_with_missing_traces_is_named(name):
    class Adapter(DefaultAdapter):
        def evaluate(self, batch, candidate, capture_traces=False):
            found = super().evaluate(batch, candidate, capture_traces)
            return replace(found, **{name: getattr(found, name)[1:]} if capture_traces else {})

    with pytest.raises(InputError, match=rf"returned \d {name} for \d instances"):
        evolve_adapter(
            Adapter(Model()),
            SEED,
            instances(6),
            instances(6, 50),
            lambda prompt: "no",
            by_race(budget=60, parents=1),
        )


def test_the_plain_prompt_is_the_seed_and_traces_are_for_the_trainset():
    seen = []

    class Adapter(DefaultAdapter):
        def evaluate(self, batch, candidate, capture_traces=False):
            seen.extend((one["input"], candidate["system_prompt"], capture_traces) for one in batch)
            return super().evaluate(batch, candidate, capture_traces)

    train, val = instances(6), instances(6, 50)
    config = by_race(budget=60, parents=1)
    run = (Adapter(Model()), SEED, train, val, lambda prompt: "```\nNo.\n```")
    evolution = evolve_adapter(*run, config, max_rounds=1)
    assert {text for _, text, _ in seen} == {"You answer.", "No."}
    of_train = {one["input"] for one in train}
    assert {(name in of_train, traced) for name, _, traced in seen} == {(True, True), (False, False)}
    assert best_candidate(evolution, SEED) == SEED, "nothing was better than the seed"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"train": instances(30, 200)}, "problems"),
        ({"val": instances(20, 300)}, "problems"),
        ({"seed": {"system_prompt": "You reply."}}, "components"),
    ],
)
def test_a_journal_belongs_to_its_data_and_components(tmp_path, change, named):
    def run(train=None, val=None, seed=SEED):
        data = train or instances(30), val or instances(20, 100)
        config = by_race(budget=100, parents=1)
        return evolve_adapter(
            DefaultAdapter(Model()),
            seed,
            *data,
            lambda prompt: "```\nUse brackets.\n```",
            config,
            max_rounds=1,
            journal=tmp_path / "journal.jsonl",
        )

    assert run() == run()
    with pytest.raises(RunDirectoryError, match=f"another step's journal, .*{named}.* differ"):
        run(**change)
