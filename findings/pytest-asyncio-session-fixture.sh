#!/usr/bin/env bash
# With a loop factory, pytest-asyncio rebuilds session fixtures for every test.
#
# Promised: pytest's "Scope: sharing fixtures": a fixture of scope session lives until the session
#   ends. pytest-asyncio's "Loop scopes" and 1.4's hook `pytest_asyncio_loop_factories`: the hook
#   chooses the class of the loops, and the loop scope says how long each is kept.
# Seen: the hook parametrizes a fixture of scope session that all loops hang on, with the loop scope
#   of the test, which is function by default. What is parametrized for one function is torn down
#   after it, so the session's loop and every async fixture on it end with each test: with one
#   factory, and the same for all tests. Without the hook the fixture lives for the session.
# Costs: the change from `event_loop_policy`, which 1.4 deprecates, to the hook is the whole
#   difference between one database or container a session and one a test; nothing fails.
# Known: pytest-dev/pytest-asyncio#1501 has it where async and plain tests alternate; that it needs
#   no plain tests was not found.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -qq --no-compile --disable-pip-version-check \
    pytest==9.2.0 pytest-asyncio==1.5.0
cat >"$place/test_server.py" <<'EOF'
import pytest
import pytest_asyncio


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server():
    print("\nSTARTED")
    yield


@pytest.mark.asyncio
@pytest.mark.parametrize("number", range(5))
async def test_request(server, number):
    pass
EOF
cat >"$place/loops.py" <<'EOF'
import asyncio


def pytest_asyncio_loop_factories():
    return {"plain": asyncio.new_event_loop}
EOF
touch "$place/pytest.ini"
cd "$place"
starts() { # starts [OPTIONS]: how often the fixture is built in a run
    PYTHONPATH=$place venv/bin/python -m pytest -q -s -p no:cacheprovider "$@" test_server.py >out 2>&1 || {
        cat out >&2
        return 1
    }
    grep -c STARTED out
}
venv/bin/pip freeze --disable-pip-version-check | grep -E '^pytest'
echo "expected: 1 start for 5 tests, with and without the hook"
without=$(starts)
with=$(starts -p loops)
session=$(starts -p loops -o asyncio_default_test_loop_scope=session)
echo "seen without the hook: $without"
echo "seen with the hook, which returns one factory: $with"
echo "seen with the hook, and the tests on the session's loop: $session"
if [ "$without $with $session" != "1 5 1" ]; then
    echo "the behaviour has changed" >&2
    exit 1
fi
