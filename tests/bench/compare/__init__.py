"""Benchmarks of comparing modes."""
