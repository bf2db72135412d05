"""PATIENCE: when to poll again, and for whom.

Tasks, moments and delays. Nothing in this room has heard of HTTP: it is handed a function
that polls. Four layers, and each imports those below it only; the first two stand side by side:

- `batch`: many waits. Refs are read, workers poll, outcomes and files come out.
- `single`: waits for one task each. Each runs in its caller's task.
- `rounds`: pages that tell how many tasks stand at once, in place of a poll for each.
- `wait`: one wait: its state, and what follows on each poll.
- `cadence`: the delays between polls.
"""
