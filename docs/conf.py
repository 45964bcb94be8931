"""Sphinx: `make docs`."""

project = "cookiecutter-django-celery"
extensions = ["myst_parser"]
html_theme = "furo"
exclude_patterns = ["_build"]
myst_heading_anchors = 3
