"""Keeps website visitors from Zenovay up to date on the matching HubSpot contacts."""
