"""Options and messages: help, names of options in errors, proxies, hints of what to do next."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from aitoearn_async import CHINA, INTERNATIONAL, AuthenticationError, telemetry
from aitoearn_async._cli.commands import app
from aitoearn_async._cli.options.names import in_option_names
from aitoearn_async._cli.options.types import MEDIA_SUFFIXES, SIZE
from aitoearn_async._cli.report import words
from aitoearn_async._cli.report.text import shown
from aitoearn_async._downloads import filenames
from aitoearn_async.emulator import Fault
from aitoearn_async.telemetry import watcher

from .conftest import Invoke, Result, Service, killing

HELP = Path(__file__).parent / "help.txt"
CERTIFICATE = Path(__file__).parents[1] / "support" / "certificates" / "valid.pem"
IMAGE = ("generate", "image", "--model", "gpt-image-2")
ID = "66f0c1d2e3a4b5c6d7e8f901"


def commands(group: click.Group = app, *names: str) -> Iterator[tuple[str, ...]]:
    """All commands, by the words they are typed with."""
    yield names
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *names, name)
        else:
            yield (*names, name)


def parameters(group: click.Group = app) -> Iterator[click.Parameter]:
    yield from group.params
    for command in group.commands.values():
        yield from parameters(command) if isinstance(command, click.Group) else command.params


def test_help_is_as_it_was_read(invoke: Invoke) -> None:
    """The help texts are those of `help.txt`, at every version of click.

    After a change: `python -m tests.cli.test_options`, and read the difference.
    """
    assert all_help(invoke) == HELP.read_text(encoding="utf-8")


def all_help(invoke: Invoke) -> str:
    return "\n".join(
        f"$ aitoearn-async {' '.join(names)}\n{invoke(*names, '--help').out}"
        for names in commands()
    )


def test_every_value_has_a_name_of_its_own() -> None:
    """No help text shows a type of Python."""
    for parameter in parameters():
        if not getattr(parameter, "is_flag", False) and parameter.name != "help":
            shown = parameter.make_metavar(click.Context(app))
            assert shown not in ("TEXT", "INTEGER", "FLOAT", "INTEGER RANGE", "FLOAT RANGE"), shown


def test_every_command_has_an_example() -> None:
    """An example is the quickest help there is."""
    for names in commands():
        command: Any = app
        for name in names:
            command = command.commands[name]
        assert "Example" in (command.epilog or "") or names in (("generate",), ("edit",))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(invoke: Invoke, monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    """What is printed asks the program itself, which knows its commands and options."""
    assert "_AITOEARN_ASYNC_COMPLETE" in invoke("completion", shell).out
    monkeypatch.setenv("_AITOEARN_ASYNC_COMPLETE", f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", "aitoearn-async wait --ti")
    monkeypatch.setenv("COMP_CWORD", "--ti" if shell == "fish" else "2")
    assert "--timeout" in invoke().out


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("wait --file re", "file"),
        ("wait --out re", "file"),
        ("wait --save re", "file"),
        ("get --ca re", "file"),
        ("edit image --image re", "file"),
        ("fleet add --file re", "file"),
        ("fleet work --save re", "dir"),
        ("get --language re", None),
    ],
)
def test_names_of_files_are_completed(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, words: str, kind: str | None
) -> None:
    """By the shell, which completes them as long as no program says that it does."""
    monkeypatch.setenv("_AITOEARN_ASYNC_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", f"aitoearn-async {words}")
    monkeypatch.setenv("COMP_CWORD", str(len(words.split())))
    assert invoke().out == (f"{kind},re\n" if kind else "\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("n=0: give a whole number", "--n 0: give a whole number"),
        ("size='1x1': m takes 2x2", "--size '1x1': m takes 2x2"),
        ("image=PosixPath('a b.png'): not an image", "--image a b.png: not an image"),
        ("image_tail= is the last frame", "--last-image is the last frame"),
        ("response_format='x': give url", "--format 'x': give url"),
        ("group_id=: no such group", "--group: no such group"),
        ("(private_media=True allows it)", "(--private-media allows it)"),
        (
            'private_media=True allows it, or private_media=["::/8"] this range alone',
            "--private-media allows it, or AITOEARN_PRIVATE_MEDIA=::/8 this range alone",
        ),
        ("images=[1]: give pictures", "--reference [1]: give pictures"),
        ("see error.search() or client.list_videos()", "see `aitoearn-async videos`"),
        ("see error.search() or client.list_images()", "see `client.list_images()` in Python"),
        ("see https://x.y/?ref=1&size=2", "see https://x.y/?ref=1&size=2"),
        ("f(x=1)", "f(x=1)"),
    ],
)
def test_messages_have_the_names_of_options(text: str, said: str) -> None:
    assert in_option_names(text) == said


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("generate image --model m a cat on a roof", 'is one argument: "a cat on a roof"'),
        ("edit image --model m --image none.png x", "'--image': none.png: No such file"),
        ("get image:a --base-url ftp://x", "--base-url does not begin with http://"),
        ("get image:a --proxy ftp://x", "--proxy is no http(s) address"),
        ("get image:a --ca none.pem", "'--ca': none.pem: No such file"),
        (f"get image:a --ca {__file__}", "it is not a PEM file of certificates"),
        ("get image:a --language tag!", "there are no texts in 'tag!': write en, zh or zh-CN"),
        ("demo --language fr", "'--language': there are no texts in 'fr': write en, zh"),
        ("wait image:a --rate abc", "'--rate': 'abc' is not a number"),
        ("wait image:a --concurrency 1.5", "'--concurrency': '1.5' is not a whole number"),
        ("generate image --model m x --at-most much", "'--at-most': 'much' is not a number"),
        ("get image:a --ca=", "'--ca': it is empty: name a file"),
        ("download image:a --save /proc/nothing", "/proc cannot be written to: "),
        ("download image:a --save /etc/passwd/a.png", "/etc/passwd is not a directory"),
        (f"download image:a --save {'n' * 300}.png", "File name too long"),
        ("wait image:a image:b --save out.png", "out.png is the name of one file, and there are"),
        ("download image:a image:b --save out.png", "out.png is the name of one file"),
        ("generate image --model m x --n 2 --save a/b.MP4", "b.MP4 is the name of one file"),
        ("demo --save out.png", "out.png is the name of a file: name a directory"),
        ("download image:a --max-bytes much", "'--max-bytes': 'much' is not a size"),
        ("download image:a --max-bytes 9000000T", "'9000000T' is not a size"),
        (f"wait --file /dev/null --max-pending {10**20}", f"--max-pending {10**20}: give a whole"),
        ("generate video --model m x --metadata []", "write a JSON object"),
    ],
)
def test_what_is_wrong_is_said_in_words_of_the_command_line(
    service: Service, invoke: Invoke, command: str, said: str
) -> None:
    result = invoke(*command.split())
    assert (result.status, result.out) == (2, "")
    assert said in result.err
    assert service.emulator.requests == []


def test_a_variable_is_named_where_it_is_wrong(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody looks for an option that was not given."""
    monkeypatch.setenv("AITOEARN_API_KEY", "some-key")
    monkeypatch.setenv("AITOEARN_BASE_URL", "ftp://x")
    assert "Error: AITOEARN_BASE_URL does not begin with" in invoke("get", "image:a").err
    monkeypatch.setenv("AITOEARN_BASE_URL", "https://aitoearn.ai")
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:9")
    assert "Error: HTTPS_PROXY is no http(s) address" in invoke("get", "image:a").err


def test_a_language_of_the_environment_that_is_not_there_is_named(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its variable, too: a run in English would not say why."""
    monkeypatch.setenv("AITOEARN_LANGUAGE", "fr")
    result = invoke("emulator")
    assert (result.status, result.out) == (2, "")
    assert "'AITOEARN_LANGUAGE': there are no texts in 'fr': write en, zh" in result.err


@pytest.mark.parametrize("command", ["completion bash", "fleet status"])
def test_the_language_that_a_command_is_given_goes_before_the_environment(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """A variable that some profile sets wrongly can be got past."""
    monkeypatch.setenv("AITOEARN_LANGUAGE", "fr")
    result = invoke(*command.split(), "--language", "en")
    assert "AITOEARN_LANGUAGE" not in result.err


@pytest.mark.parametrize("command", ["get image:a", "demo"])
def test_telemetry_that_cannot_be_had_is_named(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, command: str, tmp_path: Path
) -> None:
    """A word that is not known, and a package that is not installed. Nothing is left behind."""
    monkeypatch.setenv("AITOEARN_API_KEY", "some-key")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setitem(sys.modules, "aitoearn_async.telemetry.otel", None)
    monkeypatch.delitem(vars(telemetry), "OpenTelemetry", raising=False)
    watcher._named.cache_clear()
    for word, said in (("loud", "AITOEARN_TELEMETRY='loud'"), ("otel", 'aitoearn-async[otel]"')):
        monkeypatch.setenv("AITOEARN_TELEMETRY", word)
        result = invoke(*command.split())
        assert (result.status, result.out) == (2, "")
        assert said in result.err
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("is_file", "reason"), [(True, "Not a directory"), (False, "No such file or directory")]
)
def test_a_demo_without_a_place_for_its_files_names_it(
    is_file: bool, reason: str, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is not said of stdout that it cannot be written to."""
    place = tmp_path / "place"
    if is_file:
        place.touch()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    result = invoke("demo")
    assert result.status == 2
    assert re.fullmatch(rf"{place}/aitoearn-demo-\w+: {reason}\n", result.err)


def test_a_demo_on_a_machine_without_a_place_for_files_says_so(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where each disk is full: Python names the places that it has tried."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nowhere"])
    result = invoke("demo")
    assert result.status == 2
    assert result.err.endswith("Error: No usable temporary directory found in ['/nowhere']\n")


def test_where_nobody_answers_the_way_there_is_named(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AITOEARN_API_KEY", "some-key")
    asked = invoke("models", "--base-url", "http://127.0.0.1:9")
    assert asked.status == 4
    assert "Are the address, the network and the proxy (HTTPS_PROXY) right?" in asked.err


@pytest.mark.parametrize(
    ("text", "size"), [("800", 800), ("2k", 2048), ("500M", 500 * 2**20), ("4GiB", 4 * 2**30)]
)
def test_sizes(text: str, size: int) -> None:
    assert SIZE.convert(text, None, None) == size


def test_a_name_is_a_file_where_the_client_takes_it_for_one() -> None:
    """What is refused here as one file is not made into a directory elsewhere."""
    suffixes = {*filenames.SUFFIXES.values(), *filenames._OTHER_SUFFIXES}
    assert suffixes == MEDIA_SUFFIXES


def test_an_id_of_the_wrong_length_is_told(
    service: Service, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service says no more than that validation failed; with a wrong key it is the key."""
    for command in ("get", "wait", "download"):
        assert "An id has 24 hex digits" in invoke(command, f"video:{ID[:-1]}").err
    assert "24 hex digits" not in invoke("get", f"video:{ID}").err
    monkeypatch.setenv("AITOEARN_API_KEY", "wrong")
    assert "24 hex digits" not in invoke("get", f"video:{ID[:-1]}").err


def test_a_wrong_key_is_told_where_to_look(
    service: Service, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AITOEARN_API_KEY", "wrong")
    said = invoke("get", f"image:{ID}").err
    assert "check AITOEARN_API_KEY" in said
    assert "--base-url" not in said


@pytest.mark.parametrize("host", [INTERNATIONAL, CHINA, "http://127.0.0.1:8080"])
def test_keys_of_the_other_host_are_told_of_at_one_of_the_two(host: str) -> None:
    """A server of one's own has keys of its own."""
    there = AuthenticationError(401, "no")
    there.host = host
    assert (f"--base-url {CHINA}" in words.reason(there)) == (host == INTERNATIONAL)


def test_models_need_no_key(
    service: Service, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first look at the product; a server that asks for a key says so itself."""
    key = service.emulator.api_key
    monkeypatch.delenv("AITOEARN_API_KEY")
    asked = invoke("models")
    sent = [request.headers.get("Authorization", "") for request in service.emulator.requests]
    assert not any(key in header for header in sent)
    assert asked.status in (0, 4)
    assert "is not set" not in asked.err


@contextlib.contextmanager
def answering(tls: ssl.SSLContext | None = None) -> Iterator[tuple[str, list[str]]]:
    """A server or proxy that answers every request, with its address and what it was asked."""
    asked: list[str] = []
    task = b'{"code":0,"data":{"logId":"%b","status":"success"}}' % ID.encode()

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.requestline)
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(task)))
            self.end_headers()
            self.wfile.write(task)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    # Its end joins all threads and closes all connections, those refused in a handshake too.
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        server.daemon_threads = False
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("how", ["variable", "option", "neither", "excepted"])
def test_proxies(invoke: Invoke, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """A proxy of the environment is used, as curl and pip do, and an option comes before it."""
    monkeypatch.setenv("AITOEARN_API_KEY", "some-key")
    with answering() as (address, asked):
        nowhere = "http://127.0.0.1:9"
        named = {"variable": address, "option": nowhere, "excepted": address}
        for name in ("HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        if how in named:
            monkeypatch.setenv("http_proxy", named[how])
        if how == "excepted":
            monkeypatch.setenv("no_proxy", "127.0.0.1")
        options = ("--proxy", address) if how == "option" else ()
        result = invoke("get", f"image:{ID}", "--base-url", nowhere, *options)
    through = how in ("variable", "option")
    assert (result.status, len(asked)) == ((0, 1) if through else (4, 0))
    assert not through or asked[0].startswith(f"GET {nowhere}/")


def test_a_certificate_authority_of_ones_own(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--ca` makes trusted what is not; without it the key is not sent."""
    monkeypatch.setenv("AITOEARN_API_KEY", "some-key")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERTIFICATE)
    with answering(tls) as (address, asked):
        get = ("get", f"image:{ID}", "--base-url", address)
        refused = invoke(*get)
        assert (refused.status, "certificate" in refused.err, asked) == (4, True, [])
        assert invoke(*get, "--ca", str(CERTIFICATE)).status == 0


def test_a_file_that_is_too_large(
    virtual: Service, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`--max-bytes` is obeyed wherever files are saved."""
    monkeypatch.setenv("AITOEARN_PRIVATE_MEDIA", "1")
    virtual.do(virtual.emulator.script, "image", "success")
    ref = str(virtual.do(virtual.emulator.add_image, "success"))
    saving = ("--save", str(tmp_path), "--max-bytes", "9")
    for command in (("download", ref), ("wait", ref), (*IMAGE, "a cat")):
        result = invoke(*command, *saving)
        assert (result.status, "9 bytes" in result.err) == (6, True)
        assert "max_bytes" not in result.err
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".png"]


def test_the_network_that_is_named_is_the_one_to_allow(
    virtual: Service, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The advice is for people: the option, or the variable with that range alone."""
    ref = str(virtual.do(virtual.emulator.add_image, "success"))
    refused = invoke("download", ref, "--save", str(tmp_path))
    assert refused.status == 6
    advice = r"--private-media allows it, or AITOEARN_PRIVATE_MEDIA=(\S+) this range alone"
    found = re.search(advice, refused.err)
    assert found is not None
    monkeypatch.setenv("AITOEARN_PRIVATE_MEDIA", found[1])
    assert invoke("download", ref, "--save", str(tmp_path)).status == 0


def test_how_to_go_on_with_what_was_given_up(virtual: Service, invoke: Invoke) -> None:
    """A task that is paid for and not at its end is named with the command that goes on."""
    virtual.do(virtual.emulator.script, "image", "generating")
    trust = ("--ca", str(CERTIFICATE), "--private-media")
    result = invoke(*IMAGE, "a cat", "--timeout", "5", "--save", "my files", *trust)
    (ref,) = virtual.emulator.created
    assert result.status == 3
    again = f"go on: aitoearn-async wait {ref} --save 'my files' {' '.join(trust)}"
    assert result.err.splitlines()[-1] == again


def test_refs_and_states_in_json(service: Service, invoke: Invoke) -> None:
    """What one command prints the next can be given."""
    film = service.do(service.emulator.add_video, "SUCCESS")
    picture = service.do(service.emulator.add_image, "failed")
    for args in (("get", str(film)), ("videos",), ("wait", str(film)), ("get", str(picture))):
        (line,) = map(json.loads, invoke(*args, "--json").lines)
        ref, state = (picture, "failed") if args[1:] == (str(picture),) else (film, "succeeded")
        assert (line["ref"], line["state"]) == (str(ref), state)


def test_a_film_in_the_address_field_is_not_poured_out(service: Service, invoke: Invoke) -> None:
    """Of a data URI people see what it is; JSON has all of it."""
    uri = "data:video/mp4;base64," + "AAAA" * 50_000
    ref = service.do(service.emulator.add_video, "SUCCESS", fields={"videoUrl": uri})
    said = invoke("get", str(ref))
    assert "video/mp4, base64, 200,022 characters (see get --json)" in said.out
    assert len(said.out) < 1000
    assert len(invoke("wait", str(ref)).out) < 1000
    assert uri in invoke("get", str(ref), "--json").out
    assert shown(f"no: {uri} is refused") == "no: data:video/mp4,… (200,022 characters) is refused"


def test_words_that_only_begin_as_a_data_uri_are_shown_at_once() -> None:
    """However long they go on: the service may say anything."""
    text, began = f"data:{'a' * 2000}", time.process_time()
    assert shown(text) == text
    assert time.process_time() - began < 1


@pytest.mark.parametrize("trouble", ["refused", "slow"])
def test_a_check_that_nobody_asked_for_holds_nothing_up(
    virtual: Service, invoke: Invoke, trouble: str
) -> None:
    """Without a list of models the request is submitted, and a warning says so."""
    virtual.do(virtual.emulator.script, "image", "success")
    fault = Fault(code=12345) if trouble == "refused" else Fault(delay=60.0)
    virtual.do(virtual.emulator.fault, fault)
    result = invoke(*IMAGE, "a cat")
    assert result.status == 0
    assert result.err.startswith("Warning: the request is not compared with the list of models: ")
    assert len(virtual.emulator.created) == 1

    virtual.do(virtual.emulator.fault, Fault(code=12345))
    assert invoke(*IMAGE, "a cat", "--check").status == 4
    assert len(virtual.emulator.created) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_what_may_be_paid_for_is_said_last_of_all(
    service: Service, invoke: Invoke, number: signal.Signals
) -> None:
    """Whatever signal ends it; one that closes a terminal reaches stderr where that is a file."""
    service.do(service.emulator.fault, Fault(stall="head", creates=True), times=None)
    with killing(number, lambda: service.emulator.requests):
        result = invoke(*IMAGE, "--no-check", "a cat")
    assert result.status == 130
    assert re.match(r"interrupted; the submit was sent at .* may have made a task", result.err)
    assert "Look for it with `client.list_images()` in Python before" in result.err


@pytest.mark.parametrize("command", ["wait", "download"])
def test_the_limits_of_requests_are_the_clients(
    virtual: Service,
    invoke: Invoke,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    """`--rate` spaces their starts, and `--concurrency` bounds those under way."""
    monkeypatch.setenv("AITOEARN_PRIVATE_MEDIA", "1")
    refs = [str(virtual.do(virtual.emulator.add_image, "success")) for _ in range(6)]
    virtual.do(lambda: virtual.emulator.fault(Fault(delay=3.0), times=None, route="image"))

    def seconds(option: str, value: str) -> float:
        began = virtual.do(lambda: asyncio.get_running_loop().time())
        saving = ("--save", str(tmp_path / option))
        assert invoke(command, *refs, option, value, *saving).status == 0
        return virtual.do(lambda: asyncio.get_running_loop().time()) - began

    assert 3 <= seconds("--concurrency", "6") < 10
    assert seconds("--concurrency", "1") >= 6 * 3
    assert seconds("--rate", "0.5") >= 5 * 2


def test_nohup_is_left_alone(service: Service, invoke: Invoke) -> None:
    """A process that is to survive its terminal does."""
    service.do(service.emulator.script, "image", ("generating", 0.5), "success")
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with killing(signal.SIGHUP, lambda: service.emulator.created):
            assert invoke(*IMAGE, "a cat").status == 0
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("command", "moments"), [("--help", [5]), ("models", [1, 60]), ("wait image:a", [20, 150])]
)
def test_ctrl_c_while_it_starts(
    command: str, moments: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C prints no traceback, whatever is being imported when it comes."""
    monkeypatch.setenv("AITOEARN_API_KEY", "some-key")
    monkeypatch.setenv("AITOEARN_BASE_URL", "http://127.0.0.1:9")
    code = (
        "import os, signal, sys\n"
        "from aitoearn_async.__main__ import main\n"
        "class Now:\n"
        "    left = int(sys.argv.pop(1))\n"
        "    def find_spec(self, *_):\n"
        "        Now.left -= 1\n"
        "        if not Now.left: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Now())\n"
        "main()"
    )
    for number in moments:
        done = subprocess.run(
            [sys.executable, "-c", code, str(number), *command.split()],
            capture_output=True, text=True, timeout=200, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        assert done.returncode in (0, 4, 130)


def test_a_directory_whose_name_is_not_utf8(
    service: Service, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outcomes are kept, and a path that is printed is there."""
    monkeypatch.setenv("AITOEARN_PRIVATE_MEDIA", "1")
    refs = [str(service.do(service.emulator.add_image, "success")) for _ in range(3)]
    folder = os.fsdecode(os.fsencode(tmp_path) + "/结果".encode("gbk"))
    out = str(tmp_path / "out.jsonl")
    for _ in range(2):
        assert invoke("wait", *refs, "--out", out, "--save", folder).status == 0
    kept = [json.loads(line) for line in Path(out).read_bytes().splitlines()]
    assert sorted(each["ref"] for each in kept) == sorted(refs)
    assert all(len(each["paths"]) == 1 for each in kept)
    paths = invoke("download", *refs, "--save", folder).lines
    assert len(paths) == 3
    assert all(os.path.isfile(path) for path in paths)
    running = service.do(service.emulator.add_image, "generating")
    given_up = invoke("wait", str(running), "--timeout", "0", "--save", folder)
    assert given_up.err.endswith(f"go on: aitoearn-async wait {running} --save '{folder}'\n")


if __name__ == "__main__":
    os.environ.pop("COLUMNS", None)

    def _run(*args: str) -> Result:
        code = "from aitoearn_async.__main__ import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code, *args], capture_output=True, text=True, check=True
        )
        return Result(0, done.stdout, done.stderr)

    HELP.write_text(all_help(_run), encoding="utf-8")
