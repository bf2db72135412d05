"""The work of each command: a coroutine that ends in an exit status."""
