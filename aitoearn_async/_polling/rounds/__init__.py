"""Rounds: pages that tell how many tasks stand at once, in place of a poll for each."""
