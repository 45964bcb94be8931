"""Machinery that keeps tasks and requests alive. It knows nothing about the rest of the project."""
