"""Joins contract, clock, store, renderer and sender around the engine."""
