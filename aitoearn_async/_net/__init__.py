"""True of any HTTP host: connections, addresses, headers, and what exceptions mean.

Media hosts and the service are met with the same. Nothing here has met the API key.
"""
