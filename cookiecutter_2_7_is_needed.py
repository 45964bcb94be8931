"""Loads answer_checks.py. cookiecutter 1 can't import this module, and its error has the module's name, which says what
to do.
"""

from answer_checks import AnswerChecks

__all__ = ["AnswerChecks"]
