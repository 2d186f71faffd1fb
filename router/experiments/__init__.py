"""Modes compared on live questions: who gets which, what is known of them at any moment, and when to stop."""
