"""Guidance of hard problems: where it comes from, when, and what it may spend."""
