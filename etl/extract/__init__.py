"""Zenovay: reading visitors."""
