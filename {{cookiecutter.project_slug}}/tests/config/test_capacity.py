"""Processes, threads, and the connections to PostgreSQL that they add up to: config/settings/capacity.py."""

import os
import runpy

import pytest
from django.conf import settings

CAPACITY = settings.BASE_DIR / "config" / "settings" / "capacity.py"


@pytest.fixture
def capacity(monkeypatch):
    """Return a function that returns the settings as they are with exactly these environment variables."""

    def load(**variables):
        for name in [*os.environ]:
            if name.startswith(("POSTGRES_MAX_", "WEB_CPUS", "WORKER_")):
                monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return runpy.run_path(CAPACITY)

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

    assert connections.keys() >= {"web", *capacity()["WORKER_POOLS"], "spare"}
    assert all(count > 0 for count in connections.values())


def test_each_thread_of_web_has_a_connection_and_counts_twice_because_a_deploy_has_old_and_new_ones(capacity):
    site = capacity(WEB_CPUS="3")

    assert site["POSTGRES_CONNECTIONS"]["web"] == 2 * 3 * site["WEB_THREADS"]


@pytest.mark.parametrize(("replicas", "concurrency"), [(1, 2), (2, 2), (1, 3)])
def test_connections_of_a_worker_count_twice_because_a_deploy_has_old_and_new_ones(capacity, replicas, concurrency):
    for service, prefix in prefixes(capacity()):
        site = capacity(**{f"{prefix}_REPLICAS": str(replicas), f"{prefix}_CONCURRENCY": str(concurrency)})

        tasks = concurrency * site["CONNECTIONS_PER_TASK"]
        assert site["POSTGRES_CONNECTIONS"][service] == 2 * replicas * (tasks + 1), service


def test_the_other_services_do_not_depend_on_processes_and_replicas(capacity):
    small = capacity()
    larger = {f"{prefix}_{name}": "40" for _, prefix in prefixes(small) for name in ("REPLICAS", "CONCURRENCY")}
    large = capacity(WEB_CPUS="8", **larger)

    changed = {
        name for name, count in small["POSTGRES_CONNECTIONS"].items() if large["POSTGRES_CONNECTIONS"][name] != count
    }
    assert changed == {"web", *(service for service, _ in prefixes(small))}


def prefixes(site: dict) -> list[tuple[str, str]]:
    """Return the name of each worker service that has variables, and how their names begin."""
    found = [(service, service.upper().replace("-", "_")) for service in site["WORKER_POOLS"]]
    return [(service, prefix) for service, prefix in found if f"{prefix}_CONCURRENCY" in CAPACITY.read_text()]
