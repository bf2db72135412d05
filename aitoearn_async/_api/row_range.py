"""The page of a list that comes after another one, or in its place. Knows no HTTP."""

from __future__ import annotations

from .._polling.page_scan import Piece, is_cut


def pieces(at: int, size: int) -> list[Piece]:
    """Return smaller pages that together cover what a page covers."""
    largest = 1 << (size - 1).bit_length() - 1
    found: list[Piece] = []
    end = at + size
    while at < end:
        piece = min(largest, 1 << (end - at).bit_length() - 1, at & -at or largest)
        found.append(Piece(at, piece))
        at += piece
    return found


def after(page: Piece, rows: int, total: int | None) -> Piece | None:
    """Return the page to ask for after one that brought so many rows; None after the last.

    A service may give fewer rows than it is asked for, though its total says that it has more.
    It numbers its pages by those rows then, and so do we. A list that is longer than its total
    shows the total to be wrong.
    """
    seen = page.at + rows
    goes_on = seen != total if rows >= page.size else is_cut(page, rows, total)
    return Piece(seen - seen % rows, rows) if rows and goes_on else None
