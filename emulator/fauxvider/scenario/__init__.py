"""Scenarios: what goes wrong in a world, as data (docs/scenarios.md)."""
