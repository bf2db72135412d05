"""The pytest plugin as a user's test run meets it, in a process of its own where that matters."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest

from aitoearn_async.emulator import VirtualTimeLoop

INI = """
[pytest]
asyncio_default_fixture_loop_scope = function
"""

REAL_KEY = "sk-real-0123456789"
"""The application under test may have taken one from the environment."""

USERS = {
    "pytest.ini": INI,
    "test_loops.py": """
        import asyncio, time
        import pytest

        @pytest.mark.asyncio
        @pytest.mark.virtual_time
        async def test_virtual(aitoearn_service, aitoearn_client):
            began = time.monotonic()
            ref = aitoearn_service.add_image(("generating", 600.0), "success")
            image = await aitoearn_client.wait_for(ref, timeout=3600)
            assert image.status == "success"
            assert time.monotonic() - began < 300
            assert type(asyncio.get_running_loop()).__name__ == "VirtualTimeLoop"

        @pytest.mark.asyncio
        async def test_real(aitoearn_service, aitoearn_client):
            await aitoearn_client.get(aitoearn_service.add_image("success"))
            assert type(asyncio.get_running_loop()).__name__ != "VirtualTimeLoop"

        @pytest.mark.virtual_time
        class TestMarked:
            @pytest.mark.asyncio
            @pytest.mark.parametrize("x", ["a"])
            async def test_in_class(self, x):
                assert type(asyncio.get_running_loop()).__name__ == "VirtualTimeLoop"

            def test_sync(self):
                pass
        """,
    "own/conftest.py": """
        import asyncio

        class Own(asyncio.SelectorEventLoop):
            pass

        def pytest_asyncio_loop_factories(config, item):
            return {"own": Own}
        """,
    "own/test_own.py": """
        import asyncio
        import pytest

        @pytest.mark.asyncio
        async def test_own():
            assert type(asyncio.get_running_loop()).__name__ == "Own"

        @pytest.mark.asyncio
        @pytest.mark.virtual_time
        async def test_virtual():
            assert type(asyncio.get_running_loop()).__name__ == "VirtualTimeLoop"
        """,
    "test_runner.py": """
        import asyncio

        def test_it(aitoearn_service):
            async def main():
                return aitoearn_service.url

            asyncio.run(main())
        """,
    "test_key.py": """
        import pytest
        from aitoearn_async import AiToEarnError, Client, ImageRef

        async def requests(service):
            async with Client(base_url=service.url, attempts=1) as client:
                with pytest.raises(AiToEarnError):
                    await client.get(ImageRef("66f0a1b2c3d4e5f601020304"))
            return service.requests

        @pytest.mark.asyncio
        async def test_requests(aitoearn_service):
            assert await requests(aitoearn_service) == []

        @pytest.mark.asyncio
        async def test_headers(aitoearn_service):
            (request,) = await requests(aitoearn_service)
            assert request.headers == {}
        """,
}
"""A user's project, by files."""


class UsersRun(NamedTuple):
    """What came of the tests of a user's project."""

    passed: list[str]
    failed: dict[str, str]
    """Their names, and what is said of each."""
    said: str


@pytest.fixture(scope="module", params=["auto", "strict"])
def users_run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> UsersRun:
    """The project's tests, run in either mode; once for all that is asked of them here."""
    project = tmp_path_factory.mktemp("project")
    for name, text in USERS.items():
        file = project / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(textwrap.dedent(text), encoding="utf-8")
    # In CI pytest prints whole representations.
    environment = {**os.environ, "AITOEARN_API_KEY": REAL_KEY, "CI": "true"}
    environment.pop("PYTEST_ADDOPTS", None)
    arguments = ["-W", "error", "--strict-markers", "-vv", "-l", "--junit-xml=junit.xml"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, f"--asyncio-mode={request.param}"],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    return _read(project / "junit.xml", done.stdout + done.stderr)


def _read(junit: Path, said: str) -> UsersRun:
    run = UsersRun([], {}, said)
    for case in ElementTree.parse(junit).iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        trouble = "".join(f"{each.tag}: {each.text}" for each in case if each.text)
        if trouble:
            run.failed[name] = trouble
        else:
            run.passed.append(name)
    return run


@pytest.mark.sampled(2)
def test_fixtures_and_mark_in_a_users_run(users_run: UsersRun) -> None:
    """Fixtures work in both modes; only tests with the mark get virtual time.

    The names of tests are those they have without the plugin.
    """
    expected = ["test_virtual", "test_real", "TestMarked.test_in_class[a]", "TestMarked.test_sync"]
    assert {f"test_loops.{name}" for name in expected} <= set(users_run.passed)


@pytest.mark.sampled(2)
def test_a_users_own_loop_factories_stay(users_run: UsersRun) -> None:
    """The mark wins for its tests, a conftest's loops are used for all the others."""
    assert {"own.test_own.test_own", "own.test_own.test_virtual"} <= set(users_run.passed)


@pytest.mark.sampled(2)
def test_a_fixture_under_another_runner_says_so(users_run: UsersRun) -> None:
    """Another plugin's loop runs the test, and the emulator's own stands still."""
    said = users_run.failed["test_runner.test_it"]
    assert said.startswith("failure: ")
    assert "anyio" in said
    assert "pytest.mark.asyncio" in said


@pytest.mark.sampled(2)
def test_a_failing_test_does_not_print_the_key(users_run: UsersRun) -> None:
    """Neither what it has asked for nor the headers of that show the key of the environment."""
    assert {"test_key.test_requests", "test_key.test_headers"} < users_run.failed.keys()
    assert len(users_run.failed) == 3
    assert "<API key>" in users_run.said
    assert REAL_KEY not in users_run.said


def test_a_fixture_on_another_loop_says_so(pytester: pytest.Pytester) -> None:
    """A test whose fixture lives on a loop of the session fails at once, with the setting."""
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = session\n")
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.asyncio
        async def test_it(aitoearn_service):
            ref = aitoearn_service.add_image("success")
        """
    )
    result = pytester.runpytest_inprocess("-W", "error", "--strict-markers")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*asyncio_default_fixture_loop_scope*"])


def test_loading_the_plugin_leaves_the_emulator_alone(pytester: pytest.Pytester) -> None:
    """A run that does not use the plugin does not pay for the emulator."""
    code = (
        "import sys, aitoearn_async.pytest_plugin; print('aitoearn_async.emulator' in sys.modules)"
    )
    result = pytester.run(sys.executable, "-c", code)
    result.stdout.fnmatch_lines(["False"])


async def test_the_mark_is_harmless_where_time_is_virtual_already() -> None:
    """This project's own tests run on virtual time without a mark."""
    import asyncio

    assert isinstance(asyncio.get_running_loop(), VirtualTimeLoop)


VIRTUAL = """
    import pytest

    @pytest.mark.asyncio
    @pytest.mark.virtual_time
    async def test_virtual(aitoearn_service, aitoearn_client):
        ref = aitoearn_service.add_image(("generating", 600.0), "success")
        assert (await aitoearn_client.wait_for(ref)).done
"""


@pytest.mark.parametrize(
    ("without", "passed", "said"), [((), 1, ""), (("-p", "no:asyncio"), 0, "virtual_time needs")]
)
def test_the_mark_in_a_run_within_this_one(
    pytester: pytest.Pytester, without: tuple[str, ...], passed: int, said: str
) -> None:
    """It gives the test its loop; without pytest-asyncio it says what is missing."""
    pytester.makeini(INI)
    pytester.makepyfile(VIRTUAL)
    result = pytester.runpytest_inprocess("--strict-markers", *without)
    result.assert_outcomes(passed=passed, errors=1 - passed)
    assert said in result.stdout.str()


def test_the_mark_on_a_test_of_another_plugins(pytester: pytest.Pytester) -> None:
    """It would wait for real, for an hour maybe, so it is refused."""
    pytester.makeini(INI)
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.anyio
        @pytest.mark.virtual_time
        async def test_virtual():
            pass
        """
    )
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(errors=1)
    assert "::test_virtual: virtual_time is for tests that pytest-asyncio" in result.stdout.str()


def test_fixtures_without_pytest_asyncio(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They fail the test that asks for one, by name, and say what to install."""
    monkeypatch.setattr("aitoearn_async.pytest_plugin.find_spec", lambda name: None)
    pytester.makeini(INI)
    pytester.makeconftest(
        """
        from aitoearn_async import pytest_plugin

        async def aitoearn_client():
            yield

        aitoearn_client = pytest_plugin._async_fixture(aitoearn_client)
        """
    )
    pytester.makepyfile("def test_it(aitoearn_client): pass")
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(errors=1)
    assert 'aitoearn_client needs pytest-asyncio: install "aitoearn-async[testing]"' in (
        result.stdout.str()
    )
