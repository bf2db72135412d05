"""The command line, written on the package's public names as a user's code would be.

`commands`, `make` and `find` read arguments; `running` sets the exit status. `watch` waits for
a handful of tasks, and `sweep` for the long list that `lists` reads; `screens` writes to
streams and `record` to a file; `demo` has something to show. What is written is made in `view`
and `progress`: plain data, plain functions. Nothing else in the package imports this room, nor
typer or rich.
"""

from .commands import run

__all__ = ["run"]
