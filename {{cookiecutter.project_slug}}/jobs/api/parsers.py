"""Reading JSON strictly: what gets through can be stored in the database and shown."""

from typing import Any, BinaryIO

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser
from rest_framework.utils import json

MAX_NESTING = 32  # levels of lists and objects


def parse_json(text: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: The text is not JSON, or it is valid JSON that we cannot store: NUL, lone surrogates, NaN, excessive
            nesting.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    _reject_unstorable(value)
    return value


def _reject_unstorable(value: Any, depth: int = 0) -> None:
    if depth > MAX_NESTING:
        raise ValueError("it is nested too deeply")
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("a text in it contains NUL")
        value.encode()  # raises UnicodeEncodeError, a ValueError, for a lone surrogate
    elif isinstance(value, list):
        for item in value:
            _reject_unstorable(item, depth + 1)
    elif isinstance(value, dict):
        for item in [*value.keys(), *value.values()]:
            _reject_unstorable(item, depth + 1)


class StrictJSONParser(JSONParser):
    """Parses a body with `parse_json`, as UTF-8 whatever charset the Content-Type names."""

    def parse(self, stream: BinaryIO, media_type: str | None = None, parser_context: dict | None = None) -> Any:
        """Return the value of the body. Raises ParseError (400) if `parse_json` refuses it."""
        try:
            return parse_json(stream.read().decode())
        except ValueError as error:
            raise ParseError(f"JSON parse error: {error}") from None
