"""PIPES: one request in, one answer out.

Bytes, hosts, secrets, connections, and how much at once. Nothing in this room knows what a
task is or when to ask again.
"""
