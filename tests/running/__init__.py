"""A generated project while it runs, in Docker or as processes, and somebody who visits its page."""
