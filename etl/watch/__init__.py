"""Watching: reports, alerts, and who is told when the sync is unwell."""
