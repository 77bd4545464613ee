"""HubSpot: batches, verdicts, properties."""
