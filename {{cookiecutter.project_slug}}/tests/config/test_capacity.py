"""Processes, threads, and the connections to PostgreSQL that they add up to: config/settings/capacity.py."""

import runpy

import pytest
from django.conf import settings

VARIABLES = ["POSTGRES_MAX_CONNECTIONS", "WEB_CPUS", "WORKER_CONCURRENCY", "WORKER_REPLICAS"]


@pytest.fixture
def capacity(monkeypatch):
    """Return a function that returns the settings as they are with exactly these environment variables."""

    def load(**variables):
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return runpy.run_path(settings.BASE_DIR / "config" / "settings" / "capacity.py")

    return load


@pytest.mark.parametrize(("cpus", "processes"), [("1", 2), ("2", 2), ("3", 3)])
def test_web_has_a_process_for_each_cpu_and_at_least_two(capacity, cpus, processes):
    assert capacity(WEB_CPUS=cpus)["WEB_PROCESSES"] == processes


def test_a_site_without_variables_fits_into_the_connections_that_postgresql_allows(capacity):
    small = capacity()

    available = small["POSTGRES_MAX_CONNECTIONS"] - small["SUPERUSER_RESERVED_CONNECTIONS"]
    assert sum(small["POSTGRES_CONNECTIONS"].values()) <= available


def test_every_service_has_connections_and_some_are_spare(capacity):
    connections = capacity()["POSTGRES_CONNECTIONS"]

    assert connections.keys() >= {"web", "worker", "spare"}
    assert all(count > 0 for count in connections.values())


def test_each_thread_of_web_has_a_connection_and_counts_twice_because_a_deploy_has_old_and_new_ones(capacity):
    site = capacity(WEB_CPUS="3")

    assert site["POSTGRES_CONNECTIONS"]["web"] == 2 * 3 * site["WEB_THREADS"]


@pytest.mark.parametrize(("replicas", "concurrency"), [(1, 2), (2, 2), (1, 3)])
def test_the_processes_of_a_worker_count_twice_because_a_deploy_has_old_and_new_ones(capacity, replicas, concurrency):
    site = capacity(WORKER_REPLICAS=str(replicas), WORKER_CONCURRENCY=str(concurrency))

    pool = concurrency * site["CONNECTIONS_PER_WORKER_PROCESS"]
    assert site["POSTGRES_CONNECTIONS"]["worker"] == 2 * replicas * (pool + 1)


def test_the_other_services_do_not_depend_on_processes_and_replicas(capacity):
    small, large = capacity(), capacity(WEB_CPUS="8", WORKER_REPLICAS="4", WORKER_CONCURRENCY="8")

    changed = {
        name for name, count in small["POSTGRES_CONNECTIONS"].items() if large["POSTGRES_CONNECTIONS"][name] != count
    }
    assert changed == {"web", "worker"}
