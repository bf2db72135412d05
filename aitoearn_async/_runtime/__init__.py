"""Time and life: the client's clock, its timeouts, threads and places. Knows nothing of HTTP."""
