"""Which pages a round asks for, against lists of all kinds that lie in memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitoearn_async._polling.rounds.page_scan import (
    SIZES,
    PageRange,
    PageScan,
    Places,
    larger,
    smaller,
)


def _go_through(
    scan: PageScan, rows: list[bool], bad: set[int], *, tells_total: bool
) -> tuple[set[int], list[PageRange]]:
    """Answer a scan from a list; a page with a bad row fails. Return what it met, and asked for."""
    met: set[int] = set()
    asked: list[PageRange] = []
    while (wanted := scan.next()) is not None:
        asked.append(wanted)
        places = range(wanted.at, min(wanted.at + wanted.size, len(rows)))
        if bad.intersection(places):
            scan.failed(wanted)
            continue
        found = [place for place in places if rows[place] and place not in met]
        met.update(found)
        on_it = [place - wanted.at for place in found]
        scan.took(wanted, len(places), on_it, len(rows) if tells_total else None)
    return met, asked


lists = st.lists(st.booleans(), max_size=300)


@given(lists, st.sampled_from([125, 25]), st.booleans())
def test_every_task_that_is_on_a_page_is_met(
    rows: list[bool], size: int, tells_total: bool
) -> None:
    """And no page is asked for after the last of them."""
    scan = PageScan(size, sum(rows), Places([(0, len(rows))]))
    met, asked = _go_through(scan, rows, set(), tells_total=tells_total)
    assert met == {place for place, is_ours in enumerate(rows) if is_ours}
    assert scan.missing == 0
    assert len(asked) <= len(rows) // size + 1
    assert scan.pages == len(asked)


@given(lists, st.lists(st.just(False), max_size=200), st.sampled_from([125, 25]))
def test_tasks_are_met_again_where_newer_rows_have_pushed_them(
    rows: list[bool], newer: list[bool], size: int
) -> None:
    """Pages on which there were none are passed over, but for the newest."""
    first = PageScan(size, sum(rows), Places([(0, len(rows))]))
    _go_through(first, rows, set(), tells_total=True)
    scan = PageScan(size, sum(rows), first.places)
    met, asked = _go_through(scan, newer + rows, set(), tells_total=True)
    assert len(met) == sum(rows)
    stretches = len(first.places.stretches)
    assert len(asked) <= 1 + 2 * stretches


@given(lists, st.sets(st.integers(0, 299), max_size=3))
def test_a_bad_row_hides_no_other(rows: list[bool], bad: set[int]) -> None:
    """The page it stands on is taken apart until it stands alone."""
    scan = PageScan(125, sum(rows), Places([(0, len(rows))]))
    met, asked = _go_through(scan, rows, bad, tells_total=True)
    hidden = bad.intersection(range(len(rows)))
    ours = {place for place, is_ours in enumerate(rows) if is_ours}
    assert met == ours - hidden
    assert not scan.is_failing
    assert all(wanted.at % wanted.size == 0 for wanted in asked)


@given(st.integers(0, 50), st.integers(2, 1000))
def test_the_parts_of_a_page_cover_it(number: int, size: int) -> None:
    """They are few, and each is a page of its own."""
    at = number * size
    found = PageRange(at, size).parts()
    rows = [row for wanted in found for row in range(wanted.at, wanted.at + wanted.size)]
    assert rows == list(range(at, at + size))
    assert all(wanted.at % wanted.size == 0 and wanted.size < size for wanted in found)
    assert len(found) <= 2 * size.bit_length()


def test_a_service_that_fails_every_page_is_left_alone() -> None:
    """After some forty pages it is no row's fault."""
    scan = PageScan(1000, 10, Places())
    asked = 0
    while (wanted := scan.next()) is not None:
        scan.failed(wanted)
        asked += 1
    assert scan.is_failing
    assert asked <= 41


def test_pages_of_other_peoples_tasks_end_the_round() -> None:
    """A long list without any of the tasks is not read to its end."""
    scan = PageScan(25, 5, Places())
    _, asked = _go_through(scan, [False] * 10_000, set(), tells_total=True)
    assert len(asked) == 3
    assert scan.missing == 5


def test_many_are_looked_for_further_back() -> None:
    """A page is cheaper than what five of them cost singly."""
    for missing, pages in ((20, 4), (50, 10), (100_000, 20)):
        scan = PageScan(25, missing, Places())
        _, asked = _go_through(scan, [False] * 10_000, set(), tells_total=True)
        assert len(asked) == pages


def test_the_oldest_of_a_bulk_are_met() -> None:
    """Though newer ones fill many pages before theirs."""
    rows = [False] * 4_000 + [True] * 500
    met, _ = _go_through(PageScan(1000, 500, Places()), rows, set(), tells_total=True)
    assert len(met) == 500


def test_only_the_pages_are_asked_for_on_which_the_tasks_stood() -> None:
    """Tasks of yesterday lie behind all that were made since; the newest page tells how many."""
    rows = [False] * 5_000 + [True] * 10
    before = Places([(4_900, 4_909)], 4_910)
    met, asked = _go_through(PageScan(25, 10, before), rows, set(), tells_total=True)
    assert len(met) == 10
    assert asked == [PageRange(0, 25), PageRange(5_000, 25)]


def test_newer_ones_are_looked_for_beside_those_that_are_known() -> None:
    """As one who takes the oldest of a bulk goes on to newer ones, far from the newest of all."""
    rows = [False] * 5_000 + [True] * 40 + [False] * 100
    before = Places([(5_030, 5_039)], len(rows))
    met, asked = _go_through(PageScan(25, 40, before), rows, set(), tells_total=True)
    assert len(met) == 40
    assert [wanted.at for wanted in asked] == [0, 5_025, 5_000]


@pytest.mark.parametrize(
    ("before", "total"),
    [(9_910, None), (None, 10_010), (None, None), (10_010, 10_010), (20_000, 10_010), (0, 10_010)],
)
def test_all_pages_down_to_the_tasks_are_read_where_no_total_tells_their_place(
    before: int | None, total: int | None
) -> None:
    """Or where it tells another: it counts other rows too, or has stood still."""
    places = Places([(9_800, 9_804), (9_905, 9_909)], before)
    scan = PageScan(25, 10, places)
    asked, ours = [], set(range(9_700, 9_705)) | set(range(9_860, 9_865))
    while (wanted := scan.next()) is not None:
        asked.append(wanted.at)
        rows = range(wanted.at, min(wanted.at + 25, 10_010))
        scan.took(wanted, len(rows), [at - wanted.at for at in rows if at in ours], total)
    assert scan.missing == 0
    assert len(asked) == len(set(asked)) <= 10_000 // 25


def test_rows_that_are_made_while_pages_are_read_do_not_spoil_the_places() -> None:
    """The last page tells a larger total than those on which the tasks stood."""
    scan, total = PageScan(25, 10, Places([(5_000, 5_004), (9_000, 9_004)], 10_000)), 10_000
    while (wanted := scan.next()) is not None:
        total += 5
        rows, moved = range(wanted.at, wanted.at + 25), total - 10_000
        ours = {*range(5_000 + moved, 5_005 + moved), *range(9_000 + moved, 9_005 + moved)}
        scan.took(wanted, 25, [at - wanted.at for at in rows if at in ours], total)
    assert scan.missing == 0
    assert scan.places == Places([(5_015, 5_019), (9_015, 9_019)], 10_015)


def test_a_list_that_grows_faster_than_it_is_read_ends_the_round() -> None:
    """The tasks are gone to a later page each time that one comes."""
    scan, total = PageScan(25, 20, Places([(500, 519)], 1_000)), 1_000
    asked = 0
    while (wanted := scan.next()) is not None and asked < 100:
        total += 100
        asked += 1
        scan.took(wanted, 25, [], total)
    assert asked <= 500 // 25 + 10


def test_neighbours_are_asked_for_though_the_last_pages_had_none() -> None:
    """The tasks on those have ended since; others have joined beside one that is left."""
    rows = [False] * 1_020 + [True] * 15 + [False] * 9_000
    before = Places([(1_030, 1_034), *((at, at) for at in range(5_000, 5_400, 100))], len(rows))
    met, asked = _go_through(PageScan(25, 15, before), rows, set(), tells_total=True)
    assert len(met) == 15
    assert len(asked) == 7


def test_places_do_not_gather_from_rounds_that_are_stopped() -> None:
    """The newest page alone is read each time."""
    places = Places([(0, 9), (5_000, 5_009)], 10_000)
    for _ in range(5):
        scan = PageScan(25, 20, places)
        wanted = scan.next()
        assert wanted is not None
        scan.took(wanted, 25, list(range(10)), 10_000)
        scan.stop()
        assert scan.next() is None
        places = scan.places
    assert places == Places([(0, 9), (5_000, 5_009)], 10_000)


@given(st.sampled_from(SIZES))
def test_a_size_is_a_part_of_the_next_larger_one(size: int) -> None:
    """So the pages of one size begin where those of another do."""
    assert larger(size) % size == 0
    assert size % smaller(size) == 0
    assert {part.size for part in PageRange(0, size).parts()} < {size // 2, size // 5}
