"""The pytest plugin as a user's test run meets it, each in a process of its own."""

from __future__ import annotations

import sys

import pytest

from aitoearn_async import Client
from aitoearn_async.emulator import Emulator, VirtualTimeLoop

INI = """
[pytest]
asyncio_default_fixture_loop_scope = function
"""


def run(pytester: pytest.Pytester, test: str, *arguments: str) -> pytest.RunResult:
    pytester.makepyfile(test)
    return pytester.runpytest_subprocess("-W", "error", "--strict-markers", *arguments)


async def test_the_fixtures_belong_together(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """The client asks the emulator, with the right key."""
    ref = aitoearn_service.add_image("success")
    image = await aitoearn_client.get(ref)
    assert (image.ref, image.status) == (ref, "success")
    assert len(aitoearn_service.requests) == 1


async def test_a_wait_ends_when_the_life_says_so(
    aitoearn_service: Emulator, aitoearn_client: Client
) -> None:
    """A client waits for a task of the emulator, on whatever time the loop keeps."""
    ref = aitoearn_service.add_video(("InProgress", 90.0), "SUCCESS")
    video = await aitoearn_client.wait_for(ref, timeout=600)
    assert video.done
    assert len(aitoearn_service.requests) > 1


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_fixtures_and_mark_in_a_users_run(pytester: pytest.Pytester, mode: str) -> None:
    """Fixtures work in both modes; only tests with the mark get virtual time."""
    pytester.makeini(INI)
    result = run(
        pytester,
        """
        import asyncio, time
        import pytest

        @pytest.mark.asyncio
        @pytest.mark.virtual_time
        async def test_virtual(aitoearn_service, aitoearn_client):
            began = time.monotonic()
            ref = aitoearn_service.add_image(("generating", 600.0), "success")
            image = await aitoearn_client.wait_for(ref, timeout=3600)
            assert image.status == "success"
            assert time.monotonic() - began < 30
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
        "-v",
        f"--asyncio-mode={mode}",
    )
    result.assert_outcomes(passed=4)
    # The names of tests are those they have without the plugin.
    result.stdout.fnmatch_lines(
        ["*::test_virtual PASSED*", "*::test_real PASSED*", "*::test_in_class[[]a[]] PASSED*"]
    )


def test_a_users_own_loop_factories_stay(pytester: pytest.Pytester) -> None:
    """The mark wins for its tests, a conftest's loops are used for all the others."""
    pytester.makeini(INI)
    pytester.makeconftest(
        """
        import asyncio

        class Own(asyncio.SelectorEventLoop):
            pass

        def pytest_asyncio_loop_factories(config, item):
            return {"own": Own}
        """
    )
    result = run(
        pytester,
        """
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
    )
    result.assert_outcomes(passed=2)


def test_without_pytest_asyncio(pytester: pytest.Pytester) -> None:
    """Other tests run as ever; those that ask for a fixture are told what to install."""
    # The way Python itself remembers that a module cannot be imported.
    pytester.makepyfile(hide="import sys; sys.modules['pytest_asyncio'] = None")
    test = """
        import pytest

        def test_other():
            pass

        def test_service(aitoearn_service):
            pass
        """
    result = run(pytester, test, "-p", "no:asyncio", "-p", "hide")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*aitoearn_service needs pytest-asyncio*testing*"])


def test_the_mark_without_pytest_asyncio(pytester: pytest.Pytester) -> None:
    """A test that asks for virtual time does not silently run in real time."""
    test = """
        import pytest

        @pytest.mark.virtual_time
        def test_virtual():
            pass
        """
    result = run(pytester, test, "-p", "no:asyncio")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*virtual_time needs pytest-asyncio*testing*"])


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
