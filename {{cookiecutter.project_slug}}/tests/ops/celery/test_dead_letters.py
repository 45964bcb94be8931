"""Messages that no worker can process are kept, and a person can requeue them: ops/celery/dead_letters.py."""

from types import SimpleNamespace

import pytest
from billiard.einfo import ExceptionInfo
from billiard.exceptions import WorkerLostError
from celery import shared_task
from celery.exceptions import Reject
from django.core.management import CommandError
from django.dispatch import Signal
from kombu.exceptions import OperationalError

from config.celery import app
from ops.celery import dead_letters
from tests.support import processes
from tests.support.waiting import wait_for

# Some brokers make dead letters themselves. Such a broker runs only in the stack; the one in memory makes none.
needs_broker = pytest.mark.skipif(
    app.conf.broker_url.startswith("memory") and "redis" not in app.task_cls,
    reason="needs the broker itself, which makes dead letters: make test-docker",
)
done = []
refusing = set()


@shared_task
def picky(name: str) -> None:
    """Rejects its message as long as the test says so."""
    if name in refusing:
        raise Reject("not now", requeue=False)
    done.append(name)


@needs_broker
def test_a_task_that_the_worker_does_not_know_is_kept(worker, command, dead_letter):
    sent = app.send_task("nobody.knows", [1, 2], queue="test")

    assert dead_letter(sent.id) == sent.id + " nobody.knows [1, 2] {}"

    assert command("--delete", sent.id).startswith(f"deleted: {sent.id}")
    with pytest.raises(CommandError, match=f"no dead letter has the ID {sent.id}"):
        command(sent.id)


@needs_broker
@pytest.mark.parametrize("countdown", [None, 1])
def test_a_rejected_task_is_kept_until_a_person_requeues_it(worker, command, dead_letter, countdown):
    name = f"countdown {countdown}"
    refusing.add(name)
    sent = picky.apply_async((name,), countdown=countdown)
    assert dead_letter(sent.id).startswith(f"{sent.id} {picky.name} ('{name}',)")
    assert dead_letter(sent.id)  # looking at it leaves it where it is

    refusing.clear()
    assert command("--requeue", sent.id).startswith(f"requeued: {sent.id}")

    wait_for(lambda: name in done, "the task", seconds=20)
    with pytest.raises(CommandError):
        command(sent.id)


def test_a_broker_that_is_down_is_reported_in_one_line(command, monkeypatch):
    def refuse(*args, **kwargs):
        raise OperationalError("connection refused")

    monkeypatch.setattr("kombu.Connection.ensure_connection", refuse)

    with pytest.raises(CommandError, match="the broker does not answer"):
        command()


def test_a_requeued_message_starts_as_if_its_task_had_never_run(monkeypatch):
    published = []
    monkeypatch.setattr(dead_letters, "publish_copy", lambda *arguments: published.append(arguments))
    headers = {"id": "1", "retries": 5, "reconnects": 9, "x-death": [], dead_letters.ORIGINAL_QUEUE_HEADER: "urgent"}
    message = SimpleNamespace(headers=headers, ack=lambda: published.append("acknowledged"))

    dead_letters.requeue(message)

    assert published == [(message, {"id": "1", "retries": 0}, "urgent"), "acknowledged"]


class FakeRequest(dead_letters.Request):
    """The request of a task that has lost its process `retries` times before."""

    def __init__(self, retries):
        self.id = "the task"
        self._request_dict = {"retries": retries}
        self._task = SimpleNamespace(max_retries=5)
        self.rejected = []

    def reject(self, requeue=False):
        self.rejected.append(requeue)


@pytest.mark.parametrize(("retries", "rejected"), [(4, []), (5, [False])])
@pytest.mark.parametrize("error", [WorkerLostError("signal 9"), MemoryError()], ids=repr)
def test_a_task_that_dies_or_runs_out_of_memory_in_its_last_retry_is_rejected(monkeypatch, error, retries, rejected):
    monkeypatch.setattr(dead_letters, "process_lost", Signal())
    monkeypatch.setattr(dead_letters.request.Request, "on_failure", lambda *args, **kwargs: None)
    request = FakeRequest(retries)

    try:
        raise error
    except Exception:
        request.on_failure(ExceptionInfo())

    assert request.rejected == rejected


@pytest.mark.parametrize(
    ("error", "told"), [(WorkerLostError("signal 9"), ["the task"]), (MemoryError(), [])], ids=["killed", "no memory"]
)
def test_the_death_of_a_process_sends_the_signal_process_lost(monkeypatch, error, told):
    monkeypatch.setattr(dead_letters.request.Request, "on_failure", lambda *args, **kwargs: None)
    lost = []

    def note(task_id, **kwargs):
        lost.append(task_id)

    monkeypatch.setattr(dead_letters, "process_lost", Signal())
    dead_letters.process_lost.connect(note)

    try:
        raise error
    except Exception:
        FakeRequest(retries=0).on_failure(ExceptionInfo())

    assert lost == told


@pytest.mark.slow
def test_a_task_that_raises_a_memory_error_fails_and_the_worker_goes_on(tmp_path):
    log = tmp_path / "worker.log"
    processes.send("run_out_of_memory", log)
    processes.send("talk", log)
    with processes.worker(log) as worker:
        wait_for(lambda: worker.poll() is not None or "succeeded" in log.read_text(), "the next task", seconds=30)
        assert worker.poll() is None, log.read_text()

    assert log.read_text().count("MemoryError: no memory is left") == 1
