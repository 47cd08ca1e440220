"""`p2o watch`: the page of a run under way, for this machine alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from p2o.cli.main import main
from p2o.config import load_config
from p2o.errors import RunDirectoryError
from p2o.files import append_jsonl
from p2o.report.records import require_begun
from p2o.report.watch import WatchServer
from p2o.track.run_directory import RunDirectory


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WatchServer]:
    server = WatchServer([tmp_path])
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def get(server: WatchServer, path: str, host: str | None = None) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    connection.request("GET", path, headers={} if host is None else {"Host": host})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def test_the_page_is_that_of_now(server: WatchServer, tmp_path: Path) -> None:
    status, page = get(server, "/")
    assert status == 200
    assert 'http-equiv="refresh"' in page, "nothing is written yet"
    stamps = [get(server, "/stamp")[1]]
    for accuracy in (0.125, 0.625):
        append_jsonl(
            tmp_path / "metrics.jsonl", [{"step": 0, "num_tokens": 0, "evaluation/accuracy": accuracy}]
        )
        stamps.append(get(server, "/stamp")[1])
        page = get(server, "/")[1]
        assert "data-live" in page
        assert f"<strong>{accuracy:.3f}</strong>" in page
    assert len(set(stamps)) == 3


def test_a_run_that_cannot_be_read_is_told_on_the_page(server: WatchServer, tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").mkdir()
    status, page = get(server, "/")
    assert status == 200
    assert "metrics.jsonl" in page
    assert 'http-equiv="refresh"' in page


def test_only_this_machine_reads_it_and_only_the_page(server: WatchServer, tmp_path: Path) -> None:
    """A name elsewhere that resolves to this machine is refused; files of the run are not served."""
    assert server.server_address[0] == "127.0.0.1"
    assert get(server, "/", host=f"evil.example:{server.server_port}")[0] == 403
    assert get(server, "/stamp", host="evil.example")[0] == 403
    for host in ("", "localhost.evil.example", "evil.example:127.0.0.1", "127.0.0.1.evil.example:80"):
        assert get(server, "/", host=host)[0] == 403
    assert get(server, "/", host=f"localhost:{server.server_port}")[0] == 200
    for host in ("localhost:9000", "127.0.0.1:9000", "localhost", "127.0.0.1"):  # by a tunnel, or on port 80
        assert get(server, "/", host=host)[0] == 200
    for path in ("/metrics.jsonl", "/../config.toml", "//etc/passwd"):
        assert get(server, path)[0] == 404


def test_a_browser_that_leaves_before_its_answer_is_no_error(
    server: WatchServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """A page that is loaded again while it is sent."""
    for error, told in (
        (ConnectionResetError("reset"), False),
        (BrokenPipeError(), False),
        (KeyError(1), True),
    ):
        try:
            raise error
        except (OSError, KeyError):
            server.handle_error(None, ("127.0.0.1", 1))
        assert bool(capsys.readouterr().err) == told


def test_a_port_in_use_and_a_missing_run_are_one_line(
    server: WatchServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.toml").touch()
    assert main(["watch", str(tmp_path), "--port", str(server.server_port)]) == 2
    assert main(["watch", str(tmp_path), "--port", "99999"]) == 2
    assert main(["watch", str(tmp_path / "none")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("error: ") for line in lines)
    assert ["--port" in line for line in lines] == [True, True, False]


@pytest.mark.parametrize("name", ["config.toml", "journal.jsonl", "metrics.jsonl", "templates.jsonl"])
def test_a_run_that_has_only_begun_is_watched(name: str, tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="is it a run directory"):
        require_begun(tmp_path)
    (tmp_path / name).touch()
    require_begun(tmp_path)


def test_what_a_run_begins_with_is_enough_to_watch_it(tmp_path: Path) -> None:
    directory = RunDirectory.create(tmp_path / "run", load_config("quickstart"), {})
    require_begun(directory.path)
    directory.unlock()
