"""Measurements of the grader itself; each is a command that prints what it measured here and now."""
