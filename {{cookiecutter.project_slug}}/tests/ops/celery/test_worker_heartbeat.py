"""A worker's heartbeat: ops/celery/worker_heartbeat.py."""

import os
import time
from types import SimpleNamespace

import pytest

from ops import heartbeat
from ops.celery.worker_heartbeat import WorkerHeartbeat, pool_process_file, start_in_pool_process
from tests.support.waiting import wait_for

POOL = SimpleNamespace(info={"processes": [12345]})


def test_a_worker_touches_its_heartbeat(worker):
    heartbeat.file("worker").unlink(missing_ok=True)

    wait_for(heartbeat.file("worker").exists, "a touch of the heartbeat file")


@pytest.fixture
def step(tmp_path, monkeypatch):
    """The worker's heartbeat, with its files in a folder of the test."""
    monkeypatch.setattr(heartbeat, "FOLDER", tmp_path)
    step = WorkerHeartbeat.__new__(WorkerHeartbeat)
    step.first_seen = {}
    return step


def test_a_new_process_of_the_pool_is_given_time(step):
    step.touch(POOL)

    assert heartbeat.file("worker").exists()


@pytest.mark.parametrize(("age", "touched"), [(20, True), (40, False)])
def test_a_worker_with_a_stuck_process_does_not_touch_its_file(step, age, touched):
    file = pool_process_file(12345)
    file.touch()
    os.utime(file, (time.time() - age, time.time() - age))
    step.first_seen = {12345: time.time() - 3600}

    step.touch(POOL)

    assert heartbeat.file("worker").exists() == touched


def test_the_file_of_a_process_that_has_ended_is_deleted(step):
    pool_process_file(1).touch()
    step.first_seen = {1: time.time()}

    step.touch(POOL)

    assert not pool_process_file(1).exists()


def test_a_process_of_the_pool_touches_its_file(step):
    start_in_pool_process()

    wait_for(pool_process_file(os.getpid()).exists, "a touch")
