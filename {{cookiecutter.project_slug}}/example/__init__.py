"""Samples to try and to copy. Delete them when you have your own: README.md says how."""
