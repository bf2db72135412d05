"""Single waits: each runs in its caller's task, beside the others of its client."""
