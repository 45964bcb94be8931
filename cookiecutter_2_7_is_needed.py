"""Loads answer_checks.py. cookiecutter 1 can't import a template's modules, so its error names this module."""

from answer_checks import AnswerChecks

__all__ = ["AnswerChecks"]
