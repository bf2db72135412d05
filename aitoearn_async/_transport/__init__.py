"""The one host that gets the API key: requests, responses, credentials.

What downloads files never imports this room: that is how the key stays here.
"""
