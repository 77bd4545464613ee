"""``visitor-sync`` as a whole process beside others that do the same job, on loopback servers.

``README.md`` beside this says what is run, and what it has cost.
"""
