"""One call: a request of the service's API, sent, read and judged.

The contract's words and the transport's bytes meet here and nowhere else. When to poll again is
not known here.
"""
