"""Comparing modes on the same questions: `comparison.run_compare` is the way in."""
