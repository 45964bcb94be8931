"""What the health checks ask."""

import os
import time
from types import SimpleNamespace

import pytest
from django.db import connection
from django.db.utils import OperationalError

from ops import heartbeat
from tests.waiting import wait_for


def test_livez_needs_no_database_and_no_known_host(client):
    assert client.get("/livez", headers={"host": "10.0.0.1"}).status_code == 200


@pytest.mark.django_db
def test_readyz_is_200_while_the_database_answers(client):
    assert client.get("/readyz").status_code == 200


def test_readyz_is_503_while_the_database_does_not_answer(client, monkeypatch):
    def refuse():
        raise OperationalError("connection refused")

    monkeypatch.setattr(connection, "cursor", refuse)

    assert client.get("/readyz").status_code == 503


def test_a_worker_touches_its_heartbeat(worker):
    heartbeat.WORKER.unlink(missing_ok=True)

    wait_for(heartbeat.WORKER.exists, "a touch of the heartbeat file")


POOL = SimpleNamespace(info={"processes": [12345]})


@pytest.fixture
def worker_heartbeat(tmp_path, monkeypatch):
    monkeypatch.setattr(heartbeat, "FOLDER", tmp_path)
    monkeypatch.setattr(heartbeat, "WORKER", tmp_path / "worker.alive")
    step = heartbeat.WorkerHeartbeat.__new__(heartbeat.WorkerHeartbeat)
    step.seen = {}
    return step


def test_a_new_process_of_the_pool_is_given_time(worker_heartbeat):
    worker_heartbeat.touch(POOL)

    assert heartbeat.WORKER.exists()


@pytest.mark.parametrize(("age", "touched"), [(20, True), (40, False)])
def test_a_worker_with_a_stuck_process_does_not_touch_its_file(worker_heartbeat, age, touched):
    file = heartbeat.pool_file(12345)
    file.touch()
    os.utime(file, (time.time() - age, time.time() - age))
    worker_heartbeat.seen = {12345: time.time() - 3600}

    worker_heartbeat.touch(POOL)

    assert heartbeat.WORKER.exists() == touched


def test_the_file_of_a_process_that_is_gone_is_deleted(worker_heartbeat):
    heartbeat.pool_file(1).touch()
    worker_heartbeat.seen = {1: time.time()}

    worker_heartbeat.touch(POOL)

    assert not heartbeat.pool_file(1).exists()


def test_a_process_of_the_pool_touches_its_file(worker_heartbeat):
    heartbeat.start_in_pool_process()

    wait_for(heartbeat.pool_file(os.getpid()).exists, "a touch")
