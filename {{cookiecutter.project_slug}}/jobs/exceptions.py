"""The errors that submitting and running jobs may raise."""


class UnknownKind(LookupError):
    """No function decorated with @job has this name."""


class IdempotencyConflict(ValueError):
    """The idempotency key belongs to a job of another kind or with other arguments."""


class JobCancelled(Exception):
    """Somebody cancelled the job while it was running."""


class LeaseLost(Exception):
    """This attempt no longer holds the job, so it must not write anything."""
