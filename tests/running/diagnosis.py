"""Prints, from inside web, why a task does not come back: all causes in one line. Fed to `python -` in the
container.
"""

from config.celery import app


def causes():
    if app.conf.task_always_eager:
        yield "eager mode is on (CELERY_TASK_ALWAYS_EAGER): tasks run in web, not in a worker"
    connection = app.connection_for_write(connect_timeout=3)
    try:
        connection.ensure_connection(max_retries=1, timeout=5)
    except Exception as error:  # any: the transports raise errors of their own
        yield f"web can't reach the broker {connection.as_uri()}: {error}"
        return
    consumed = app.control.inspect(timeout=3).active_queues() or {}
    if not consumed:
        yield f"no worker answers through the broker {connection.as_uri()}"
    for queue in app.amqp.queues:
        if not any(queue == entry["name"] for entries in consumed.values() for entry in entries):
            yield f"no worker consumes the queue '{queue}'"


print("; ".join(causes()))
