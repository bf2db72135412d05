"""The options that commands share, declared once, and the types of their values.

Nothing here imports what is slow to import: `--help` needs no HTTP client.
"""
