"""``visitor-sync`` as a whole process beside others that do the same job, on loopback servers."""
