"""Time and life: the clock, timeouts, threads, places for so many at a time. Without HTTP."""
