"""Virtual time: what jumps, what is waited for, and what a jump never overtakes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
import time

import aiohttp
import pytest

from aitoearn_async import Client
from aitoearn_async.emulator import Emulator, VirtualTimeLoop, clock


def virtual_loop() -> VirtualTimeLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    return loop


async def test_a_day_passes_at_once() -> None:
    """A sleep takes its time on the loop's clock and none on the wall's."""
    loop, wall = virtual_loop(), time.monotonic()
    began = loop.time()
    await asyncio.sleep(86_400 * 3)
    assert loop.time() - began == pytest.approx(86_400 * 3)
    assert time.monotonic() - wall < 60  # a busy machine may stand still for a while


@pytest.mark.parametrize(("options", "start"), [({}, 0.0), ({"start": 12345.678901}, 12345.678901)])
def test_the_clock_starts_where_it_is_told_to(options: dict[str, float], start: float) -> None:
    """On every machine alike, so that sums of times come out alike too."""

    async def main() -> list[float]:
        began = virtual_loop().time()
        await asyncio.sleep(0.1)
        return [began, virtual_loop().time()]

    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(**options)) as runner:
        assert runner.run(main()) == [start, start + 0.1]


async def test_time_stands_still_while_code_runs() -> None:
    """Work takes no time on the loop's clock."""
    began = virtual_loop().time()
    sum(range(100_000))
    await asyncio.sleep(0)
    assert virtual_loop().time() == began


async def test_timers_run_in_order_each_at_its_own_time() -> None:
    """A jump goes to the next timer, never past one."""
    loop = virtual_loop()
    began = loop.time()
    seen: list[float] = []
    for delay in (30, 1, 7, 2, 600):
        loop.call_later(delay, lambda: seen.append(loop.time() - began))
    await asyncio.sleep(1000)
    assert seen == pytest.approx([1, 2, 7, 30, 600])


@pytest.mark.sampled(3)
@pytest.mark.parametrize("days", [1, 100, 1_000, 100_000])
async def test_timers_late_in_the_life_of_a_machine(days: int) -> None:
    """However large the time has grown, what is due is done, and not before."""
    loop = virtual_loop()
    await asyncio.sleep(86_400 * days)
    began = loop.time()
    for delay in (0, 1e-9, 1 / 3, 7.7):
        due = loop.time() + delay
        done = loop.create_future()
        loop.call_at(due, done.set_result, None)
        await done
        assert due <= loop.time() <= due + 1e-5
    assert loop.time() - began == pytest.approx(1 / 3 + 7.7, abs=1e-5)


async def test_a_timeout_is_exact() -> None:
    """What never comes ends at its deadline, not a moment later."""
    began = virtual_loop().time()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(12.5):
            await asyncio.Event().wait()
    assert virtual_loop().time() - began == pytest.approx(12.5, abs=1e-6)


@pytest.mark.slow
async def test_an_hour_of_polling_a_real_server_is_cheap() -> None:
    """361 requests, an hour apart from first to last, take seconds at the most."""
    loop, spent = virtual_loop(), time.thread_time()
    async with Emulator() as service, aiohttp.ClientSession() as session:
        ref = service.add_image(("generating", 3600.0), "success")
        began = loop.time()
        body = b""
        while b'"success"' not in body:
            url = f"{service.url}/api/ai/image/task/{ref.id}"
            async with session.get(url, headers={"X-Api-Key": service.api_key}) as response:
                body = await response.read()
            await asyncio.sleep(10)
        assert loop.time() - began == pytest.approx(3610)
        assert len(service.requests) == 361
    assert time.thread_time() - spent < 60


async def test_bytes_under_way_beat_every_timer() -> None:
    """However short the timeout, what has been sent on this machine arrives before it."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    for number in range(200):
        writer.write(b"%d\n" % number)
        async with asyncio.timeout(1e-6):
            assert await reader.readline() == b"%d\n" % number
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


async def test_threads_are_waited_for() -> None:
    """No time jumps while the executor works."""
    async with asyncio.timeout(60):
        assert await asyncio.to_thread(sum, range(2_000_000)) == 1_999_999_000_000


async def test_looking_up_a_name_is_waited_for() -> None:
    """The resolver, a thread like any other, does not time out."""
    async with asyncio.timeout(60):
        assert await asyncio.get_running_loop().getaddrinfo("localhost", 80)


async def test_a_failing_thread_lets_time_jump_again() -> None:
    """Only work under way holds the clock."""
    with pytest.raises(ZeroDivisionError):
        await asyncio.to_thread(lambda: 1 // 0)
    wall = time.monotonic()
    await asyncio.sleep(3600)
    assert time.monotonic() - wall < 60  # a busy machine may stand still for a while


def test_threads_are_joined_however_long_the_loop_has_to_wait() -> None:
    """Shutting the executor down does not time out on the virtual clock."""
    done = threading.Event()
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:

        async def main() -> None:
            asyncio.get_running_loop().run_in_executor(None, done.wait, 0.02)

        runner.run(main())


async def test_a_thread_of_its_own_can_wake_an_idle_loop() -> None:
    """With no timer set there is nowhere to jump to, and the loop blocks for real."""
    loop, woken = virtual_loop(), asyncio.Event()
    thread = threading.Thread(target=loop.call_soon_threadsafe, args=(woken.set,))
    thread.start()
    await woken.wait()
    thread.join()


async def test_child_processes_are_waited_for() -> None:
    """No time jumps while a child runs; once it has ended, time jumps again."""
    async with asyncio.timeout(120):
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "print('hello')", stdout=asyncio.subprocess.PIPE
        )
        out, _ = await child.communicate()
        shell = await asyncio.create_subprocess_shell("exit 3")
        assert await shell.wait() == 3
    assert out.split() == [b"hello"]
    wall = time.monotonic()
    await asyncio.sleep(3600)
    assert time.monotonic() - wall < 60  # a busy machine may stand still for a while


@pytest.mark.skipif(sys.platform == "win32", reason="no signal handlers on Windows' loops")
async def test_signals_arrive() -> None:
    """A signal handler runs before time jumps over it."""
    caught = asyncio.Event()
    virtual_loop().add_signal_handler(signal.SIGUSR1, caught.set)
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        async with asyncio.timeout(1):
            await caught.wait()
    finally:
        virtual_loop().remove_signal_handler(signal.SIGUSR1)


async def test_real_time_is_real() -> None:
    """Within `real_time` a wait takes what it takes, on both clocks."""
    loop, wall = virtual_loop(), time.monotonic()
    began = loop.time()
    with loop.real_time(), loop.real_time():
        await asyncio.sleep(0.01)
    assert time.monotonic() - wall >= 0.01
    assert loop.time() - began == pytest.approx(0.01)


async def test_a_peer_outside_the_loop_can_be_given_real_time() -> None:
    """A server in a thread of its own answers before a timeout of a virtual minute."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            peer, _ = listening.accept()
            with peer:
                peer.sendall(peer.recv(100).upper())

        thread = threading.Thread(target=serve)
        thread.start()
        with virtual_loop().real_time():
            async with asyncio.timeout(60):
                reader, writer = await asyncio.open_connection(*listening.getsockname())
                writer.write(b"hello")
                assert await reader.read() == b"HELLO"
        writer.close()
        await writer.wait_closed()
        thread.join()


def test_time_that_others_freeze_or_forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours pass, threads too, though `time` stands still and nobody may sleep."""

    async def main() -> float:
        loop = virtual_loop()
        async with Emulator() as service, Client(service.api_key, base_url=service.url) as client:
            ref = service.add_video(("InProgress", 3600.0), "SUCCESS")
            await client.wait_for(ref, timeout=7200)
            assert await asyncio.to_thread(sum, range(100_000)) == 4_999_950_000
            with loop.real_time():
                await asyncio.sleep(0.001)
        return loop.time()

    def forbidden(_: float) -> None:
        raise AssertionError("nobody may sleep")

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        frozen = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: frozen)
        monkeypatch.setattr(time, "sleep", forbidden)
        assert 3600 < runner.run(main()) < 3700


@pytest.mark.parametrize("limit", [clock._SELECT_LIMIT, 0], ids=["few files", "many files"])
def test_bytes_that_come_within_the_settling_time_beat_timers(
    monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """Also where so many files are open that `select` does not take the selector's own."""
    monkeypatch.setattr(clock, "_SELECT_LIMIT", limit)
    here, there = socket.socketpair()

    def echo() -> None:
        while got := there.recv(100):
            there.sendall(got)

    async def main() -> None:
        reader, writer = await asyncio.open_connection(sock=here)
        for number in range(20):
            writer.write(b"%d\n" % number)
            async with asyncio.timeout(1e-6):
                assert await reader.readline() == b"%d\n" % number
        writer.close()
        await writer.wait_closed()

    thread = threading.Thread(target=echo, daemon=True)
    thread.start()
    with there, here, asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(settle=30.0)) as runner:
        runner.run(main())
        thread.join()


def test_a_system_that_does_not_tell_which_sockets_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then none is taken for one that does, and time jumps all the same."""
    monkeypatch.setattr(socket, "SO_ACCEPTCONN", 9999)

    async def main() -> float:
        async with Emulator() as service, Client(service.api_key, base_url=service.url) as client:
            await client.wait_for(
                service.add_video(("InProgress", 3600.0), "SUCCESS"), timeout=7200
            )
        return virtual_loop().time()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        assert runner.run(main()) > 3600


@pytest.mark.parametrize("settle", [-1.0, float("nan"), float("inf")])
def test_settle_is_checked(settle: float) -> None:
    """A settling time that makes no sense is refused at once."""
    with pytest.raises(ValueError, match="settle"):
        VirtualTimeLoop(settle=settle)


@pytest.mark.parametrize("start", [float("nan"), float("inf")])
def test_start_is_checked(start: float) -> None:
    """So is a time at which nothing would ever be due."""
    with pytest.raises(ValueError, match="start"):
        VirtualTimeLoop(start=start)
