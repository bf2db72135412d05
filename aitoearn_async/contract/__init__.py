"""WORDS: what the service says.

Field names, status words, business codes, and the way from bytes to Structs.
Nothing in this room awaits, logs, reads a clock or has heard of HTTP.
"""
