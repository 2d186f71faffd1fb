"""Comparing modes: how long the analysis of many records takes, and whether its intervals cover."""
