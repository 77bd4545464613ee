"""The way to the two APIs: the wire, base URLs, proxies, trust in TLS, and what a failure means.

One judgement for both of them: the HTTP library does not look at the environment itself.
"""
