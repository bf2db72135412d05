"""Brings a file, bytes or a stream to a store: contents, their types, signed addresses.

Nothing here has met the API key: a store gets the signature in the address and nothing else.
"""
