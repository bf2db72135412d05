"""When a file is tried again, as pure numbers."""

from __future__ import annotations

import random

import pytest

from aitoearn_async._downloads.retry_policy import RetryPolicy
from aitoearn_async._downloads.transfer_error import Reason, reason_of_errno, reason_of_status


@pytest.fixture
def latest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each delay is the longest that it may be."""
    monkeypatch.setattr(random, "uniform", max)


def attempts(policy: RetryPolicy, reason: Reason, *, grows: bool = False) -> tuple[int, float]:
    """Try until there is to be no other attempt, or a thousand times."""
    now, reached = 0.0, 0
    for number in range(1, 1000):
        delay = policy.delay(reason, now, reached)
        if delay is None:
            return number, now
        now, reached = now + delay, reached + grows
    return 1000, now


def test_what_is_final_is_tried_once() -> None:
    assert attempts(RetryPolicy(is_fresh=True), Reason.FINAL) == (1, 0.0)


def test_passing_trouble_is_tried_so_often_without_a_new_byte() -> None:
    assert attempts(RetryPolicy(is_fresh=False), Reason.PASSING)[0] == 10
    assert attempts(RetryPolicy(is_fresh=False), Reason.PASSING, grows=True)[0] == 1000


def test_a_cut_file_is_fetched_so_often() -> None:
    assert attempts(RetryPolicy(is_fresh=True), Reason.CUT)[0] == 3


@pytest.mark.usefixtures("latest")
def test_a_missing_file_is_waited_for_and_longer_if_its_task_has_just_ended() -> None:
    tries, now = attempts(RetryPolicy(is_fresh=False), Reason.MISSING)
    assert 60 <= now < 75
    assert tries < 12
    _, now = attempts(RetryPolicy(is_fresh=True), Reason.MISSING)
    assert 900 <= now < 915


def test_bytes_between_begin_the_wait_anew() -> None:
    policy = RetryPolicy(is_fresh=False)
    assert policy.delay(Reason.MISSING, 0.0, 0) is not None
    assert policy.delay(Reason.MISSING, 50.0, 0) is not None
    assert policy.missing_for(50.0) == 50
    assert policy.delay(Reason.MISSING, 70.0, 10) is not None
    assert policy.missing_for(70.0) == 0
    assert policy.delay(Reason.MISSING, 131.0, 10) is None


@pytest.mark.usefixtures("latest")
def test_delays_grow_and_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = RetryPolicy(is_fresh=True)
    delays = [policy.delay(Reason.MISSING, 0.0, 0) for _ in range(6)]
    assert delays == [1, 2, 4, 8, 15, 15]
    monkeypatch.setattr(random, "uniform", min)
    assert RetryPolicy(is_fresh=True).delay(Reason.MISSING, 0.0, 0) == 0.5


def test_the_hosts_own_word_counts_and_is_spread() -> None:
    delays = {RetryPolicy(is_fresh=True).delay(Reason.PASSING, 0.0, 0, 10.0) for _ in range(9)}
    assert len(delays) == 9
    assert all(delay is not None and 10 <= delay <= 12 for delay in delays)


STATUSES = {
    **dict.fromkeys((202, 204, 400, 401, 403, 404, 409, 410, 423), Reason.MISSING),
    **dict.fromkeys((408, 425, 429, 500, 502, 503, 504, 599), Reason.PASSING),
    **dict.fromkeys((206, 300, 402, 405, 406, 416, 451, 600), Reason.FINAL),
}


@pytest.mark.parametrize(("status", "reason"), STATUSES.items())
def test_statuses(status: int, reason: Reason) -> None:
    assert reason_of_status(status) is reason


def test_a_lack_of_this_machine_passes_and_a_full_disk_does_not() -> None:
    import errno

    for lack in (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.ETIMEDOUT):
        assert reason_of_errno(lack) is Reason.PASSING
    for other in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO, None):
        assert reason_of_errno(other) is Reason.FINAL
