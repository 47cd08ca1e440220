"""`p2o push`: upload a run's model to the Hugging Face hub, with a model card."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from p2o.errors import HubError, MissingDependencyError, RunDirectoryError
from p2o.files import write_bytes, write_text
from p2o.masking import scrub
from p2o.track.about import is_under_way

if TYPE_CHECKING:
    from p2o.report.model_card import Card

CARD = "README.md"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `p2o push`."""
    parser.epilog = "The token is that of HF_TOKEN, or of `hf auth login`."
    parser.add_argument("run", type=Path, metavar="RUN", help="a run directory; the run must have ended")
    parser.add_argument(
        "repo", type=repository, metavar="REPO", help="OWNER/NAME on the hub; made if missing"
    )
    parser.add_argument("--private", action="store_true", help="make a private repository")
    parser.add_argument(
        "--dry-run",
        nargs="?",
        const="",
        metavar="FOLDER",
        help="upload nothing: print the model card, or write it and its picture into FOLDER",
    )


def repository(text: str) -> str:
    """A repository's id from the command line."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not OWNER/NAME")
    return text


def run(args: argparse.Namespace) -> int:
    """Uploads, and prints the address of the model.

    Raises:
        RunDirectoryError: if the run has no model yet.
        MissingDependencyError: without huggingface_hub.
        HubError: if there is no token, or the hub refuses or cannot be reached.
    """
    try:
        import huggingface_hub  # noqa: F401
    except ImportError:
        raise MissingDependencyError("the hub needs huggingface_hub: pip install 'p2o-rl[train]'") from None
    from p2o.report.model_card import PICTURE, make_card

    files = model_files(args.run)
    card = make_card(args.run, args.repo)
    if args.dry_run is None:
        print(upload(files, card, args.repo, private=args.private))
    elif args.dry_run:
        folder = Path(args.dry_run)
        if folder.is_file():
            raise RunDirectoryError(f"{folder} is a file: give another folder after --dry-run")
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / CARD, card.text)
        if card.picture is not None:
            write_bytes(folder / PICTURE, card.picture)
        print(f"the card is in {folder}")
    else:
        print(card.text, end="")
    if args.dry_run is not None:
        size = sum(path.stat().st_size for path in files.values())
        print(
            f"not uploaded to {args.repo}: the card and {len(files)} files, {size / 1e6:,.1f} MB",
            file=sys.stderr,
        )
    return 0


def model_files(run: Path) -> dict[str, Path]:
    """The files of the trained model, by their names in the repository.

    Raises:
        RunDirectoryError: if there are none: a run writes its model when it ends.
    """
    folder = run / "model"
    if not run.is_dir():
        raise RunDirectoryError(f"{run}: no such run directory")
    if not folder.is_dir():
        raise RunDirectoryError(
            f"{run} has no trained model: a run writes it when it ends; finish it with p2o-train --resume {run}"
        )
    if is_under_way(run):
        raise RunDirectoryError(
            f"{run} goes on for more epochs, and its model is that of before: finish it with p2o-train --resume {run}"
        )
    # The card takes the place of a README that came with the base model.
    names = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path for name, path in names.items() if name != CARD}


def upload(files: dict[str, Path], card: Card, repo: str, *, private: bool) -> str:
    """Puts files and card into the repository in one commit; returns its address.

    Raises:
        HubError: in one line without the token; also if it has to be `private`, and is there already and public.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, get_token

    from p2o.report.model_card import PICTURE

    token = get_token()
    if token is None:
        raise HubError("the hub asks for a token: set HF_TOKEN, or log in with `hf auth login`")
    contents: dict[str, Path | bytes] = {**files, CARD: card.text.encode()}
    if card.picture is not None:
        contents[PICTURE] = card.picture
    api = HfApi(token=token, library_name="p2o")
    try:
        address = api.create_repo(repo, private=private or None, exist_ok=True)
        # Of a repository that is there the hub changes nothing.
        public = private and not api.model_info(repo).private
        if not public:
            api.create_commit(
                repo,
                [CommitOperationAdd(name, content) for name, content in contents.items()],
                commit_message="Model and card",
            )
    except Exception as error:  # which ones the client raises depends on its version
        reason = scrub(" ".join(str(error).split()), [token])
        raise HubError(f"{repo} cannot be written on the hub: {reason[:300]}") from None
    if public:
        raise HubError(
            f"{repo} is on the hub already, and public: name another one, make it private there, or leave out --private"
        )
    return str(address)
