"""`p2o.train`: a run from Python, with problems, rewards and samplers in memory."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from p2o import arguments
from p2o.arguments import lines_of, path_of
from p2o.config import Config, Overrides, apply_overrides, build_config, by_name, extended, load_recipe
from p2o.data import JsonlData, RecordData
from p2o.distributed import Processes, join_processes, leave_processes, let_threads_sleep
from p2o.errors import ConfigError, MissingDependencyError, RunDirectoryError
from p2o.files import read_jsonl
from p2o.settings import Settings
from p2o.track.run_paths import newest_run, resumed_config, run_path

if TYPE_CHECKING:
    from p2o.report.problems import Story
    from p2o.reward_calls import Reward
    from p2o.rollout.sampler import Sampler
    from p2o.state import LoopState
    from p2o.track.callbacks import Callback
    from p2o.track.console import Console

Recipe = str | Path | Mapping[str, Any] | Config
"""The name of a shipped recipe, a TOML file, its values as nested mappings (`extends` included), or a configuration."""


@dataclass(frozen=True, init=False)
class Result:
    """What a run left in its directory; of one that is under way, what is there when it is first asked for.

    `p2o.Result("runs/quickstart-p2o-seed0")` is that of a run which a command trained.
    """

    directory: Path

    def __init__(self, directory: str | Path) -> None:
        object.__setattr__(self, "directory", Path(directory))

    @property
    def model(self) -> Path:
        """The trained model, in Hugging Face format."""
        return self.directory / "model"

    @property
    def report(self) -> Path:
        """The report, an HTML page."""
        return self.directory / "report.html"

    @cached_property
    def metrics(self) -> list[dict[str, Any]]:
        """The lines of `metrics.jsonl`: of training steps, and of evaluations (`evaluation/accuracy`)."""
        return read_jsonl(self.directory / "metrics.jsonl")

    @property
    def accuracies(self) -> list[dict[str, Any]]:
        """The lines of evaluations alone, the first of the model before training."""
        return [record for record in self.metrics if "evaluation/accuracy" in record]

    @property
    def accuracy_before(self) -> float:
        """Accuracy on the evaluation problems before training, on plain prompts."""
        return self._accuracy(0)

    @property
    def accuracy_after(self) -> float:
        """The same after training."""
        return self._accuracy(-1)

    def _accuracy(self, place: int) -> float:
        if not self.accuracies:
            raise RunDirectoryError(f"{self.directory}: holds no evaluation yet")
        return float(self.accuracies[place]["evaluation/accuracy"])

    @cached_property
    def templates(self) -> list[str]:
        """Texts of the templates that prompt steps chose, each once, the earliest first."""
        chosen = (record for record in read_jsonl(self.directory / "templates.jsonl") if record["chosen"])
        return list(dict.fromkeys(record["text"] for record in chosen if record["text"]))

    def frame(self) -> Any:
        """The metrics as a pandas DataFrame.

        Raises:
            MissingDependencyError: if pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise MissingDependencyError("Result.frame needs pandas: pip install pandas") from None
        return pandas.DataFrame(self.metrics)


PARTS = {"reward": "reward.function", "sampler": "rollout.sampler"}
"""Arguments that are parts of a run, and the settings that name them."""

FILES = {"problems": "train", "evaluation": "evaluation"}
"""Arguments with problems, and the settings of `data` that name their files."""

OF_ANY_FORM = ("train_size", "evaluation_size", "seed", "on_bad_gold", "on_conflict")
"""Settings of `data` that do not say what fields mean."""

Held = Mapping[str, tuple[str, Mapping[str, str]]]
"""By the name of the argument: problems as JSON Lines, and the settings by which they are read."""


def train(
    recipe: Recipe | None = None,
    *,
    problems: arguments.Problems | None = None,
    evaluation: arguments.Problems | None = None,
    reward: Reward | Callable[..., Any] | None = None,
    sampler: type[Sampler] | None = None,
    callbacks: Sequence[Callback] = (),
    overrides: Overrides = (),
    resume: bool | str | Path = False,
    quiet: bool = True,
) -> Result:
    """Trains as the command `p2o train` does. Environment, random states and threads of the process stay as they are.

    Args:
        recipe: the name of a shipped recipe, a TOML file, nested mappings (`{"extends": "smollm2", "rollout":
            {"n": 8}}`) or a `Config`; without one, `quickstart`.
        problems: training problems, dicts as in a data file (`{"problem": ..., "answer": ...}`) or `Problem`s, in place
            of those of `data`, whose settings (`suffix`, `problem_key`, ...) stay in force for records. They are
            written into the run directory.
        evaluation: evaluation problems; without them, `data.evaluation_size` of `problems` (or a tenth) are held out.
        reward: `(problem, completion) -> float` in [0, 1], an `async def` of that shape, or `(problems, completions)
            -> list`. One without an import path (a lambda, a function of a script or notebook) is not known to
            another process: the run is then resumed from Python, with the same `reward`.
        sampler: a class derived from `p2o.rollout.sampler.Sampler`; as with `reward`.
        callbacks: `Callback`s, told of steps, evaluations and prompt steps.
        overrides: settings over those of the recipe: `{"run.epochs": 2}` or `["run.epochs=2"]`.
        resume: a run directory to continue, by the settings that it began with, or True for the newest one of the
            recipe. `problems` are then those of the run; given again, they must be the same.
        quiet: prints nothing; otherwise what the command prints.

    Raises:
        P2oError: one line about settings, data, model or run directory.
    """
    parts = {name: part for name, part in (("reward", reward), ("sampler", sampler)) if part is not None}
    arguments.require_parts(parts)
    arguments.require_callbacks(callbacks)
    given = {"problems": problems, "evaluation": evaluation}
    held = {name: lines_of(items, name) for name, items in given.items() if items is not None}
    wanted = {**by_name(overrides), **{PARTS[name]: path_of(part, name) for name, part in parts.items()}}
    with process_as_it_was(), arguments.given(parts):
        if resume:
            path, config = resumed(recipe, resume, held, wanted)
        else:
            path, config = None, begun(recipe, held, wanted)
        require_training_packages()
        from p2o.launch import launch_facts
        from p2o.track.callbacks import TellingConsole
        from p2o.track.console import Console

        with torch_as_it_was():
            processes = join_processes()
            if processes.size > 1:
                processes.require_same({**launch_facts(config), "resume": str(resume)})
            console = TellingConsole(callbacks, shown=not quiet) if processes.is_main else Console.silent()
            if path is None:
                path = processes.on_main(lambda: run_path(config, name_of(recipe)))
            config = placed(config, path, held, resume=bool(resume))
            known = None if resume and not isinstance(resume, bool) else base_of(recipe)
            train_at(config, path, known, console, processes, resume=bool(resume))
    return Result(path)


def train_at(
    config: Config, path: Path, recipe: str | None, console: Console, processes: Processes, *, resume: bool
) -> LoopState:
    """Trains in the run directory `path`, and shows the summary; `recipe` is what the run is noted to be of, unless it
    is known already or None."""
    from p2o.assembly import prepare
    from p2o.loop import train
    from p2o.track.about import note_launch

    run = prepare(config, path, resume=resume, console=console, processes=processes)
    step, device = run.state.step, device_name(config)
    if not resume:
        console.note(
            f"{config.model.source} on {device}, {len(run.problems):,} problems to train on and "
            f"{len(run.evaluation_problems):,} for evaluation; run directory {path}"
        )
    processes.on_main(
        lambda: note_launch(path, config, recipe, step=step, device=device, processes=processes.size)
    )
    try:
        state = train(run)
        run.finish()
    except BaseException:  # Ctrl-C, a full disk, an engine that is lost
        console.note(f"to go on: p2o-train --resume {path}")
        raise
    finally:
        run.directory.unlock()
    console.summary(state.history, tokens=state.generated_tokens, seconds=state.seconds)
    if processes.is_main and (story := explaining(path)) is not None:
        console.story(story)
    console.note(f"run directory: {path}, shown by its report.html")
    return state


def device_name(config: Config) -> str:
    """What the run computes on."""
    import torch

    from p2o.memory import gpu_of

    if torch.cuda.is_available() and not config.model.device.startswith("cpu"):
        return str(torch.cuda.get_device_name(gpu_of(config)))
    threads = torch.get_num_threads()
    return f"CPU ({threads} thread{'s' * (threads > 1)})"


def explaining(path: Path) -> Story | None:
    """A problem of the run that shows the method whole: failed plain, solved under a template, then solved plain."""
    from p2o.report.problems import hard_problems
    from p2o.report.records import read_run

    return next((story for story in hard_problems(read_run(path), most=1) if story.chapters == 3), None)


@contextmanager
def process_as_it_was() -> Iterator[None]:
    """Leaves environment, module path and warning filters as they were."""
    environment, path = dict(os.environ), list(sys.path)
    let_threads_sleep()
    with warnings.catch_warnings():
        try:
            yield
        finally:
            sys.path[:] = path
            for name in os.environ.keys() - environment.keys():
                del os.environ[name]
            os.environ.update(environment)


@contextmanager
def torch_as_it_was() -> Iterator[None]:
    """Leaves torch's random states, threads and current GPU as they were, and no process group that was not there."""
    import torch

    threads = torch.get_num_threads()
    device = torch.cuda.current_device() if torch.cuda.is_initialized() else None
    joined = torch.distributed.is_available() and torch.distributed.is_initialized()
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        try:
            yield
        finally:
            if not joined:
                leave_processes()
            torch.set_num_threads(threads)
            if device is not None:
                torch.cuda.set_device(device)


def name_of(recipe: Recipe | None) -> str:
    """What its runs are called."""
    if isinstance(recipe, Mapping):
        return Path(recipe.get("extends") or "run").stem
    return "run" if isinstance(recipe, Config) else Path(recipe or "quickstart").stem


def base_of(recipe: Recipe | None) -> str | None:
    """The recipe by name or file; None where its values are given and extend none."""
    if isinstance(recipe, Mapping):
        return recipe.get("extends")
    return None if isinstance(recipe, Config) else str(recipe or "quickstart")


def begun(recipe: Recipe | None, held: Held, wanted: Mapping[str, Any]) -> Config:
    """The settings of a new run.

    Raises:
        ConfigError: naming what is wrong.
    """
    match recipe:
        case Config():
            values = _set_fields(recipe)
        case Mapping():
            values = extended(deepcopy(dict(recipe)), "(given as values)")
        case _:
            values = load_recipe(str(recipe or "quickstart"))
    if held:
        former = values.get("data", {})
        if not isinstance(former, Mapping):
            raise ConfigError("data is a section, not a value: give a mapping")
        values["data"] = _data_values(former, held)
    apply_overrides(values, wanted)
    return build_config(values)


def _set_fields(settings: Settings) -> dict[str, Any]:
    """Those that are set, as nested mappings; what is masked in files is whole."""
    return {
        name: _set_fields(value) if isinstance(value, Settings) else value
        for name, value in settings
        if name in settings.model_fields_set
    }


def _data_values(former: Mapping[str, Any], held: Held) -> dict[str, Any]:
    """`[data]` for problems in memory, with what stays in force of the recipe's own."""
    if "problems" not in held:
        raise ConfigError("evaluation is given without problems: give both, or set data.evaluation")
    fields = held["problems"][1]
    if any(other != fields for _, other in held.values()):
        raise ConfigError("of problems and evaluation one holds dicts and one p2o.Problem: give either")
    kept = OF_ANY_FORM if fields else RecordData.model_fields.keys() - {"kind", *FILES.values()}
    stays = {} if former.get("kind") == "tiny" else {name: former[name] for name in former if name in kept}
    # `placed` puts them into the run directory, which is not known yet.
    return {**stays, **fields, "kind": "jsonl", **{FILES[name]: Path(f"{name}.jsonl") for name in held}}


def resumed(
    recipe: Recipe | None, resume: bool | str | Path, held: Held, wanted: Mapping[str, Any]
) -> tuple[Path, Config]:
    """The directory and the settings of a run that goes on.

    Raises:
        ConfigError: if a run and a recipe are named, or problems are given that it did not begin with.
        RunDirectoryError: if there is no such run.
    """
    if isinstance(resume, bool):
        asked = begun(recipe, held, wanted).run  # which refuses a recipe that is none
        path = newest_run(name_of(recipe), asked, wanted)
    elif recipe is not None:
        raise ConfigError(f"resume={str(resume)!r} takes the settings of that run: leave out the recipe")
    else:
        path = Path(resume)
    config = resumed_config(path, wanted)
    for name in held:
        if not isinstance(config.data, JsonlData) or getattr(config.data, FILES[name]) is None:
            raise ConfigError(f"{path}: the run did not begin with {name} of p2o.train: leave them out")
    return path, config


def placed(config: Config, path: Path, held: Held, *, resume: bool) -> Config:
    """The configuration with the problems in memory as files of the run directory."""
    if not isinstance(config.data, JsonlData) or not held:
        return config
    places = {} if resume else {FILES[name]: path / f"{name}.jsonl" for name in held}
    data = config.data.model_copy(update=places)
    files = {getattr(data, FILES[name]): lines for name, (lines, _) in held.items()}
    return config.model_copy(update={"data": data.holding(files)})


def require_training_packages() -> None:
    """Raises `MissingDependencyError` if torch or transformers are not installed."""
    missing = [name for name in ("torch", "transformers") if find_spec(name) is None]
    if missing:
        names = f"{' and '.join(missing)} {'are' if len(missing) > 1 else 'is'}"
        raise MissingDependencyError(f"{names} not installed: pip install 'p2o-rl[train]'")
