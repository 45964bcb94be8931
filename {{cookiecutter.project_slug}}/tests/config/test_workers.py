"""The workers are the same in compose.yaml, in the Procfile and in config/settings/capacity.py."""

import re
import runpy
from itertools import pairwise

import pytest
import yaml
from django.conf import settings

COMPOSE = yaml.safe_load((settings.BASE_DIR / "compose.yaml").read_text())
PROCFILE = dict(line.split(": ", 1) for line in (settings.BASE_DIR / "Procfile").read_text().splitlines() if line)
# Read from the file, because the settings of the tests replace WORKER_POOLS.
POOLS = runpy.run_path(settings.BASE_DIR / "config" / "settings" / "capacity.py")["WORKER_POOLS"]


def options(command: list[str]) -> dict[str, str]:
    """Return each option of a command, with the word that follows it."""
    return {name: value for name, value in pairwise(command) if name.startswith("--")}


def commands() -> dict[str, list[str]]:
    """Return the command of each worker in compose.yaml."""
    found = {name: service.get("command", []) for name, service in COMPOSE["services"].items()}
    return {name: command for name, command in found.items() if command[:4] == ["celery", "-A", "config", "worker"]}


def test_the_settings_know_all_workers():
    assert commands().keys() == POOLS.keys()


def test_make_stops_all_workers_before_it_replaces_the_database():
    [services] = re.findall(r"(?m)^APP := (.*)$", (settings.BASE_DIR / "Makefile").read_text())

    assert POOLS.keys() <= set(services.split())


def test_a_debugger_gets_the_tasks_of_all_workers():
    debug = yaml.safe_load((settings.BASE_DIR / "compose.debug.yaml").read_text())["services"]

    assert len([name for name in POOLS if debug[name].get("scale") != 0]) == 1


@pytest.mark.parametrize("service", POOLS)
def test_a_worker_consumes_the_queues_and_has_the_pool_that_the_settings_say(service):
    found = options(commands()[service])

    assert found.get("--queues", "") == ",".join(POOLS[service].queues)
    assert (found.get("--pool") == "threads") == POOLS[service].has_threads


@pytest.mark.parametrize("service", POOLS)
def test_the_settings_know_how_many_tasks_a_worker_runs_at_most(service):
    """compose.yaml has the number of the settings, or a variable with the same default, which compose passes to the
    settings too.
    """
    found = options(commands()[service])
    most = found.get("--autoscale", found.get("--concurrency")).partition(",")[0]

    variable, default = re.fullmatch(r"(?:\$\{(\w+):-)?(\d+)\}?", most).groups()

    assert POOLS[service].concurrency == int(default)
    assert variable is None or COMPOSE["x-app"]["environment"][variable] == most


@pytest.mark.parametrize("service", POOLS)
def test_a_workers_heartbeat_is_the_one_that_its_health_check_reads(service):
    assert options(commands()[service])["--hostname"] == f"{service}@%h"
    assert COMPOSE["services"][service]["healthcheck"]["test"][-1] == service


@pytest.mark.parametrize("service", POOLS)
def test_make_local_starts_a_worker_as_compose_does(service):
    words = re.findall(r'"[^"]*"|\S+', PROCFILE[service])

    assert words[:4] == ["exec", "python", "-m", "ops.reload"]
    assert [word.strip('"') for word in words[4:]] == commands()[service]
