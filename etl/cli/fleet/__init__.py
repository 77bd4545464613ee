"""``fleet``: many portals, on the engine."""
