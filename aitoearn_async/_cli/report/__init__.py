"""The output: text and JSON to stdout, trouble to stderr, tables and bars on a terminal."""
