"""A Zenovay and a HubSpot on loopback."""
