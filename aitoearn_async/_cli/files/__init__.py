"""The files that a command reads or writes itself: lists of tasks, and results files."""
