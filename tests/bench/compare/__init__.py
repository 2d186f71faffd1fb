"""Comparing modes: how long it takes, and whether what it says of its own certainty is true."""
