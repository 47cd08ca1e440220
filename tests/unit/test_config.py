"""Settings: shipped recipes load, and every mistake is one line that names the setting."""

from __future__ import annotations

import math
import re
import tomllib
from datetime import date
from importlib.resources import files
from pathlib import Path

import pytest
import tomli_w

from p2o.cli.main import main_train
from p2o.config import Config, build_config, load_config, parse_override, recipe_names
from p2o.config_errors import ELSEWHERE
from p2o.data import JsonlData, TinyData
from p2o.errors import ConfigError
from p2o.track.run_directory import config_values, flatten

MINIMAL = {"model": {"source": "p2o-tiny"}, "data": {"kind": "tiny"}}
GRPO = {"run": {"method": "grpo"}}


@pytest.mark.parametrize("name", recipe_names())
def test_shipped_recipes_load(name: str) -> None:
    """What a recipe says is what its settings are."""
    written = flatten(tomllib.loads((files("p2o") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")))
    values = flatten(config_values(load_config(name)))
    assert {key: values[key] for key in written} == written


def test_there_are_recipes() -> None:
    assert {"quickstart", "smollm2"} <= set(recipe_names())


@pytest.mark.parametrize("name", recipe_names())
def test_a_resolved_configuration_reads_back_as_itself(name: str) -> None:
    config = load_config(name)
    assert build_config(tomllib.loads(tomli_w.dumps(config_values(config)))) == config


@pytest.mark.parametrize("name", recipe_names())
def test_the_printed_settings_are_the_recipe(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = [
        "run.seed=3",
        "model.source='\\n\"é\" ]'",
        "reflection.kind=openai",
        'reflection.endpoint={model = "m", extra_body = {"a b" = [1, {c = "d"}], e = true}}',
    ]
    assert main_train([name, "--settings", *(f"--set={override}" for override in odd)]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 120
    path = tmp_path / "mine.toml"
    path.write_text(printed, encoding="utf-8")
    assert load_config(str(path)) == load_config(name, odd)
    assert "# Every random draw derives from it.\nseed = 3\n" in printed
    assert "# max_generated_tokens = (unset)\n" in printed
    assert "[rollout.vllm]\n" in printed


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "optimizer.lerning_rate=1e-4",
            "unknown setting optimizer.lerning_rate; did you mean optimizer.learning_rate?",
        ),
        ("rollout.learning_rate=1e-4", "did you mean optimizer.learning_rate?"),
        ("method=grpo", "unknown setting method; did you mean run.method?"),
        ("sampler=hf", "unknown setting sampler; did you mean rollout.sampler?"),
        ("optimizer.seed=1", "unknown setting optimizer.seed; did you mean run.seed or data.seed?"),
        (
            "rollout.timeout_s=1",
            "did you mean rollout.vllm.timeout_s or reward.timeout_s or reflection.endpoint.",
        ),
        ("lr=1e-4", "unknown setting lr; did you mean optimizer.learning_rate?"),
        ("rollout.num_generations=8", "did you mean rollout.n?"),
        ("optimiser.learning_rate=1", "unknown setting optimiser; did you mean optimizer?"),
        ("data.train_sise=3", "did you mean data.train_size?"),
        ("run.zzz=1", "unknown setting run.zzz; known: "),
        ("rollout.n=many", "setting rollout.n = 'many':"),
        ("rollout.n=1", "setting rollout.n = 1:"),
        ("rollout.n=2.5", "setting rollout.n = 2.5:"),
        ("loss.name=ppo", "setting loss.name = 'ppo':"),
        ("loss.clip=0.2", "setting loss.clip = 0.2: Input should be a list, in brackets"),
        (
            "correction.bounds=[0.5, 2]",
            'correction: bounds must begin with 0, since correction.mode = "token"',
        ),
        ("reflection.prices=2", "setting reflection.prices = 2: Input should be a list, in brackets"),
        ("context.c_low=2", "setting context.c_low = 2:"),
        ("assign.plain_rollouts=6", "assign.plain_rollouts is 6, but a group has only rollout.n = 6"),
        ("assign.rehearsal=6", "assign.rehearsal is 6, but a group has only rollout.n = 6"),
        ("run.mini_batch_problems=500", "run.mini_batch_problems is 500, over run.batch_problems"),
        ("evolve.budget=enormous", "evolve.budget"),
        ("rollout.n=6.0", "setting rollout.n = 6.0: Input should be a valid integer"),
        ("run.threads=true", "setting run.threads = True: Input should be a valid integer"),
        ("run.epochs='2'", "setting run.epochs = '2': Input should be a valid integer"),
        ("optimizer.learning_rate='1e-4'", "setting optimizer.learning_rate = '1e-4':"),
        ("loss.mask_truncated=1", "setting loss.mask_truncated = 1:"),
        ("model.source=3", "setting model.source = 3:"),
        ("run.output=3", "setting run.output = 3:"),
        ("reflection.prices=['1', 1]", "setting reflection.prices.0 = '1':"),
        ("run.seed=-1", "setting run.seed = -1:"),
        ("run.seed=9223372036854775808", "setting run.seed = 9223372036854775808:"),
        ("loss.overlong_buffer=49", "loss.overlong_buffer is 49, over rollout.max_tokens = 48"),
        ("reflection.prices=[1, -1]", "reflection: prices must not be negative"),
        ("reflection.kind=openai", "reflection: kind 'openai' needs a model: set reflection.endpoint.model"),
        ("reflection.endpoint.timeout_s=1", "setting reflection.endpoint.model is missing"),
        (
            "reflection.endpoint.model=m",
            "reflection: kind 'self' has no use for reflection.endpoint: leave it out",
        ),
        ("evolve.budget=-1", "setting evolve.budget = -1: Input should be 'light', "),
        ("evolve.budget=-1", "or 'heavy_16', or greater than 0"),
        (
            "optimizer.learning_rate=inf",
            "setting optimizer.learning_rate = inf: Input should be a finite number",
        ),
        ("run=3", "run is a section, not a value: write [run] in a file, or run.SETTING=value"),
        ("data=3", "data is a section, not a value"),
        ("data.kind=csv", "setting data.kind = 'csv': Input should be 'tiny' or 'jsonl' or 'dataset'"),
        (
            "data.train=p.jsonl",
            "unknown setting data.train here: it goes with data.kind = 'jsonl', as in the recipes",
        ),
        ("data.trian=p.jsonl", "unknown setting data.trian; did you mean data.train"),
        # Kinds of [data] that stand where a setting should.
        ("dataset=openai/gsm8k", "unknown setting dataset; did you mean data?"),
        ("jsonl.train=p.jsonl", "unknown setting jsonl; known: "),
        ("data.dataset=openai/gsm8k", "unknown setting data.dataset; known: answer_is, "),
        ("data.tiny.seed=1", "unknown setting data.tiny; did you mean data."),
        ("constrained-seed=1", "unknown setting constrained-seed; known: "),
        ("nonsense", "write section.name=value"),
        ("=3", "write section.name=value"),
        ("run.seed.x=3", "seed"),
    ],
)
def test_a_wrong_setting_is_named(override: str, message: str) -> None:
    overrides = ["run.seed=1", override] if override.startswith("run.seed.") else [override]
    with pytest.raises(ConfigError) as caught:
        load_config("quickstart", overrides)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_data_without_a_kind() -> None:
    with pytest.raises(ConfigError, match=r"setting data\.kind is missing: give 'kind' = 'tiny' or 'jsonl'"):
        build_config({**MINIMAL, "data": {"train": "problems.jsonl"}})


def test_a_recipe_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "windows.toml"
    path.write_bytes(b'\xef\xbb\xbf[model]\r\nsource = "p2o-tiny"\r\n[data]\r\nkind = "tiny"\r\n')
    assert load_config(str(path)).model.source == "p2o-tiny"


def test_recipes_that_are_no_text(tmp_path: Path) -> None:
    folder = tmp_path / "folder.toml"
    folder.mkdir()
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"folder\.toml: cannot be read \(Is a directory\)$"):
        load_config(str(folder))
    with pytest.raises(ConfigError, match=r"binary\.toml: cannot be read \(it is not UTF-8 text\)$"):
        load_config(str(binary))


def test_bounds_may_be_infinite_but_no_number_may_be_none() -> None:
    bounds = ("context.c_high", "correction.max_gap")
    pairs = ("loss.clip=[0.2, inf]", "correction.bounds=[0, inf]")
    config = load_config("quickstart", [*pairs, *(f"{name}=inf" for name in bounds)])
    assert {config.context.c_high, config.correction.max_gap} == {math.inf}
    assert (config.loss.clip, config.correction.bounds) == ((0.2, math.inf), (0.0, math.inf))
    assert build_config(tomllib.loads(tomli_w.dumps(config_values(config)))) == config
    with pytest.raises(ConfigError, match=r"setting loss\.clip\.1 = nan: "):
        load_config("quickstart", ["loss.clip=[0.2, nan]"])
    for name in (*bounds, "optimizer.learning_rate"):
        with pytest.raises(ConfigError, match=f"setting {name} = nan: "):
            load_config("quickstart", [f"{name}=nan"])


@pytest.mark.parametrize("missing", ["model", "data"])
def test_a_missing_section_is_named(missing: str) -> None:
    with pytest.raises(ConfigError, match=missing):
        build_config({key: value for key, value in MINIMAL.items() if key != missing})


def test_overrides_take_toml_values() -> None:
    config = load_config(
        "quickstart",
        ["optimizer.learning_rate=3e-5", "model.source=some/model", 'run.output="a b"', "loss.name=gspo"],
    )
    assert config.optimizer.learning_rate == 3e-5
    assert config.model.source == "some/model"
    assert config.run.output == Path("a b")
    assert config.loss.name == "gspo"


@pytest.mark.parametrize("value", [None, date(2030, 1, 1), math.inf, Path("a"), object()])
def test_a_table_of_ones_own_holds_what_a_resumed_run_reads(value: object) -> None:
    """Given in Python: such a run could not write its settings, or went on with others."""
    openai = {"reflection.kind": "openai", "reflection.endpoint.model": "m"}
    for name, others in (
        ("model.chat_template_kwargs", {}),
        ("rollout.vllm.extra", {}),
        ("reflection.endpoint.extra_body", openai),
    ):
        load_config("quickstart", {**others, name: {"a": [{"b": True}, "c", (1, 2.5)]}})
        with pytest.raises(ConfigError, match=f"{re.escape(name)}.* holds "):
            load_config("quickstart", {**others, name: {"a": [{"b": value}]}})


def test_lines_of_text_are_taken_as_they_are() -> None:
    """As a shell gives them: `--set data.suffix=$'\\nIn a box.'`"""
    for text in (
        "\nIn a box.",
        "In a box.\n",
        "\n",
        '"In" a box.\nEnd = 3',
        '"In a box"\nx = 3',
        "7\n[run]\n",
    ):
        assert parse_override(f"data.suffix={text}") == ("data.suffix", text)
    assert parse_override(" data.suffix =  In a box. ") == ("data.suffix", "In a box.")


def test_toml_writes_paths_tuples_and_whole_floats_its_own_way() -> None:
    config = load_config(
        "quickstart",
        ["run.output=a/b", "reflection.prices=[1, 2]", "rollout.temperature=1", "evolve.budget=light"],
    )
    assert config.run.output == Path("a/b")
    assert config.reflection.prices == (1.0, 2.0)
    assert isinstance(config.rollout.temperature, float)
    assert build_config(tomllib.loads(tomli_w.dumps(config_values(config)))) == config


def test_limits_that_do_not_meet_are_accepted_where_they_are_not_used() -> None:
    with pytest.raises(ConfigError, match=r"loss\.overlong_buffer is 49"):
        load_config("quickstart", ["loss.overlong_buffer=49"])
    at_the_limit = load_config("quickstart", ["loss.overlong_buffer=48"])
    assert at_the_limit.rollout.max_tokens == at_the_limit.loss.overlong_buffer == 48


def test_unusable_recipes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no recipe 'quickstrat'.*quickstart"):
        load_config("quickstrat")
    with pytest.raises(ConfigError, match="no such file"):
        load_config(str(tmp_path / "missing.toml"))
    broken = tmp_path / "broken.toml"
    broken.write_text("[run\nseed = 1")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_config(str(broken))
    broken.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(str(broken))


def test_every_setting_is_described() -> None:
    def undescribed(model: type, path: str = "") -> list[str]:
        missing = []
        for name, field in model.model_fields.items():
            nested = [
                a
                for a in getattr(field.annotation, "__args__", (field.annotation,))
                if hasattr(a, "model_fields")
            ]
            if nested:
                missing += [m for sub in nested for m in undescribed(sub, f"{path}{name}.")]
            elif not field.description and name != "kind":
                missing.append(path + name)
        return missing

    assert undescribed(Config) == []


@pytest.mark.parametrize("override", ["rollout.top_k=1", "rollout.temperature=1e-6", "rollout.top_p=1e-9"])
def test_a_race_of_rollouts_that_are_one_draw_is_refused(override: str) -> None:
    with pytest.raises(ConfigError, match=r"draw the same completion each time, and evolve\.acceptance"):
        load_config("quickstart", [override, "evolve.acceptance=posterior"])
    for rule in ("strict", "sequential"):
        load_config("quickstart", [override, f"evolve.acceptance={rule}"])


@pytest.mark.parametrize("truncation", [{"top_p": 0.7}, {"top_k": 20}, {"top_p": 0.99, "top_k": 5}])
def test_a_truncated_distribution_goes_with_no_sequence_correction(truncation: dict[str, float]) -> None:
    """The trainer scores the whole distribution: its geometric mean would be outside the bounds, always."""
    values = {**MINIMAL, "rollout": truncation}
    with pytest.raises(
        ConfigError, match=r'correction\.mode = "sequence" goes with .*not with rollout\.top_[pk]'
    ):
        build_config({**values, "correction": {"mode": "sequence"}})
    for mode in ("token", "none"):
        build_config({**values, "correction": {"mode": mode}})
    build_config({**MINIMAL, "correction": {"mode": "sequence"}})


def test_none_unsets_what_may_be_unset() -> None:
    """It stays a word where it is one of a setting's own values."""
    asked = ['data={kind="jsonl", train="d.jsonl", train_size=7}', "run.max_generated_tokens=9"]
    config = load_config(
        "quickstart",
        [
            *asked,
            "data.train_size=none",
            "run.max_generated_tokens=none",
            "reflection.kind=none",
            "context.mode=none",
        ],
    )
    assert isinstance(config.data, JsonlData)
    assert config.data.train_size is None
    assert config.run.max_generated_tokens is None
    assert (config.reflection.kind, config.context.mode) == ("none", "none")
    with pytest.raises(ConfigError, match=r"rollout\.n"):
        load_config("quickstart", ["rollout.n=none"])


def test_names_of_other_trainers_lead_to_settings_that_exist() -> None:
    unset = {"run.mini_batch_problems", "run.output"}
    known = set(flatten(config_values(load_config("smollm2")))) | unset | {"--resume"}
    assert set(ELSEWHERE.values()) <= known


def test_a_recipe_extends_another(tmp_path: Path) -> None:
    """A section is merged setting by setting; data of another kind is another section."""
    base, own = tmp_path / "base.toml", tmp_path / "own.toml"
    base.write_text('extends = "smollm2"\n[rollout]\nn = 8\n[run]\nepochs = 5\n')
    own.write_text(f'extends = "{base}"\n[run]\nepochs = 3\n[data]\nkind = "tiny"\n')
    config, smollm2 = load_config(str(own), ["rollout.max_tokens=64"]), load_config("smollm2")
    assert (config.run.epochs, config.rollout.n, config.rollout.max_tokens) == (3, 8, 64)
    assert config.run.batch_problems == smollm2.run.batch_problems
    assert config.data == TinyData()
    assert load_config(str(base)).data == smollm2.data
    for text, message in (
        ('extends = "nothing"', "no recipe 'nothing': give one of"),
        (f'extends = "{own}"', "extends itself: "),
        ("extends = 3", "extends = 3 is no name of a recipe"),
    ):
        base.write_text(text)
        with pytest.raises(ConfigError, match=re.escape(message)):
            load_config(str(own))
