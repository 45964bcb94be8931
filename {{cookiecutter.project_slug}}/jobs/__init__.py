"""A ledger of jobs: work that is a row in the database until it is done. README.md says how to delete it.

In kinds.py of any app:

    @job(max_attempts=3, retry_on=(ConnectionError,))
    def greet(name): ...

and in a view, inside its transaction:

    submit("greet", name="Ada", owner=request.user)
"""

from jobs.registry import job
from jobs.run import output, progress

__all__ = ["job", "output", "progress", "submit"]


def submit(kind: str, /, *, owner=None, key: str = "", **arguments):
    """Write a job down, in the caller's transaction, and return its row (jobs.models.Job).

    `kind`: the name of a function with @job. `arguments`: what it is called with: JSON values, and files, which it gets
    as names in the default storage. `owner`: the user who may see it. `key`: the same key of the same owner is the same
    job, however often it is submitted. (Files are not compared.)

    Never talks to the broker: `manage.py sweep` publishes the job as soon as the transaction is committed.

    Raises registry.UnknownKind; TypeError if the arguments don't fit the function; ledger.KeyTaken if the key belongs
    to another kind or to other arguments.
    """
    from jobs import ledger  # its models can't be imported before Django has loaded the apps

    return ledger.submit(kind, owner=owner, key=key, arguments=arguments)
