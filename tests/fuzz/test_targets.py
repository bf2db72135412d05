"""The targets of fuzzing without a fuzzer: what is known, cut and bent."""

from __future__ import annotations

import pytest

from .seeds import corpus, seeds
from .targets import TARGETS

# Thousands of inputs take the ways that the tests of what reads them take one by one.
pytestmark = pytest.mark.usefixtures("untraced")


@pytest.mark.parametrize("target", TARGETS)
def test_seeds_and_corpus(target: str) -> None:
    """Each target's promise holds for all that has been thought of, and all that was found."""
    for data in [*seeds(target), *corpus(target).values()]:
        TARGETS[target](data)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_seeds_cut_anywhere(target: str) -> None:
    """And for half of it, and for a bit of it turned over."""
    for data in seeds(target):
        middle = len(data) // 2
        TARGETS[target](data[:middle])
        for bit in range(8):
            flipped = bytes([data[middle] ^ 1 << bit]) if data else b""
            TARGETS[target](data[:middle] + flipped + data[middle + 1 :])
