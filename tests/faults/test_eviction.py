"""Why the broker's Redis must not evict: 500 queued tasks on a server that is filled by a cache until it is full."""

import json
from dataclasses import asdict, dataclass

import pytest

from tests.faults import counts
from tests.faults.conftest import prepare
from tests.faults.fault_run import send
from tests.faults.memory import used_memory

pytestmark = pytest.mark.usefixtures("long_form")

QUEUED = 500
HEADROOM = 6 * 2**20  # bytes that the cache may take beyond what is used already

# 20 MB: more than there is room for.
FILL = """
from django.core.cache import cache
refused = 0
for number in range(20_000):
    try:
        cache.set(number, "x" * 1000)
    except Exception:
        refused += 1
print(refused)
"""


@dataclass(frozen=True)
class Eviction:
    """What became of the queue under one policy."""

    policy: str
    queued: int
    left: int
    entries_refused: int  # cache entries whose writer got an error
    told: str  # what the publisher of one more task got


@pytest.fixture(scope="module")
def stack(running):
    """A stack whose `cache` plays the broker that is filled: no worker takes anything from it."""
    with running(change=prepare, broker="redis") as stack:
        yield stack


@pytest.fixture
def experiment(stack, file):
    """Return a function that makes the experiment under a policy."""
    password = stack.compose("exec", "--no-TTY", "cache", "printenv", "REDISCLI_AUTH").stdout.strip()
    address = f"redis://:{password}@cache:6379"

    def redis(*command: str) -> str:
        return stack.redis("cache", *command)

    def make(policy: str) -> Eviction:
        redis("FLUSHALL")
        redis("CONFIG", "SET", "maxmemory", "0", "maxmemory-policy", policy)
        environment = {"CELERY_BROKER_URL": f"{address}/2", "CACHE_URL": f"{address}/3"}
        send(stack, "evicted", tasks=QUEUED, environment=environment)
        queued = int(redis("-n", "2", "LLEN", "default"))
        redis("CONFIG", "SET", "maxmemory", str(used_memory(stack, "cache") + HEADROOM))

        command = ["--env", f"CACHE_URL={environment['CACHE_URL']}", "web", "python", "manage.py", "shell"]
        refused = stack.compose("exec", "--no-TTY", *command, "--verbosity", "0", "--command", FILL).stdout
        left = int(redis("-n", "2", "LLEN", "default"))
        told = ", ".join(send(stack, "evicted", tasks=1, environment=environment)["tasks"].errors)
        result = Eviction(policy, queued, left, int(refused), told or "nothing: as if all were well")
        with (counts.FOLDER / "eviction.jsonl").open("a") as lines:
            lines.write(json.dumps(asdict(result)) + "\n")
        return result

    counts.FOLDER.mkdir(exist_ok=True)
    yield make
    redis("FLUSHALL")


def test_a_server_that_evicts_loses_the_queue_and_tells_nobody(experiment):
    result = experiment("allkeys-lru")

    assert (result.queued, result.left, result.entries_refused) == (QUEUED, 0, 0)
    assert result.told.startswith("nothing")


def test_a_server_that_refuses_keeps_the_queue_and_tells_the_publisher(experiment):
    result = experiment("noeviction")

    assert (result.queued, result.left) == (QUEUED, QUEUED)
    assert result.entries_refused > 0
    assert result.told == "OperationalError"
