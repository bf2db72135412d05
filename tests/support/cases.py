"""Many cases of one path in one test.

A test of its own costs each case several milliseconds in every process of a run: pytest collects
it, sets it up, and reports on it. That is far more than a case costs that only computes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def case(*which: object) -> Iterator[None]:
    """Let a failure of the block say which case it is about."""
    try:
        yield
    except BaseException as failure:  # pytest.fail's too, which is no Exception
        failure.add_note(f"in the case {ascii(which)[:200]}")
        raise
