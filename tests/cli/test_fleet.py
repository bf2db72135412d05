"""`fleet`: what it prints, and how it ends."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from aitoearn_async import Client, Outcome
from aitoearn_async.__main__ import main
from aitoearn_async._cli.files import results_file
from aitoearn_async._cli.options.groups import FleetOptions, FleetReportOptions
from aitoearn_async._cli.report import fleet as report
from aitoearn_async._cli.report.echo import echo_error
from aitoearn_async.emulator import Fault
from aitoearn_async.fleet import Fleet, FleetMember, FleetStatus, FleetUnavailableError

from .conftest import Invoke, Service, Tty, drawn, killing, plain, spawn


@pytest.fixture(autouse=True)
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A fleet in a file of this test's."""
    url = f"sqlite:///{tmp_path}/fleet.db"
    monkeypatch.setenv("AITOEARN_FLEET", url)
    return url


def refs(service: Service, count: int) -> list[str]:
    return [str(service.do(service.emulator.add_image, "success")) for _ in range(count)]


def test_tasks_are_added_worked_and_read(service: Service, invoke: Invoke, tmp_path: Path) -> None:
    """By four commands, of which the worker is told to stop when all has been read."""
    some = refs(service, 5)
    (tmp_path / "refs.txt").write_text("\n".join(["# mine", *some[1:], ""]))
    assert invoke("fleet", "add", some[0]).lines == ["1 of 1 were new"]
    added = invoke("fleet", "add", some[0], "--file", str(tmp_path / "refs.txt"), "--json")
    assert json.loads(added.out) == {"read": 5, "new": 4}
    out = tmp_path / "outcomes.jsonl"
    with spawn("fleet", "work") as worker:
        read = invoke("fleet", "outcomes", "--out", str(out), "--no-follow")
        assert (read.status, read.out) == (0, "")
        worker.send_signal(signal.SIGTERM)
        _, said = worker.communicate(timeout=200)
    assert worker.returncode == 0
    assert "handed over" in said
    outcomes = [Outcome.from_json(line) for line in out.read_bytes().splitlines()]
    assert sorted(str(outcome.ref) for outcome in outcomes) == sorted(some)
    status = invoke("fleet", "status", "--json")
    assert json.loads(status.out)["done"] == 5


@pytest.fixture
def worker(virtual: Service) -> Iterator[None]:
    """A worker beside the commands of this process."""

    async def work() -> None:
        client = Client(virtual.emulator.api_key, base_url=virtual.emulator.url)
        async with Fleet() as fleet, client:
            await fleet.work(client)

    working = virtual.do(lambda: asyncio.create_task(work()))
    yield
    virtual.do(working.cancel)
    virtual.do(lambda: None)


def told_after(service: Service, seconds: float, number: int) -> None:
    """Have this process be sent a signal, by the clock of its commands."""
    kill = partial(os.kill, os.getpid(), number)
    service.do(lambda: asyncio.get_running_loop().call_later(seconds, kill))


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("as_json", [True, False])
def test_outcomes_go_to_stdout(virtual: Service, invoke: Invoke, as_json: bool) -> None:
    """A line each, or JSON; the exit status is that of the worst."""
    good, bad = refs(virtual, 1)[0], "image:" + "f" * 24
    assert invoke("fleet", "add", good, bad).status == 0
    read = invoke("fleet", "outcomes", "--no-follow", *(["--json"] if as_json else []))
    assert read.status == 4
    lines = sorted(read.lines)
    assert len(lines) == 2
    if as_json:
        assert sorted(str(Outcome.from_json(line).ref) for line in lines) == sorted([good, bad])
    else:
        assert lines[1].startswith(f"{bad}: ")
        assert lines[0].startswith(f"{good} success http")


@pytest.mark.usefixtures("worker")
def test_an_interrupted_reader_says_how_many_it_has_read(virtual: Service, invoke: Invoke) -> None:
    """And what it has not read is there for the next one."""
    some = refs(virtual, 3)
    assert invoke("fleet", "add", *some).status == 0
    told_after(virtual, 60, signal.SIGINT)
    read = invoke("fleet", "outcomes", "--prefetch", "3")
    assert (read.status, len(read.lines)) == (130, 3)
    assert "interrupted; 3 outcomes were read" in read.err
    assert invoke("fleet", "outcomes", "--no-follow").out == ""


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("is_written", [False, True])
def test_a_file_of_outcomes_that_is_taken_away_is_named(
    virtual: Service,
    invoke: Invoke,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_written: bool,
) -> None:
    """The outcome that could not be written is given to the next reader, and no other."""
    (ref,) = refs(virtual, 1)
    invoke("fleet", "add", ref)
    out = tmp_path / "outcomes.jsonl"
    append = results_file.ResultsFile.append

    def taken_away(self: results_file.ResultsFile, line: bytes) -> None:
        if is_written:
            append(self, line)
        out.unlink()
        if not is_written:
            append(self, line)

    with monkeypatch.context() as patch:
        patch.setattr(results_file.ResultsFile, "append", taken_away)
        read = invoke("fleet", "outcomes", "--out", str(out), "--no-follow")
    assert read.status == 2
    assert f"{out}: it was deleted or moved while this run was writing to it. What" in read.err
    assert (ref in invoke("fleet", "outcomes", "--no-follow").out) is not is_written


@pytest.mark.usefixtures("worker")
def test_outcomes_that_nobody_would_see_are_left(
    virtual: Service, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where stdout is closed (`>&-`): each outcome goes to one reader, and would be lost."""
    (ref,) = refs(virtual, 1)
    invoke("fleet", "add", ref)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        patch.setattr(sys, "argv", ["x", "fleet", "outcomes", "--no-follow"])
        with pytest.raises(SystemExit) as exit:
            main()
    assert exit.value.code == 2
    assert ref in invoke("fleet", "outcomes", "--no-follow").out


@pytest.mark.parametrize("how", ["--json", "pipe", "terminal"])
def test_a_worker_says_how_the_fleet_stands(virtual: Service, invoke: Invoke, how: str) -> None:
    """As JSON, as a line now and then, or as a view; told to stop, it hands over."""
    some = [str(virtual.do(virtual.emulator.add_image, ("generating", 1e6), "success"))]
    invoke("fleet", "add", *some)
    told_after(virtual, 25, signal.SIGTERM)
    options = ["--json"] if how == "--json" else []
    worked = invoke("fleet", "work", "--rate", "5", *options, tty=how == "terminal")
    assert worked.status == 0
    if how == "--json":
        looks = [json.loads(line) for line in worked.lines]
        assert [look["held"] for look in looks] == [0, 1, 1]
        assert looks[-1]["requests_per_second"] == 5
    else:
        said = plain(worked.err + worked.out)
        assert "0 waiting, 1 held, 0 to read, 0 done, 1 workers, 0 readers" in said
        assert ("share of the rate" in said) == (how == "terminal")
    assert "0 waiting, 1 held, 0 to read, 0 done, 0 workers" in invoke("fleet", "status").out


def test_a_file_that_is_too_large_is_not_saved(
    virtual: Service, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--max-bytes` is obeyed here too, and the outcome says so."""
    monkeypatch.setenv("AITOEARN_PRIVATE_MEDIA", "1")
    invoke("fleet", "add", *refs(virtual, 1))
    told_after(virtual, 5, signal.SIGTERM)
    invoke("fleet", "work", "--save", str(tmp_path / "files"), "--max-bytes", "9")
    read = invoke("fleet", "outcomes", "--no-follow")
    assert (read.status, "9 bytes" in read.out) == (6, True)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without a fleet, and no other that is named."""
    monkeypatch.delenv("AITOEARN_FLEET")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "aitoearn-fleet.db"


@pytest.mark.parametrize(
    "command", [("status",), ("status", "--watch"), ("outcomes",), ("outcomes", "--out", "x.jsonl")]
)
def test_a_fleet_that_is_not_there_is_not_made_by_a_look(
    elsewhere: Path, invoke: Invoke, command: tuple[str, ...]
) -> None:
    """The working directory is another one than its workers', mostly."""
    result = invoke("fleet", *command)
    assert (result.status, result.out) == (2, "")
    assert f"no fleet here: {elsewhere} does not exist" in result.err
    assert "AITOEARN_FLEET" in result.err
    assert os.listdir(elsewhere.parent) == []


@pytest.mark.parametrize("command", [("status",), ("outcomes", "--no-follow")])
def test_a_fleet_of_another_name_is_not_made_by_a_look(
    invoke: Invoke, url: str, command: tuple[str, ...]
) -> None:
    """It is named, and so is the file."""
    invoke("fleet", "add", "image:1")
    result = invoke("fleet", *command, "--name", "nightly")
    assert result.status == 2
    assert f"{url.removeprefix('sqlite:///')} holds no fleet named 'nightly'" in result.err


def test_a_worker_says_where_it_makes_a_fleet(
    elsewhere: Path, virtual: Service, invoke: Invoke
) -> None:
    """It may come first, and it may be in the wrong place. Ctrl-C hands over, as SIGTERM does."""
    for made in (True, False):
        told_after(virtual, 5, signal.SIGINT)
        worked = invoke("fleet", "work")
        assert worked.status == 0
        assert (f"{elsewhere} does not exist; it is made" in worked.err) == made
        assert "stopped; the tasks it waited for are handed over" in worked.err


@pytest.mark.parametrize("engine", ["postgresql", "redis"])
def test_a_look_at_an_engine_that_is_not_there_says_so_at_once(
    virtual: Service, invoke: Invoke, engine: str
) -> None:
    """Who waits at a prompt is not kept there for a minute."""
    began = virtual.do(lambda: asyncio.get_running_loop().time())
    looked = invoke("fleet", "status", "--fleet", f"{engine}://127.0.0.1:9/fleet")
    assert (looked.status, looked.out) == (4, "")
    assert "127.0.0.1:9 cannot be used now" in looked.err.replace("/fleet", "")
    assert len(looked.err.splitlines()) == 1
    assert virtual.do(lambda: asyncio.get_running_loop().time()) - began < 10


def test_a_fleet_is_watched(virtual: Service, invoke: Invoke) -> None:
    """Each two seconds, until Ctrl-C."""
    invoke("fleet", "add", "image:1")
    told_after(virtual, 5, signal.SIGINT)
    watched = invoke("fleet", "status", "--watch", "--json")
    assert watched.status == 130
    assert len(watched.lines) == 3


@pytest.mark.parametrize("command", [("status", "--watch"), ("work",)])
def test_nothing_is_said_again_while_nothing_changes(
    virtual: Service, invoke: Invoke, command: tuple[str, ...]
) -> None:
    """In a pipe, which may be the log of a worker that has nothing to do for days."""

    async def make() -> None:
        async with Fleet():
            pass

    asyncio.run(make())
    told_after(virtual, 300, signal.SIGINT)
    result = invoke("fleet", *command)
    lines = [line for line in result.err.splitlines() if "0 waiting, 0 held" in line]
    assert 1 <= len(lines) <= 2  # a worker may not be there yet at its first look
    assert len(lines) == len(set(lines))


def test_a_crowd_is_cut_short() -> None:
    """With the trouble of those who have some, and how many are not shown."""
    members = [
        FleetMember(
            id=number,
            kind="worker" if number else "reader",
            name=f"host:{number}",
            held=number,
            polls_per_second=1.0,
            requests_per_second=2.0 if number else None,
            trouble="401: no" if number == 3 else "",
        )
        for number in range(23)
    ]
    status = FleetStatus(
        waiting=1_000,
        held=1,
        ended=0,
        done=0,
        oldest=7.0,
        polls_per_second=22.0,
        requests_per_second=50.0,
        members=members,
    )
    assert report.line(status).endswith("22.0 polls/s, oldest 7 s, host:3: 401: no")
    shown = "\n".join(drawn(report.frame(status), 100))
    assert "and 3 more" in shown
    assert "host:19" in shown
    assert "host:20" not in shown
    assert "401: no" in shown


def test_a_list_is_added_as_it_comes(tmp_path: Path, invoke: Invoke) -> None:
    """What stands before a bad line is added, and the line is named."""
    with spawn("fleet", "add", "--file", "-", stdin=subprocess.PIPE) as adding:
        assert adding.stdin is not None
        adding.stdin.write("image:1\nimage:2 # the second\n\n")
        adding.stdin.flush()
        while "2 waiting" not in invoke("fleet", "status").out:
            pass
        out, said = adding.communicate("image:3\nno ref\nimage:4\n", timeout=200)
    assert adding.returncode == 2
    assert out == "3 of 3 were new\n"
    assert "line 5: not a task" in said


@pytest.mark.parametrize("kind", ["pipe", "file", "nothing"])
def test_a_list_comes_from_standard_input(
    tmp_path: Path,
    virtual: Service,
    invoke: Invoke,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    """A pipe, a file, or /dev/null, as of a job that nobody types for."""
    text = "image:1\n# not this\n\nimage:2\n"
    if kind == "nothing":
        there = os.open(os.devnull, os.O_RDONLY)
    elif kind == "pipe":
        there, here = os.pipe()
        os.write(here, text.encode())
        os.close(here)
    else:
        (tmp_path / "refs.txt").write_text(text)
        there = os.open(tmp_path / "refs.txt", os.O_RDONLY)
    before = os.dup(0)
    os.dup2(there, 0)
    os.close(there)
    try:
        with open(0, closefd=False) as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            added = invoke("fleet", "add", "--file", "-")
    finally:
        os.dup2(before, 0)
        os.close(before)
    count = 0 if kind == "nothing" else 2
    assert (added.status, added.out) == (0, f"{count} of {count} were new\n")


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("text", "status", "added"),
    [
        (f"image:1 # {'a cat ' * 50_000}\nimage:2", 0, "2 of 2 were new\n"),
        (f"image:1\n{'x' * 200_000}\nimage:2\n", 2, "1 of 1 were new\n"),
    ],
    ids=["a comment", "no ref"],
)
def test_a_line_from_standard_input_may_be_long(text: str, status: int, added: str) -> None:
    """As one of a file may be."""
    with spawn("fleet", "add", "--file", "-", stdin=subprocess.PIPE) as adding:
        out, said = adding.communicate(text, timeout=200)
    assert (adding.returncode, out) == (status, added)
    assert ("standard input, line 2: not a task" in said) is (status != 0)
    assert len(said) < 1000


@pytest.mark.skipif(sys.platform == "win32", reason="no such flag there")
@pytest.mark.sampled(2)
@pytest.mark.parametrize("text", ["image:1\n", "no ref\n"])
def test_standard_input_is_left_as_it_was(text: str) -> None:
    """Others have it open, too: the shell whose terminal it is, what reads the rest of a pipe."""
    there, here = os.pipe()
    os.write(here, text.encode())
    os.close(here)
    with spawn("fleet", "add", "--file", "-", stdin=there) as adding:
        adding.communicate(timeout=200)
    assert os.get_blocking(there)
    os.close(there)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="it takes a file that fails")
def test_a_file_that_cannot_be_read_is_named(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not said of stdout that it cannot be written to."""
    added = invoke("fleet", "add", "--file", "/proc/self/mem")
    assert (added.status, added.err) == (2, "/proc/self/mem: Input/output error\n")
    monkeypatch.setattr(sys, "stdin", None)  # as where a shell has closed it
    added = invoke("fleet", "add", "--file", "-")
    assert (added.status, added.err) == (2, "standard input: Bad file descriptor\n")


def test_a_bad_line_of_a_file_is_named(virtual: Service, invoke: Invoke, tmp_path: Path) -> None:
    """What stands before it is added."""
    (tmp_path / "refs.txt").write_text("image:1\nno ref\nimage:2\n")
    added = invoke("fleet", "add", "--file", str(tmp_path / "refs.txt"))
    assert (added.status, added.out) == (2, "1 of 1 were new\n")
    assert "refs.txt, line 2: not a task" in added.err


def test_a_log_of_stderr_is_not_drawn_on_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """With `2> log` what goes wrong while a view is on the terminal is in the log."""
    log = io.StringIO()
    monkeypatch.setattr(sys, "stdout", Tty(io.BytesIO(), encoding="utf-8"))
    monkeypatch.setattr(sys, "stderr", log)
    with report.view(as_json=False):
        echo_error("trouble")
    assert log.getvalue() == "trouble\n"


def test_a_fleet_is_shown_on_a_terminal(service: Service, invoke: Invoke) -> None:
    """Once, as a table of its members: no cursor was hidden, and nothing is written over."""
    invoke("fleet", "add", "image:1")
    out = invoke("fleet", "status", tty=True).out
    assert out.count("share of the rate") == 1
    assert "\x1b[?25" not in out
    assert "1 waiting, 0 held, 0 to read, 0 done, 0 workers, 0 readers" in plain(out)


def test_what_is_submitted_can_be_added(service: Service, invoke: Invoke) -> None:
    """`generate --fleet` names the task, and leaves the wait to the workers."""
    made = invoke("generate", "image", "--model", "gpt-image-2", "--fleet", "a cat")
    (ref,) = made.lines
    assert made.status == 0
    assert invoke("fleet", "add", ref).lines == ["0 of 1 were new"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="it takes a full disk")
def test_a_task_whose_name_cannot_be_printed_is_added(service: Service, invoke: Invoke) -> None:
    """The workers wait for it, and its name is on stderr."""
    with open("/dev/full", "w") as full:
        made = invoke("generate", "image", "--model", "gpt-image-2", "--fleet", "a cat", out=full)
    (ref,) = service.emulator.created
    assert made.status == 2
    assert f"submitted {ref}" in made.err
    assert invoke("fleet", "add", str(ref)).lines == ["0 of 1 were new"]


MAKE = ("generate", "image", "--model", "gpt-image-2", "--no-check", "--fleet", "a cat")


def test_a_task_is_added_though_the_terminal_is_gone(service: Service, invoke: Invoke) -> None:
    """Of a command that goes on without one, as after `setsid`: it is paid for."""

    class Vanishing(Tty):
        def write(self, text: str) -> int:
            if service.emulator.requests:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().write(text)

    # A spinner is drawn by a thread of its own, several times meanwhile.
    service.do(service.emulator.fault, Fault(delay=0.3))
    made = invoke(*MAKE, tty=True, err=Vanishing(io.BytesIO(), encoding="utf-8"))
    (ref,) = service.emulator.created
    assert (made.status, made.lines) == (0, [str(ref)])
    assert invoke("fleet", "add", str(ref)).lines == ["0 of 1 were new"]


def test_ctrl_c_while_a_task_is_added_names_it(
    service: Service, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not said that nothing was submitted."""
    adding = threading.Event()

    async def add(*_: object) -> None:
        adding.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Fleet, "add", add)
    with killing(signal.SIGINT, adding.is_set):
        made = invoke(*MAKE)
    (ref,) = made.lines
    assert made.status == 130
    assert made.err.startswith(f"interrupted; {ref} was submitted, and may not be in the fleet")


def test_a_task_that_could_not_be_added_is_named(
    service: Service, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is paid for."""

    async def add(*_: object) -> None:
        raise FleetUnavailableError("the engine is gone")

    monkeypatch.setattr(Fleet, "add", add)
    made = invoke(*MAKE)
    (ref,) = made.lines
    assert made.status == 4
    assert f"{ref} was submitted, and is not in the fleet: the engine is gone" in made.err


@pytest.mark.parametrize("url", ["mysql://host/db", "sqlite:////nowhere/at/all.db"])
def test_what_no_fleet_can_take_is_not_paid_for(
    service: Service, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """It is tried before anything is sent, as the directory of `--save` is."""
    monkeypatch.setenv("AITOEARN_FLEET", url)
    made = invoke(*MAKE)
    assert (made.status in (2, 4), made.out) == (True, "")
    assert made.status == 2 or made.err.endswith("; nothing was submitted\n")
    assert service.emulator.requests == []


def test_a_refused_key_leaves_no_fleet_behind(
    elsewhere: Path, service: Service, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list of models comes first, and says that nothing will be submitted."""
    monkeypatch.setenv("AITOEARN_API_KEY", "wrong")
    made = invoke("generate", "image", "--model", "gpt-image-2", "--fleet", "a cat")
    assert (made.status, service.emulator.created) == (4, [])
    assert not elsewhere.exists()


def test_a_refused_submit_leaves_no_fleet_behind(
    elsewhere: Path, service: Service, invoke: Invoke
) -> None:
    """A file is tried before it, and made after it."""
    service.do(service.emulator.fault, Fault(code=12345))
    made = invoke(*MAKE)
    assert (made.status, service.emulator.created) == (4, [])
    assert os.listdir(elsewhere.parent) == []
    assert invoke(*MAKE).status == 0
    assert elsewhere.exists()


def test_a_disk_without_room_for_a_fleet_is_waited_for_before_the_submit(
    elsewhere: Path, service: Service
) -> None:
    """As a fleet is that exists and does not answer."""
    limit = (
        "import resource, sys; sys.dont_write_bytecode = True; "  # it would be cut off
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))"
    )
    code = f"{limit}; from aitoearn_async.__main__ import main; main()"
    with spawn(*MAKE, code=code) as making:
        assert making.stderr is not None
        assert "is asked again" in making.stderr.readline()
        making.send_signal(signal.SIGINT)
        _, said = making.communicate(timeout=200)
    assert (making.returncode, said) == (130, "interrupted; nothing was submitted\n")
    assert service.emulator.requests == []


def test_a_fleet_is_made_beside_another_one(service: Service, invoke: Invoke) -> None:
    """In the same file, which is there already."""
    invoke("fleet", "add", "--name", "nightly", "image:1")
    (ref,) = invoke(*MAKE).lines
    assert invoke("fleet", "add", ref).lines == ["0 of 1 were new"]


def test_ctrl_c_while_a_fleet_is_looked_for(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing was submitted, and that is said."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setenv("AITOEARN_FLEET", f"postgresql://127.0.0.1:{port}/fleet")
        with spawn(*MAKE) as making, silent.accept()[0]:
            making.send_signal(signal.SIGINT)
            _, said = making.communicate(timeout=200)
    assert (making.returncode, said) == (130, "interrupted; nothing was submitted\n")
    assert service.emulator.requests == []


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["fleet", "add"], "Name a task as REF"),
        (["fleet", "status", "--fleet", "mysql://host/db"], "begins with 'mysql'"),
        (["fleet", "status", "--name", "No Name"], "--name 'No Name'"),
        (["fleet", "status", "--lease", "nan"], "--lease nan: give seconds"),
        (["fleet", "work", "--rate", "inf"], "--rate inf: give a finite number"),
        (["fleet", "work", "--max-pending", "9" * 20], f"--max-pending {'9' * 20}: give a whole"),
        (["fleet", "status", "--fleet", "sqlite:///"], "sqlite:////absolute/path.db"),
        (["fleet", "outcomes", "--out", "/nowhere/x.jsonl"], "/nowhere/x.jsonl"),
        (["fleet", "add", "--file", "/nowhere.txt"], "/nowhere.txt: No such file"),
        (["fleet", "outcomes", "--prefetch", "0"], "--prefetch"),
        (["fleet", "status", "--fleet", "sqlite:////nowhere/at/all.db"], "does not exist"),
        (["fleet", "status", "--fleet", "sqlite:////"], "it is a directory"),
        (
            ["generate", "image", "--model", "m", "--fleet", "--save", ".", "a cat"],
            "it is a worker that saves",
        ),
    ],
)
def test_what_cannot_be_done_is_said(
    service: Service, invoke: Invoke, command: list[str], message: str
) -> None:
    """By name, with the status of a command that was not understood, or of an engine."""
    invoke("fleet", "add", "image:1")
    result = invoke(*command)
    assert result.status in (2, 4)
    assert message in result.err


def test_the_address_of_a_fleet_is_in_no_repr() -> None:
    """It may hold a password, and reporters of errors send the values of frames."""
    url = "postgresql://me:secret@host/db"
    for options in FleetOptions(url, "fleet", 15.0), FleetReportOptions(url, "fleet", 15.0, True):
        assert "secret" not in repr(options)


def test_an_engine_whose_package_is_missing_is_named(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the line that installs it."""
    monkeypatch.delitem(sys.modules, "aitoearn_async.fleet.postgres", raising=False)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    result = invoke("fleet", "status", "--fleet", "postgresql://host/db")
    assert result.status == 2
    assert "pip install 'aitoearn-async[postgres]'" in result.err
