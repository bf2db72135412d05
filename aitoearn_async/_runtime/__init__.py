"""Time and life: the client's clock, its timeouts, its threads. Knows nothing of HTTP."""
