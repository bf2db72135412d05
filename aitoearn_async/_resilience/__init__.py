"""Kind to the service: circuit breaker, pauses, rate limiter, ramp, retries.

It decides whether a request is sent now, and whether a failed one is sent again. What a request
says is not known here.
"""
