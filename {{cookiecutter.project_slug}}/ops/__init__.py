"""What keeps the stack healthy: heartbeats, probes{% if cookiecutter.beat %}, beat's scheduler{% endif %}."""
