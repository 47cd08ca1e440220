import json
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from chat_server import Server, completion

from p2o.cli.main import main
from p2o.evolution import Evolution

INSTRUCTION = "Carry the ones before you add the tens."


@pytest.fixture
def server() -> Iterator[Server]:
    """Plays both roles: a policy that adds right only when told to carry, and a reflector that tells it to."""
    server = Server()

    def answer(body):
        content = body["messages"][-1]["content"]
        if "The current instruction" in content:
            useful = Random(body["seed"]).random() < 0.5
            text = INSTRUCTION if useful else f"Take care {body['seed']}."
            return completion(f"Sure.\n```\n{text}\n```", reply=12)
        a, b = map(int, re.search(r"(\d+) \+ (\d+)", content).groups())
        lucky = Random(f"{body['seed']}").random() < 0.05
        right = "Carry" in content or lucky
        return completion(f"The answer is \\boxed{{{a + b if right else a + b - 10}}}.", reply=9)

    server.answer = answer
    yield server
    server.close()


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    path = tmp_path / "sums.jsonl"
    lines = [{"question": f"What is {15 + i} + {27 + i}?", "answer": 42 + 2 * i} for i in range(60)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def config_of(tmp_path: Path, server: Server, text: str = "") -> list[str]:
    path = tmp_path / "evolve.toml"
    path.write_text(
        f'[policy]\nmodel = "p"\nbase_url = "{server.url}"\n'
        '[evolve]\nparents = 4\n[data]\nproblem_key = "question"\n' + text
    )
    return ["--config", str(path), "--output", str(tmp_path / "out"), "--budget", "250"]


def test_evolve_finds_the_instruction_and_writes_what_it_did(server, problems, tmp_path, capsys):
    arguments = ["evolve", str(problems), *config_of(tmp_path, server)]
    assert main(arguments) == 0
    shown = capsys.readouterr()
    assert INSTRUCTION in shown.out
    assert "template 1: 100.0%" in shown.out
    assert "round 1:" in shown.err
    output = tmp_path / "out"
    evolution = Evolution.from_dict(json.loads((output / "evolution.json").read_text()))
    assert evolution.chosen[0].text == INSTRUCTION
    rollouts = [body for body in server.bodies if "The current" not in body["messages"][-1]["content"]]
    assert evolution.ledger.rollouts == len(rollouts) <= 250
    assert evolution.ledger.rollout_tokens == 9 * len(rollouts)
    templates = [json.loads(line) for line in (output / "templates.jsonl").read_text().splitlines()]
    assert [template["id"] for template in templates] == list(range(len(evolution.candidates)))

    # The second call reads the journal and asks for nothing.
    asked = len(server.bodies)
    assert main([*arguments, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert len(server.bodies) == asked
    assert again["chosen"][0] == {"id": evolution.chosen[0].id, "text": INSTRUCTION, "dev_mean": 1.0}
    assert again["evolve/rollouts"] == evolution.ledger.rollouts


def test_a_search_is_ended_by_rounds_or_by_time(server, problems, tmp_path, capsys):
    arguments = ["evolve", str(problems), *config_of(tmp_path, server), "--json"]
    assert main([*arguments, "--max-rounds", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["stop_reason"], found["evolve/rounds"]) == ("rounds", 1)
    assert main([*arguments, "--time-limit", "1e-9", "--output", str(tmp_path / "other")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["stop_reason"], found["evolve/rounds"]) == ("time", 0)


def test_given_templates_are_judged_without_a_reflection_model(server, problems, tmp_path, capsys):
    mine = tmp_path / "mine.txt"
    mine.write_text(f"Answer quickly.\n---\n{INSTRUCTION}\n")
    settings = config_of(tmp_path, server, '[reflection]\nkind = "none"\n')
    assert main(["evolve", str(problems), *settings]) == 2
    assert 'reflection.kind is "none"' in capsys.readouterr().err
    file = Path(settings[1])
    file.write_text(file.read_text().replace("[evolve]", f'[evolve]\ntemplates = "{mine}"'))
    assert main(["evolve", str(problems), *settings, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [template["text"] for template in found["chosen"]] == [INSTRUCTION]
    assert (found["stop_reason"], found["evolve/reflection_calls"]) == ("complete", 0)
    assert not any("The current instruction" in body["messages"][-1]["content"] for body in server.bodies)


def test_a_policy_that_fails_is_an_error_and_the_next_call_goes_on(server, problems, tmp_path, capsys):
    arguments = ["evolve", str(problems), *config_of(tmp_path, server)]
    answer = server.answer
    server.answer = lambda body: (
        answer(body) if len(server.bodies) < 40 else (401, {"error": {"message": "bad key"}})
    )
    assert main(arguments) == 2
    assert re.search(r"error: model p at http.* answers 401: .*bad key", capsys.readouterr().err)
    server.answer = answer
    server.bodies.clear()
    assert main(arguments) == 0
    evolution = Evolution.from_dict(json.loads((tmp_path / "out" / "evolution.json").read_text()))
    rollouts = [body for body in server.bodies if "The current" not in body["messages"][-1]["content"]]
    assert 0 < evolution.ledger.rollouts - len(rollouts) <= 40


def test_a_reflection_model_that_fails_is_told_and_the_best_so_far_kept(server, problems, tmp_path, capsys):
    answer = server.answer
    server.answer = lambda body: (
        (404, {"error": {"message": "no such model"}}) if body["model"] == "r" else answer(body)
    )
    arguments = config_of(
        tmp_path, server, f'[reflection.endpoint]\nmodel = "r"\nbase_url = "{server.url}"\n'
    )
    assert main(["evolve", str(problems), *arguments]) == 1
    out = capsys.readouterr().out
    assert "stopped by: reflection: model r at" in out
    assert "no template was chosen" in out
    assert (tmp_path / "out" / "evolution.json").exists()


def test_a_recipe_that_evolves_nothing_leaves_nothing_behind(tmp_path, capsys):
    """A run directory would refuse the next call, with the setting mended."""
    output = tmp_path / "out"
    arguments = ["evolve", "quickstart", "--output", str(output), "--set", 'guidance.kind="self_hint"']
    assert main(arguments) == 2
    assert "guidance.kind = 'self_hint' evolves nothing" in capsys.readouterr().err
    assert not output.exists()


@pytest.mark.parametrize(
    ("arguments", "text", "part"),
    [
        ([], "", "policy needs a model: set policy.model \\(--policy-model\\)"),
        (
            ["--policy-model", "p"],
            "[evolve]\nparent = 3\n",
            "unknown setting evolve.parent; did you mean evolve.parents",
        ),
        (
            ["--policy-model", "p"],
            "[data]\nproblem_keys = 3\n",
            "unknown setting data.problem_keys; did you mean data.problem_key",
        ),
        (
            ["--policy-model", "p", "--budget", "huge"],
            "",
            "setting evolve.budget = 'huge': Input should be 'light'",
        ),
        (
            ["--policy-model", "p", "--budget", "\N{SUPERSCRIPT TWO}"],
            "",
            "setting evolve.budget = '\N{SUPERSCRIPT TWO}': Input should be 'light'",
        ),
        (
            ["--policy-model", "p", "--budget", "1"],
            "[data]\nproblem_key = 'question'\n",
            "evolve.budget = 1 does not pay for the plain prompt on",
        ),
        (
            ["--policy-model", "p"],
            "[evolve]\nmax_rounds = 3\n",
            "setting evolve.max_rounds is gone: .*p2o evolve takes --max-rounds",
        ),
        (["--policy-model", "p"], "evolve = 3\n", "evolve is a value, not a section"),
        (["--policy-model", "p"], "[evolve\n", "not valid TOML"),
        (["--policy-model", "p"], "[data]\nproblem_key = 'q'\n", "line 1: no field 'q'"),
        # The whole file would be asked about, and paid for.
        (["--policy-model", "p"], "[data]\ntrain_size = 5\n", "data.train_size is without effect here"),
        (["--policy-model", "p"], "[data]\ntrain = 'p.jsonl'\n", "data.train is without effect here"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(arguments, text, part, server, problems, tmp_path, capsys):
    config = tmp_path / "broken.toml"
    config.write_text(text)
    url = ["--policy-url", server.url]
    assert main(["evolve", str(problems), "--config", str(config), *url, *arguments]) == 2
    shown = capsys.readouterr().err
    assert re.search(part, shown)
    assert shown.count("\n") == 1
    assert not server.bodies


@pytest.mark.parametrize(
    ("verify", "message"), [("math", "line 1: the gold answer"), ("exact", "0 dev and 1 feedback")]
)
def test_golds_are_parsed_only_where_the_verifier_judges(verify, message, server, tmp_path, capsys):
    path = tmp_path / "problems.jsonl"
    path.write_text(json.dumps({"problem": "x", "answer": "\\frac{1}{"}) + "\n")
    config = tmp_path / "evolve.toml"
    config.write_text(f'[policy]\nmodel = "p"\nbase_url = "{server.url}"\nverify = "{verify}"\n')
    assert main(["evolve", str(path), "--config", str(config), "--output", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err


def test_a_recipe_without_a_prompt_step_is_refused_before_anything_is_written(tmp_path, capsys):
    output = tmp_path / "out"
    assert main(["evolve", "quickstart", "--set=run.method=grpo", "--output", str(output)]) == 2
    assert "has no prompt step" in capsys.readouterr().err
    assert not output.exists()


@pytest.fixture
def other() -> Iterator[Server]:
    server = Server()
    server.answer = lambda body: completion("```\nCarry the ones.\n```")
    yield server
    server.close()


@pytest.fixture
def keys(monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret-of-openai")
    monkeypatch.setenv("POLICY_KEY", "secret-of-the-policy")


def keys_sent(server: Server) -> set[str]:
    return {headers["authorization"].removeprefix("Bearer ") for headers in server.headers}


def test_reflection_goes_where_the_policy_is(server, problems, tmp_path, keys):
    """The line of docs/evolve.md: nothing leaves for another host, and no key goes along that was not named."""
    arguments = ["--policy-model", "p", "--policy-url", server.url, "--reflection-model", "r"]
    config = tmp_path / "evolve.toml"
    config.write_text('[evolve]\nparents = 4\n[data]\nproblem_key = "question"\n')
    arguments += ["--config", str(config), "--budget", "150", "--output", str(tmp_path / "out")]
    assert main(["evolve", str(problems), *arguments]) == 0
    assert {body["model"] for body in server.bodies} == {"p", "r"}
    assert keys_sent(server) == {"none"}


@pytest.mark.parametrize("reflection_model", [[], ["--reflection-model", "r"]])
def test_another_address_of_reflection_gets_no_key_of_the_policy(
    reflection_model, server, other, problems, tmp_path, keys
):
    text = f'[policy]\nmodel = "p"\nbase_url = "{server.url}"\napi_key_env = "POLICY_KEY"\n'
    text += 'extra_body = { api_key = "secret-in-the-body" }\n'
    config = tmp_path / "evolve.toml"
    config.write_text(text + '[evolve]\nparents = 4\n[data]\nproblem_key = "question"\n')
    arguments = ["--config", str(config), "--budget", "150", "--output", str(tmp_path / "out")]
    arguments += ["--reflection-url", other.url, *reflection_model]
    assert main(["evolve", str(problems), *arguments]) == 0
    assert (keys_sent(server), keys_sent(other)) == ({"secret-of-the-policy"}, {"none"})
    assert {body["model"] for body in other.bodies} == {reflection_model[1] if reflection_model else "p"}
    assert not any("api_key" in body for body in other.bodies)
    written = "".join(path.read_text() for path in (tmp_path / "out").iterdir())
    assert "secret" not in written


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('verify = "math"', 'verify = "exact"'),
        ("temperature = 1.0", "temperature = 0.5"),
        ("max_tokens = 99", "max_tokens = 98"),
        ("top_p = 1.0", "top_p = 0.9"),
        ("extra_body = { top_k = 20 }", "extra_body = { top_k = 30 }"),
        ('model = "p"', 'model = "q"'),
    ],
)
def test_a_result_of_another_policy_is_not_returned(before, after, server, problems, tmp_path, capsys):
    config = tmp_path / "evolve.toml"
    text = (
        f'[policy]\nmodel = "p"\nbase_url = "{server.url}"\nverify = "math"\ntemperature = 1.0\nmax_tokens = 99\n'
        "top_p = 1.0\nextra_body = { top_k = 20 }\n"
        '[reflection.endpoint]\nmodel = "r"\n[evolve]\nparents = 4\n[data]\nproblem_key = "question"\n'
    )
    config.write_text(text)
    arguments = ["--config", str(config), "--budget", "100", "--output", str(tmp_path / "out")]
    assert main(["evolve", str(problems), *arguments]) == 0
    result = (tmp_path / "out" / "evolution.json").read_bytes()
    asked = len(server.bodies)
    config.write_text(text.replace(before, after, 1))
    capsys.readouterr()
    assert main(["evolve", str(problems), *arguments]) == 2
    told = capsys.readouterr().err
    assert re.search(r"another step's journal, policy.* differ", told)
    assert told.count("\n") == 1
    assert len(server.bodies) == asked
    assert (tmp_path / "out" / "evolution.json").read_bytes() == result


@pytest.mark.parametrize(
    "greedy", ["temperature = 0.0", "temperature = 1e-6", "extra_body = { top_k = 1 }", "top_p = 1e-9"]
)
def test_greedy_rollouts_are_no_race(greedy, server, problems, tmp_path, capsys):
    settings = config_of(tmp_path, server)
    file = Path(settings[1])
    by_race = file.read_text().replace("[evolve]", f'{greedy}\n[evolve]\nacceptance = "posterior"')
    file.write_text(by_race)
    assert main(["evolve", str(problems), *settings]) == 2
    assert "are then one draw: raise the temperature" in capsys.readouterr().err
    assert not server.bodies
    assert not (tmp_path / "out").exists()
    for rule in ("strict", "sequential"):
        file.write_text(by_race.replace('"posterior"', f'"{rule}"'))
        assert main(["evolve", str(problems), *settings, "--output", str(tmp_path / rule)]) == 0


def test_a_server_that_caches_is_told(server, problems, tmp_path, capsys):
    """Templates that do nothing: every other prompt is answered right, and the same prompt always alike."""

    def answer(body):
        content = body["messages"][-1]["content"]
        if "The current instruction" in content:
            return completion(f"```\nTake care {body['seed']}.\n```")
        a, b = map(int, re.search(r"(\d+) \+ (\d+)", content).groups())
        return completion(f"\\boxed{{{a + b if Random(content).random() < 0.5 else 0}}}")

    server.answer = answer
    settings = [*config_of(tmp_path, server), "--budget", "1500"]
    file = Path(settings[1])
    file.write_text(file.read_text().replace("[evolve]", '[evolve]\nacceptance = "posterior"'))
    for _ in range(2):  # the journal remembers
        assert main(["evolve", str(problems), *settings]) == 2
        told = capsys.readouterr().err
        assert "with the same text again, byte for byte: its server caches replies" in told.splitlines()[-1]
    assert not (tmp_path / "out" / "evolution.json").exists()


def test_a_replay_that_is_stopped_keeps_the_better_result(server, problems, tmp_path, monkeypatch, capsys):
    arguments = ["evolve", str(problems), *config_of(tmp_path, server)]
    assert main(arguments) == 0
    output = tmp_path / "out"
    before = {name: (output / name).read_bytes() for name in ("evolution.json", "templates.jsonl")}

    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("p2o.evolution.search.step.Step.one_round", stop)
    assert main(arguments) == 130
    assert "is kept: it comes from further on" in capsys.readouterr().err
    assert before == {name: (output / name).read_bytes() for name in before}


def test_a_disk_that_is_full_is_named(server, problems, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        "os.fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    assert main(["evolve", str(problems), *config_of(tmp_path, server)]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told == f"error: {tmp_path}/out/journal.jsonl: No space left on device"
