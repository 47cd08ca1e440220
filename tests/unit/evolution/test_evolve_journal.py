import io
import json
from dataclasses import replace
from itertools import pairwise

import pytest
from evolve_world import World, by_race, limits, make_problems, signed

from p2o.errors import RunDirectoryError
from p2o.evolution import ReflectionConfig, ReflectionReply, evolve
from p2o.evolution.events import RoundEnded
from p2o.evolution.journal import Journal
from p2o.outcomes import Outcomes

OPTIONS = {
    "budget": 110,
    "parents": 3,
    "dev_size": 12,
    "minibatch": 2,
    "proposer": "reflection+crossover",
    "acceptance": "posterior",
}


def run(world, journal, seed=0, reflect=None, **options):
    stops = limits(options)
    config = by_race(**{**OPTIONS, **options})
    reflect = reflect or world.reflect
    return evolve(make_problems(60), world.evaluate, reflect, config, seed=seed, journal=journal, **stops)


def evaluated(lines):
    records = [json.loads(line) for line in lines]
    return [(r["template"], r["problem"], r["rollout"]) for r in records if r["kind"] == "evaluation"]


@pytest.mark.parametrize(
    ("acceptance", "rounds"), [("strict", 1), ("posterior", 1), ("sequential", 1), ("posterior", 3)]
)
def test_killed_after_any_record_the_step_ends_as_if_unbroken(tmp_path, acceptance, rounds):
    """However far each of the rounds open at once had come."""
    options = {"acceptance": acceptance, "rounds_at_once": rounds, "budget": 110 if rounds == 1 else 200}
    world = World()
    straight = run(world, tmp_path / "straight.jsonl", **options)
    assert straight.rounds > rounds
    lines = (tmp_path / "straight.jsonl").read_text().splitlines(keepends=True)
    assert evaluated(lines) == list(world.rollouts)
    assert {json.loads(line)["kind"] for line in lines} == {
        "header",
        "evaluation",
        "reflection",
        "proposal",
        "decision",
    }
    journal = tmp_path / "killed.jsonl"
    for kept in range(len(lines)):
        torn = lines[kept][: len(lines[kept]) // 2] if kept % 2 else ""
        journal.write_text("".join(lines[:kept]) + torn)
        again = World()
        assert run(again, journal, **options) == straight
        # Nothing is asked twice, and both lives together asked what the unbroken one asked.
        assert not set(again.rollouts) & set(evaluated(lines[:kept]))
        assert len(again.rollouts) + len(evaluated(lines[:kept])) == straight.ledger.rollouts
        replies = sum('"kind": "reflection"' in line for line in lines[:kept])
        assert len(again.calls) + replies == straight.ledger.reflection_calls
    assert sorted(journal.read_text().splitlines()) == sorted(line.rstrip("\n") for line in lines)


def test_killed_within_a_batch_the_rollouts_before_are_kept(tmp_path):
    straight = run(World(), None, rounds_at_once=2)
    for victim in range(0, straight.ledger.rollouts, 5):
        journal = tmp_path / f"{victim}.jsonl"
        first = World()
        answer = first.evaluate

        def dies(requests, answer=answer, first=first, victim=victim):
            for result in answer(requests):
                if len(first.rollouts) > victim:
                    raise SystemExit("killed")
                yield result

        first.evaluate = dies
        with pytest.raises(SystemExit):
            run(first, journal, rounds_at_once=2)
        second = World()
        assert run(second, journal, rounds_at_once=2) == straight
        assert len(second.rollouts) == straight.ledger.rollouts - victim


def test_a_result_is_in_the_file_before_the_next_is_asked_for(tmp_path):
    """A kill at any moment costs the line being written at most."""
    journal = tmp_path / "journal.jsonl"
    world = World()
    answer, seen = world.evaluate, []

    def evaluate(requests):
        for result in answer(requests):
            seen.append((len(evaluated(journal.read_text().splitlines())), len(world.rollouts) - 1))
            yield result

    world.evaluate = evaluate
    run(world, journal)
    assert seen
    assert all(written == rolled_out for written, rolled_out in seen)


def test_a_torn_line_does_not_spoil_the_next_one(tmp_path):
    """Killed twice: what the second life appends begins on a line of its own."""
    journal = tmp_path / "journal.jsonl"
    straight = run(World(), journal)
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:9]) + lines[9][:20])
    assert run(World(), journal) == straight
    again = World()
    assert run(again, journal) == straight
    assert not again.rollouts


def test_a_finished_step_is_read_back_without_a_request(tmp_path):
    journal = tmp_path / "deep" / "journal.jsonl"
    straight = run(World(), journal)
    again = World()
    assert run(again, journal) == straight
    assert not again.rollouts
    assert not again.calls


def test_the_verdict_of_the_clock_is_replayed(tmp_path):
    journal = tmp_path / "journal.jsonl"
    limited = run(World(), journal, time_limit_s=1e-9)
    assert limited.stop_reason == "time"
    # The clock of the second life would strike at once too; the record decides where.
    lines = journal.read_text().splitlines()
    assert lines[-1] + "\n" == signed({"kind": "time", "round": 0})
    assert run(World(), journal, time_limit_s=1e-9) == limited


def test_an_interrupted_step_goes_on(tmp_path):
    journal = tmp_path / "journal.jsonl"
    straight = run(World(), None)

    def on_event(event):
        if isinstance(event, RoundEnded) and event.round == 2:
            raise KeyboardInterrupt

    world = World()
    first = evolve(
        make_problems(60),
        world.evaluate,
        world.reflect,
        by_race(**OPTIONS),
        journal=journal,
        callbacks=[on_event],
    )
    assert (first.stop_reason, first.rounds) == ("interrupted", 2)
    assert run(World(), journal) == straight


def test_how_the_reflection_model_is_reached_may_change_and_what_it_is_asked_may_not(tmp_path):
    def go(**reflection):
        world = World()
        return evolve(
            make_problems(60),
            world.evaluate,
            world.reflect,
            by_race(**OPTIONS),
            reflection=ReflectionConfig(**reflection),
            journal=tmp_path / "journal.jsonl",
        )

    def openai(**endpoint):
        return {"kind": "openai", "endpoint": {"model": "m", **endpoint}}

    first = go(**openai())
    assert go(**openai(base_url="http://elsewhere/v1", timeout_s=1.0, concurrency=2)) == first
    for change in (
        {"temperature": 0.5},
        {"show_gold": False},
        {"max_template_chars": 50},
        {"max_cost": 4},
        openai(extra_body={"top_k": 1}),
        openai(model="other"),
        {"kind": "self", "endpoint": None},
    ):
        with pytest.raises(RunDirectoryError, match="another step's journal, reflection differ"):
            go(**{**openai(), **change})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 1}, "seed"),
        ({"budget": 120}, "settings"),
        ({"parents": 4}, "settings"),
        ({"max_rounds": 1}, "limits"),
    ],
)
def test_a_journal_of_another_step_is_refused(tmp_path, change, named):
    journal = tmp_path / "journal.jsonl"
    run(World(), journal)
    before = journal.read_bytes()
    with pytest.raises(
        RunDirectoryError, match=f"another step's journal, .*{named} differ: .*delete the journal"
    ):
        run(World(), journal, **change)
    assert journal.read_bytes() == before


def test_a_damaged_line_is_named(tmp_path):
    journal = tmp_path / "journal.jsonl"
    run(World(), journal)
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join([*lines[:3], "oops\n", *lines[4:]]))
    with pytest.raises(RunDirectoryError, match="line 4: not JSON"):
        run(World(), journal)
    record = json.loads(lines[3])
    unchecked = json.dumps({name: value for name, value in record.items() if name != "check"}) + "\n"
    for damaged in ("[4]\n", "4\n", unchecked, signed({"kind": "evaluation"}), signed({"no": "kind"})):
        journal.write_text("".join([*lines[:3], damaged, *lines[4:]]))
        with pytest.raises(RunDirectoryError, match="line 4: not a record of a prompt step"):
            run(World(), journal)


def test_a_journal_whose_answers_were_changed_is_refused(tmp_path):
    journal = tmp_path / "journal.jsonl"
    run(World(), journal)
    lines = journal.read_text().splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if '"kind": "reflection"' in line)
    lines[at] = lines[at].replace("Think", "Dream")
    journal.write_text("".join(lines))
    with pytest.raises(
        RunDirectoryError, match=rf"line {at + 1}: damaged, for it does not follow its checksum"
    ):
        run(World(), journal)
    lines[at] = signed(json.loads(lines[at]))
    journal.write_text("".join(lines))
    with pytest.raises(RunDirectoryError, match="of the step does not follow from its answers"):
        run(World(), journal)


def test_texts_are_journaled_for_minibatches_only(tmp_path):
    journal = tmp_path / "journal.jsonl"
    world = World()
    answer = world.evaluate
    world.evaluate = lambda requests: (replace(result, feedback="hm") for result in answer(requests))
    evolution = run(world, journal)
    records = [json.loads(line) for line in journal.read_text().splitlines()]
    for record in records:
        if record["kind"] == "evaluation":
            kept = record["problem"] in evolution.feedback_ids
            assert (bool(record["text"]), record["feedback"]) == (kept, "hm" if kept else "")


def test_any_text_survives_the_journal(tmp_path):
    odd = "line\u2028break \ud800 \x00 \u00e9"
    journal = tmp_path / "journal.jsonl"
    world = World(right=0.9, useful=1.0)
    answer = world.reply
    world.reply = lambda request: ReflectionReply(odd + "\n" + answer(request).text)
    straight = run(world, journal)
    assert len(straight.candidates) > 1
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[: len(lines) // 2]))
    again = World(right=0.9, useful=1.0)
    again.reply = lambda request: ReflectionReply(odd + "\n" + answer(request).text)
    assert run(again, journal) == straight


def test_proposals_come_before_their_decisions(tmp_path):
    journal = tmp_path / "journal.jsonl"
    run(World(), journal)
    notes = [json.loads(line) for line in journal.read_text().splitlines()]
    proposed = [r["id"] for r in notes if r["kind"] == "proposal"]
    assert proposed == sorted(proposed)
    assert all(a < b for a, b in pairwise(proposed))
    places = {("p", r["id"]): i for i, r in enumerate(notes) if r["kind"] == "proposal"}
    decisions = [(i, r["id"]) for i, r in enumerate(notes) if r["kind"] == "decision"]
    assert len(decisions) == len(proposed)
    assert all(places["p", id] < i for i, id in decisions)


def test_a_flipped_byte_anywhere_is_refused_or_drops_the_torn_last_line(tmp_path):
    journal = tmp_path / "journal.jsonl"
    straight = run(World(), journal)
    whole = journal.read_bytes()
    last = whole.rindex(b"\n", 0, -1)
    for at in [*range(0, len(whole), 97), last + 5, len(whole) - 1]:
        journal.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        if at == len(whole) - 1:  # no newline any more: a torn line
            assert run(World(), journal) == straight
        else:
            with pytest.raises(RunDirectoryError, match=r"journal\.jsonl(, line \d+)?: "):
                run(World(), journal)


def test_a_callback_that_stops_the_step_during_a_replay_stops_it_where_the_records_end(tmp_path):
    """A stop that still stands when a finished step is called again costs nothing of what was found."""
    journal = tmp_path / "journal.jsonl"
    straight = run(World(), journal)

    def stop(event):
        raise KeyboardInterrupt

    def again(lines):
        journal.write_text("".join(lines))
        world = World()
        config = by_race(**OPTIONS)
        found = evolve(
            make_problems(60), world.evaluate, world.reflect, config, journal=journal, callbacks=[stop]
        )
        assert not world.rollouts
        assert not world.calls
        return found

    lines = journal.read_text().splitlines(keepends=True)
    whole = again(lines)
    assert whole.candidates == straight.candidates
    assert whole.chosen == straight.chosen
    half = again(lines[: len(lines) // 2])
    assert half.stop_reason == "interrupted"
    assert half.ledger.rollouts == len(evaluated(lines[: len(lines) // 2]))


def test_evidence_of_a_step_that_is_run_again_is_added_once(tmp_path):
    journal = tmp_path / "journal.jsonl"
    outcomes = Outcomes()

    def go(outcomes, journal, callbacks=()):
        world = World()
        config = by_race(**OPTIONS)
        return evolve(
            make_problems(60),
            world.evaluate,
            world.reflect,
            config,
            outcomes=outcomes,
            journal=journal,
            callbacks=callbacks,
        )

    straight = go(unbroken := Outcomes(), None)

    def interrupt(event):
        if isinstance(event, RoundEnded) and event.round == 2:
            raise KeyboardInterrupt

    assert go(outcomes, journal, [interrupt]).stop_reason == "interrupted"
    for _ in range(3):
        assert go(outcomes, journal) == straight
        assert outcomes.to_dict() == unbroken.to_dict()


class Answers:
    """A callable whose results depend on settings."""

    def __init__(self, function, **answers_for):
        self.function = function
        self.answers_for = answers_for

    def __call__(self, requests):
        return self.function(requests)


@pytest.mark.parametrize("side", ["evaluate", "reflect"])
def test_what_the_callables_depend_on_belongs_to_the_journal(tmp_path, side):
    def go(temperature):
        world = World()
        sides = {"evaluate": world.evaluate, "reflect": world.reflect}
        sides[side] = Answers(sides[side], policy={"temperature": temperature})
        return evolve(
            make_problems(60), config=by_race(**OPTIONS), journal=tmp_path / "journal.jsonl", **sides
        )

    assert go(1.0) == go(1.0)
    with pytest.raises(RunDirectoryError, match="another step's journal, policy differ"):
        go(0.5)


def test_the_data_of_problems_belongs_to_the_journal(tmp_path):
    def go(extra):
        world = World()
        problems = [replace(problem, meta={"tests": [extra, {problem.id}]}) for problem in make_problems(60)]
        config = by_race(**OPTIONS)
        return evolve(problems, world.evaluate, world.reflect, config, journal=tmp_path / "journal.jsonl")

    assert go("assert 1") == go("assert 1")
    with pytest.raises(RunDirectoryError, match="another step's journal, problems differ"):
        go("assert 2")


def test_a_full_disk_names_the_journal(tmp_path, monkeypatch):
    with Journal(tmp_path / "journal.jsonl", {}) as journal:
        full = io.StringIO()
        monkeypatch.setattr(full, "write", lambda text: (_ for _ in ()).throw(OSError(28, "No space left")))
        monkeypatch.setattr(journal, "_file", full)
        with pytest.raises(OSError, match="No space left") as caught:
            journal.append({"kind": "time"})
        assert caught.value.filename == str(tmp_path / "journal.jsonl")
        monkeypatch.undo()
