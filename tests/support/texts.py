"""Any text, for Hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

CHARACTERS = st.characters(exclude_categories=["Cs"])
"""All that UTF-8 can carry. Hypothesis on its own tries the codec on each character there is,
which takes a second in each process of a new checkout.
"""
