"""The command line, written on the package's public names as a user's code would be.

Five layers, and each imports those below it only:

- `commands`: what can be typed, with its help. Imports a command's work when it is run.
- `run`: the work of a command, from its values to its exit status.
- `options`: the options that commands share, and the types of their values.
- `report`: what is written to the terminal, a pipe, or as JSON.
- `files`: lists of tasks, and results files.

Nothing else in the package imports this room, nor click or rich.
"""

PROGRAM = "aitoearn-async"
