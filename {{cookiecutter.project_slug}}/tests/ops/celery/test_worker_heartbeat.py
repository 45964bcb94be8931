"""A worker's heartbeat: ops/celery/worker_heartbeat.py."""

import os
import threading
import time
from collections import defaultdict
from types import SimpleNamespace

import kombu
import pytest
from celery import shared_task
from celery.worker import state

from config.celery import app
from ops import heartbeat
from ops.celery import broker_probe
from ops.celery.broker_probe import BrokerProbe
from ops.celery.consumer import Consumer
from ops.celery.worker_heartbeat import (
    Connection,
    WorkerHeartbeat,
    pool_process_file,
    progress,
    start_in_pool_process,
)
from tests.support.waiting import wait_for


@shared_task(ignore_result=True)
def nothing() -> None:
    """A task that does nothing."""


class Worker:
    """A worker with one process, whose broker answers. A test changes what it does, and lets the time go on."""

    def __init__(self):
        self.pool = SimpleNamespace(info={"processes": [12345]}, num_processes=1)
        self.consumer = SimpleNamespace(task_buckets=defaultdict(lambda: None))
        self.step = WorkerHeartbeat.__new__(WorkerHeartbeat)
        self.step.name = "worker"
        self.step.first_seen = {}
        self.step.idle_since = time.monotonic()
        self.step.probe = SimpleNamespace(answers=True, messages_wait=False)

    def after(self, seconds: float):
        """Pretend that this many seconds have passed, and run one turn of the loop."""
        self.step.idle_since -= seconds
        progress.at -= seconds
        self.turn()

    def turn(self):
        heartbeat.end("worker")
        self.step.touch(self.pool, self.consumer)

    @property
    def alive(self) -> bool:
        return heartbeat.alive("worker").exists()

    @property
    def ready(self) -> bool:
        return heartbeat.ready("worker").exists()


@pytest.fixture
def idle(tmp_path, monkeypatch):
    """A worker that runs no task, with its files in a folder of the test."""
    monkeypatch.setattr(heartbeat, "FOLDER", tmp_path)
    monkeypatch.setattr(state, "active_requests", set())
    monkeypatch.setattr(progress, "at", time.monotonic())
    return Worker()


@pytest.mark.slow
def test_a_worker_says_that_it_is_alive_and_ready(worker):
    name = worker.hostname.partition("@")[0]
    heartbeat.end(name)

    wait_for(heartbeat.alive(name).exists, "a touch of the file alive")
    wait_for(heartbeat.ready(name).exists, "a touch of the file ready")


def test_a_worker_that_connects_again_reserves_a_message_for_each_process_that_it_may_have():
    """The autoscaler starts processes only for reserved messages. If fewer messages were reserved, it would never start
    another process.
    """
    consumer = Consumer.__new__(Consumer)
    consumer.pool, consumer.prefetch_multiplier = SimpleNamespace(num_processes=2), 1
    consumer.controller = SimpleNamespace(max_concurrency=10)
    assert consumer.max_prefetch_count == 10

    consumer.controller = SimpleNamespace(max_concurrency=None)
    assert consumer.max_prefetch_count == 2


def test_a_worker_is_alive_while_its_threads_are_busy_with_cancelled_tasks(idle):
    """Celery can't end a thread, so a cancelled task goes on in it."""
    idle.step.probe.messages_wait = True
    idle.pool.has_free_thread = lambda: False

    idle.after(10_000)

    assert idle.alive


def test_two_workers_on_one_machine_have_files_of_their_own(monkeypatch):
    monkeypatch.setattr(Connection, "process", None)
    monkeypatch.setattr(Connection, "worker", "")
    parents = [SimpleNamespace(hostname=f"{name}@machine", app=app) for name in ("worker-a", "worker-b")]

    assert [WorkerHeartbeat(parent).name for parent in parents] == ["worker-a", "worker-b"]


# --- Processes of the pool ---------------------------------------------------------------------------------------


def test_a_new_process_of_the_pool_is_given_time(idle):
    idle.turn()

    assert idle.alive
    assert idle.ready


@pytest.mark.parametrize(("age", "ready"), [(20, True), (40, False)])
def test_a_worker_with_a_stuck_process_is_alive_but_not_ready(idle, age, ready):
    file = pool_process_file(12345)
    file.touch()
    os.utime(file, (time.time() - age, time.time() - age))
    idle.step.first_seen = {12345: time.time() - 3600}

    idle.turn()

    assert idle.alive
    assert idle.ready == ready


def test_the_file_of_a_process_that_has_ended_is_deleted(idle):
    pool_process_file(1).touch()
    idle.step.first_seen = {1: time.time()}

    idle.turn()

    assert not pool_process_file(1).exists()


def test_a_process_of_the_pool_touches_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(heartbeat, "FOLDER", tmp_path)

    start_in_pool_process()

    wait_for(pool_process_file(os.getpid()).exists, "a touch")


# --- Taking messages ---------------------------------------------------------------------------------------------


def test_a_worker_that_takes_no_message_although_it_could_is_neither_alive_nor_ready_after_two_minutes(idle):
    idle.turn()
    idle.step.probe.messages_wait = True

    idle.after(110)
    assert (idle.alive, idle.ready) == (True, True)

    idle.after(20)
    assert (idle.alive, idle.ready) == (False, False)


def test_a_worker_that_takes_a_message_after_all_is_alive_again(idle):
    idle.step.probe.messages_wait = True
    idle.after(130)
    assert not idle.alive

    progress.note()
    idle.turn()

    assert (idle.alive, idle.ready) == (True, True)


def test_a_worker_whose_processes_are_all_busy_for_long_is_alive(idle):
    idle.step.probe.messages_wait = True
    state.active_requests.add("a long task")

    for _ in range(10):
        idle.after(110)
        assert (idle.alive, idle.ready) == (True, True)

    state.active_requests.clear()
    idle.turn()
    assert idle.alive, "it has two minutes from the moment at which a process is free"


def test_a_worker_that_waits_because_of_a_rate_limit_is_alive(idle):
    idle.step.probe.messages_wait = True
    idle.consumer.task_buckets["limited"] = SimpleNamespace(contents=["a task"])

    idle.after(110)
    idle.after(110)

    assert idle.alive


def test_a_worker_without_messages_is_alive(idle):
    idle.after(1000)

    assert (idle.alive, idle.ready) == (True, True)


def test_a_worker_that_connects_again_all_the_time_is_not_ended_for_taking_no_message(idle):
    """A Redis that refuses to hand out messages still tells how many there are."""
    idle.step.probe.messages_wait = True

    for _ in range(10):
        idle.after(110)
        progress.note()
        assert idle.alive


def test_a_message_counts_as_taken_whatever_becomes_of_it(worker):
    before = progress.at

    nothing.apply_async(expires=-1)

    wait_for(lambda: progress.at > before, "the message")


# --- The broker --------------------------------------------------------------------------------------------------


def test_a_worker_whose_broker_does_not_answer_is_alive_but_not_ready(idle):
    idle.step.probe.answers = False

    idle.turn()

    assert (idle.alive, idle.ready) == (True, False)


@pytest.mark.parametrize("process", ["main process", "process of the pool"])
def test_each_try_of_a_workers_main_process_to_connect_says_that_it_is_alive(tmp_path, monkeypatch, process):
    monkeypatch.setattr(heartbeat, "FOLDER", tmp_path)
    monkeypatch.setattr(Connection, "process", os.getpid() if process == "main process" else 1)
    monkeypatch.setattr(Connection, "worker", "worker")
    monkeypatch.setattr(progress, "at", float("-inf"))
    tries = []

    def refuse(connection):
        tries.append((heartbeat.alive("worker").exists(), progress.at > 0))
        heartbeat.end("worker")
        raise ConnectionRefusedError

    monkeypatch.setattr(kombu.Connection, "_establish_connection", refuse)
    with pytest.raises(kombu.exceptions.OperationalError):
        Connection("redis://127.0.0.1").ensure_connection(max_retries=2, interval_start=0, interval_step=0)

    assert tries == [(process == "main process",) * 2] * len(tries)
    assert len(tries) > 1


def test_a_worker_uses_the_connection_and_the_consumer_of_this_project(worker):
    assert isinstance(worker.app.connection_for_read(), Connection)
    assert isinstance(worker.consumer, Consumer)


@pytest.mark.slow
def test_the_probe_says_whether_messages_wait(worker, monkeypatch):
    """The test tells its worker to take no messages. The worker does that in its own thread, so the test waits for
    it.
    """
    probe = BrokerProbe()
    wait_for(lambda: probe.ask() or (probe.answers and not probe.messages_wait), "an empty queue")
    takes_none = threading.Event()

    def cancel():
        worker.consumer.task_consumer.cancel()
        takes_none.set()

    worker.consumer.call_soon(cancel)
    try:
        assert takes_none.wait(30), "the worker still takes messages"
        nothing.delay()
        wait_for(lambda: probe.ask() or probe.messages_wait, "the message that waits")
    finally:
        worker.consumer.call_soon(worker.consumer.task_consumer.consume)
    wait_for(lambda: probe.ask() or not probe.messages_wait, "the end of the message")


def test_no_messages_count_as_waiting_while_the_broker_does_not_answer(monkeypatch):
    probe = BrokerProbe()
    probe.ask()
    probe._messages_wait = True

    def refuse():
        raise ConnectionRefusedError

    probe._disconnect()
    monkeypatch.setattr(app, "connection_for_read", refuse)
    probe.ask()

    assert not probe.answers
    assert not probe.messages_wait


def test_an_answer_does_not_count_for_ever(monkeypatch):
    probe = BrokerProbe()
    probe.ask()
    probe._messages_wait = True

    probe._answered_at -= broker_probe.ANSWER_LIMIT

    assert not probe.answers
    assert not probe.messages_wait
