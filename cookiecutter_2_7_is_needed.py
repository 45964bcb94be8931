"""Loads answer_checks.py. cookiecutter 1 can't, and says: No module named 'cookiecutter_2_7_is_needed'."""

from answer_checks import AnswerChecks

__all__ = ["AnswerChecks"]
