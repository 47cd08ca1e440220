"""Every file of examples/ does what it says, in its smallest size."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from chat_server import Server, completion

from p2o.cli.main import main, make_parser
from p2o.cli.train import run_to_resume
from p2o.config import load_config
from p2o.data import JsonlData
from p2o.study.teacher import Teacher
from p2o.track.run_paths import run_path

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = [
    pytest.mark.filterwarnings("ignore:TRL currently supports vLLM versions:UserWarning"),
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:You are using 'rollout_func':UserWarning"),
]

SMALL_RUN = {
    "run.epochs": 1,
    "run.batch_problems": 6,
    "data.train_size": 12,
    "data.evaluation_size": 6,
    "mining.min_count": 2,
    "evolve.budget": 20,
    "evolve.dev_size": 2,
    "evolve.acceptance": "strict",
}
SMALL_TRL = {"max_steps": 1, "disable_tqdm": True, "save_strategy": "no"}


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def example(name: str) -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLES / name))


def test_the_table_has_every_example() -> None:
    named = set(re.findall(r"^\| \[([\w.]+)\]\(\1\)", (EXAMPLES / "README.md").read_text(), re.MULTILINE))
    assert named == {path.name for path in EXAMPLES.iterdir()} - {
        "README.md",
        "__pycache__",
        "Dockerfile.dockerignore",
    }


def test_own_problems_on_one_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    """Rows as GSM8K has them; model and sampler of this machine."""
    rows = [{"question": f"{n}+{n}=?", "answer": f"Add.\n#### {2 * n}"} for n in range(10, 30)]
    for name in ("train", "test"):
        part = rows[:15] if name == "train" else rows[15:]
        Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    here = {
        "data.train": '"train.jsonl"',
        "data.evaluation": '"test.jsonl"',
        "data.subset": "none",
        "data.splits": "[]",
        "data.suffix": '""',
        "model.source": "p2o-tiny",
        "model.dtype": "float32",
        "rollout.sampler": "hf",
        "rollout.max_prompt_tokens": "256",
        "rollout.max_tokens": "48",
        "reflection.max_tokens": "64",
        "reflection.prompt": "tiny",
        "optimizer.gradient_checkpointing": "false",
    }
    settings = [f"--set={name}={value}" for name, value in here.items()]
    assert main(["train", str(EXAMPLES / "own_problems_one_gpu.toml"), "--check", *settings]) == 0
    printed = capsys.readouterr().out
    assert "the problem in the field 'question', the gold at the end of the solution in 'answer'" in printed
    assert "15 problems to train on, 5 to evaluate on" in printed


def test_own_reward(capsys: pytest.CaptureFixture[str]) -> None:
    names = example("own_reward.py")
    problem = names["p2o"].Problem("1", (), "1000")
    assert [names["near"](problem, text) for text in (r"\boxed{1000}", "950", "1100", "899", "none")] == [
        *(1.0, 0.5, 0.5, 0.0, 0.0)
    ]
    result = names["main"](**SMALL_RUN)
    assert result.model.exists()
    assert "mean reward" in capsys.readouterr().out


def test_teacher_by_api(capsys: pytest.CaptureFixture[str]) -> None:
    with Teacher() as teacher:
        small = {**SMALL_RUN, "run.epochs": 2, "run.batch_problems": 12, "evolve.budget": 48}
        changed = {**small, "evolve.dev_size": 4, "evolve.parents": 4}
        result = example("teacher_by_api.py")["main"]("simulated-teacher", teacher.url, **changed)
    assert result.templates
    assert f"  {result.templates[0]}" in capsys.readouterr().out


def test_verifier_in_trl() -> None:
    trainer = example("verifier_in_trl.py")["main"](**SMALL_TRL)
    assert trainer.state.log_history[0]["rewards/verify_reward/mean"] >= 0


def test_p2o_in_trl() -> None:
    names = example("p2o_in_trl.py")
    small = {**SMALL_TRL, "max_steps": 4, "per_device_train_batch_size": 72, "logging_steps": 1}
    settings = {
        **names["SETTINGS"],
        "mining.min_count": 4,
        "evolve.budget": 60,
        "evolve.acceptance": "strict",
    }
    trainer = names["main"](24, {**settings, "evolve.dev_size": 8}, **small)
    assert [record["p2o/hard"] > 0 for record in trainer.state.log_history[:4]] == [False, False, True, True]


def test_verifier_in_a_loop() -> None:
    counts = example("verifier_in_a_loop.py")["main"]("kept.jsonl", samples=4)
    kept = [json.loads(line) for line in Path("kept.jsonl").read_text().splitlines()]
    assert counts.total() == 36
    assert len(kept) == counts["correct"] > 18, "under the instruction the model is nearly always right"


def test_evolve_an_api_model(server: Server) -> None:
    """A model that multiplies right once it is told to do so digit by digit, and that finds out."""

    def answer(body: dict[str, Any]) -> Any:
        text = body["messages"][-1]["content"]
        asked = re.search(r"What is (\d+) times (\d+)", text)
        if "digit by digit" in text and text.count("What is") == 1 and asked:
            return completion(f"\\boxed{{{int(asked[1]) * int(asked[2])}}}")
        return completion("```\nMultiply digit by digit.\n```" if text.count("What is") > 1 else "0")

    server.answer = answer
    evolution = example("evolve_an_api_model.py")["main"]("m", server.url, budget=400)
    assert [template.text for template in evolution.chosen] == ["Multiply digit by digit."]
    assert Path("evolve.jsonl").exists()


def test_packer_in_own_trainer() -> None:
    """The packed loss and its gradients are those of one row at a time."""
    import torch

    names = example("packer_in_own_trainer.py")
    losses = names["main"](steps=5)
    assert losses[-1] < losses[0]
    tokenizer = names["AutoTokenizer"].from_pretrained(names["MODEL_PATH"])
    rows = names["Rows"].of(
        [tokenizer(text)["input_ids"] for text in ("12+3=", "4+4=", "100+23=")],
        [tokenizer(text)["input_ids"] for text in ("15", "8", "123")],
        advantages=[1.0, -0.5, 2.0],
        streams={},
    )
    found = []
    for budget in (64, 10):  # all in one, one each
        model = names["AutoModelForCausalLM"].from_pretrained(names["MODEL_PATH"], dtype="float32")
        loss = names["packed_loss"](model, rows, budget)
        found.append((loss, torch.cat([weight.grad.flatten() for weight in model.parameters()])))
    (packed, gradient), (single, expected) = found
    assert len(names["pack"](rows.lengths, budget=64)) == 1
    assert len(names["pack"](rows.lengths, budget=10)) == 3
    assert packed == pytest.approx(float(single), abs=1e-5)
    assert torch.allclose(gradient, expected, rtol=1e-3, atol=1e-3)


def test_slurm() -> None:
    """Its commands, with Slurm's and torchrun's replaced by ones that say what they were given."""
    script = EXAMPLES / "slurm.sh"
    for name, body in (("scontrol", "printf 'n1\\nn2\\n'"), ("srun", 'echo "$OMP_NUM_THREADS" "$@"')):
        Path(name).write_text(f"#!/bin/sh\n{body}\n")
        Path(name).chmod(0o755)
    Path("venv/bin").mkdir(parents=True)
    Path("venv/bin/activate").touch()
    environment = {
        "PATH": f"{Path.cwd()}:/usr/bin:/bin",
        "P2O_VENV": "venv",
        "SLURM_JOB_NODELIST": "n[1-2]",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_JOB_ID": "7",
        "SLURM_CPUS_PER_TASK": "64",
        "SLURM_GPUS_ON_NODE": "8",
    }
    ran = subprocess.run(
        [shutil.which("bash") or "bash", str(script), "p2o", "--set", "data.train=a b.jsonl"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    launch = "torchrun --nnodes 2 --nproc-per-node 8 --rdzv-id 7 --rdzv-backend c10d --rdzv-endpoint n1:29500"
    assert ran.stdout == f"8 {launch} -m p2o train p2o --set data.train=a b.jsonl\n"

    commands = re.findall(r"sbatch examples/slurm.sh ([^#\n]*)", script.read_text())
    begun, resumed = (make_parser(["train"]).parse_args(["train", *line.split()]) for line in commands)
    for recipe in ("quickstart", begun.recipe):  # that of the demo is there too, and older
        folder = run_path(load_config(recipe, begun.overrides if recipe == begun.recipe else ()), recipe)
        folder.mkdir(parents=True)
        (folder / "config.toml").touch()
    assert run_to_resume(resumed.resume, resumed.recipe, resumed.overrides) == folder


def test_jobset() -> None:
    """Its numbers and names agree, and its commands, with torchrun replaced by one that says what it was given."""
    jobset = yaml.safe_load((EXAMPLES / "jobset.yaml").read_text())
    assert (jobset["apiVersion"], jobset["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    (replicated,) = jobset["spec"]["replicatedJobs"]
    job = replicated["template"]["spec"]
    assert (replicated["replicas"], job["completionMode"], job["backoffLimit"]) == (1, "Indexed", 0)
    pod = job["template"]["spec"]
    assert pod["restartPolicy"] == "Never"
    (container,) = pod["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {each["name"] for each in pod["volumes"]}
    variables = {each["name"]: each["value"] for each in container["env"]}
    assert job["parallelism"] == job["completions"] == int(variables["NODES"])
    gpus = container["resources"]["limits"]["nvidia.com/gpu"]

    Path("torchrun").write_text('#!/bin/sh\necho "$@"\n')
    Path("torchrun").chmod(0o755)
    shared = Path.cwd() / "shared"
    command = [*container["command"], *container["args"]]
    command = [word.replace("/shared", str(shared)) for word in command]
    environment = {**variables, "PATH": f"{Path.cwd()}:/usr/bin:/bin", "JOB_COMPLETION_INDEX": "1"}
    meeting = f"{jobset['metadata']['name']}-{replicated['name']}-0-0.{jobset['metadata']['name']}"
    launch = f"--nnodes 2 --nproc-per-node {gpus} --node-rank 1 --master-addr {meeting} --master-port 29500"
    files = {"run.output": "run", "data.train": "problems.jsonl", "data.evaluation": "benchmarks.jsonl"}
    settings = " ".join(f"--set {name}={shared / file}" for name, file in files.items())
    for flags in ("", " --resume"):
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert ran.stdout == f"{launch} -m p2o train p2o {settings}{flags}\n"
        config = load_config("p2o", settings.replace("--set ", "").split())
        assert isinstance(config.data, JsonlData)
        for path in (config.run.output, config.data.train, config.data.evaluation):
            assert path is not None
            assert path.is_relative_to(shared), "the pods have nothing else"
        (shared / "run").mkdir(parents=True, exist_ok=True)
        (shared / "run" / "config.toml").touch()


def test_dockerfile() -> None:
    """Only its form: it is not built here."""
    lines = (EXAMPLES / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    steps = [line.split(maxsplit=1)[0] for line in lines if line and not line.startswith("#")]
    assert set(steps) <= {"ARG", "FROM", "RUN", "WORKDIR", "COPY", "ENV", "ENTRYPOINT", "CMD"}
    assert steps.count("FROM") == 2
    for line in lines:
        if line.startswith(("ENTRYPOINT", "CMD")):
            assert isinstance(json.loads(line.split(maxsplit=1)[1]), list)


def test_quickstart_notebook() -> None:
    """Its code cells in order, the one with the settings replaced by smaller ones."""
    import matplotlib

    matplotlib.use("agg")
    cells = json.loads((EXAMPLES / "quickstart.ipynb").read_text())["cells"]
    names: dict[str, Any] = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
            if "parameters" in cell["metadata"].get("tags", ()):
                names["SETTINGS"] |= SMALL_RUN
    assert names["result"].accuracies[-1]["evaluation/accuracy"] == names["values"][-1]
    assert names["answer"].shape[0] == 1
    matplotlib.pyplot.close("all")
