"""HubSpot: delivering contacts."""
