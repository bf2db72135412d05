"""The page of a list that comes after another one, or in its place. Knows no HTTP."""

from __future__ import annotations

from .._polling.page_scan import PageRange, is_cut


def smaller_pages(at: int, size: int) -> list[PageRange]:
    """Return smaller pages that together cover what a page covers."""
    largest = 1 << (size - 1).bit_length() - 1
    found: list[PageRange] = []
    end = at + size
    while at < end:
        part = min(largest, 1 << (end - at).bit_length() - 1, at & -at or largest)
        found.append(PageRange(at, part))
        at += part
    return found


def after(page: PageRange, rows: int, total: int | None) -> PageRange | None:
    """Return the page to ask for after one that brought so many rows; None after the last.

    A service may give fewer rows than it is asked for, though its total says that it has more.
    It numbers its pages by those rows then, and so do we. A list that is longer than its total
    shows the total to be wrong.
    """
    seen = page.at + rows
    goes_on = seen != total if rows >= page.size else is_cut(page, rows, total)
    return PageRange(seen - seen % rows, rows) if rows and goes_on else None
