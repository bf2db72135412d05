"""PATIENCE: when to poll again, and for whom.

Tasks, moments and delays. Nothing in this room has heard of HTTP: it is handed a function
that polls and one that sleeps.
"""
