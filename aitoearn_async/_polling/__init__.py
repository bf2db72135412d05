"""PATIENCE: when to poll again, and for whom.

Tasks, moments and delays. Nothing in this room has heard of HTTP: it is handed a function
that polls. Four layers, and each imports those below it only:

- `batch`: many waits. Refs are read, workers poll, outcomes and files come out.
- `rounds`: pages that tell how many tasks stand at once, in place of a poll for each.
- `wait`: one wait: its state, and what follows on each poll.
- `cadence`: the delays between polls.

`waiter` is one wait as the caller holds it; it stands beside `batch`.
"""
