"""A Django app that the fault suite copies into a generated project: work that leaves a row for each execution."""
