"""Loads answer_checks.py. cookiecutter 1 can't import modules of a template. It prints "No module named" and the name
of this one, so the name says which version is needed.
"""

from answer_checks import AnswerChecks

__all__ = ["AnswerChecks"]
