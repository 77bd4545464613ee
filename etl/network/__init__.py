"""The way to the two APIs: URLs that may be called, proxies, trust in TLS, and what a failure means.

One judgement for both of them: neither HTTP library looks at the environment itself.
"""
