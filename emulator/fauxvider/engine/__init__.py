"""The rules of every provider kind as pure functions: no I/O, no clock, no randomness."""
