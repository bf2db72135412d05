"""One wait: its state, and what follows on each poll. Plain data and plain functions."""
