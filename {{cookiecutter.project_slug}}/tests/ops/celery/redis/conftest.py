"""A real Redis for the tests in this folder."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
import redis

from config.celery import app
from tests.support import servers
from tests.support.waiting import wait_for


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of the stack's broker in `make test-docker`, otherwise of a server that these tests start.

    It names a database that the stack does not use, so that the stack's worker does not take the messages of the tests.
    """
    if app.conf.broker_url.startswith("redis"):
        yield urlsplit(app.conf.broker_url)._replace(path="/15").geturl()
    else:
        with redis_server() as url:
            yield url


@pytest.fixture
def refusing_writes(redis_url):
    """A context manager. Inside it the server refuses every write, like one that is not the master after a failover."""

    @contextmanager
    def refusing() -> Iterator[None]:
        client.replicaof("127.0.0.1", "1")  # no server listens there, so this server keeps its data
        try:
            yield
        finally:
            client.replicaof("NO", "ONE")

    with redis.Redis.from_url(redis_url) as client:
        yield refusing


@contextmanager
def redis_server() -> Iterator[str]:
    """Start Redis on a free port of this machine. Yields its URL. Skips the test if Redis 7 is not installed."""
    [program] = servers.programs("redis-server", package="redis-server")
    port = servers.free_port()
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        options = ["--bind", "127.0.0.1", "--port", str(port), "--dir", folder, "--save", ""]
        with servers.running([program, *options]), redis.Redis(port=port) as client:

            def answers() -> bool:
                try:
                    return bool(client.ping())
                except redis.ConnectionError:
                    return False

            wait_for(answers, "an answer from redis-server", servers.START_SECONDS)
            if int(client.info("server")["redis_version"].partition(".")[0]) < 7:
                pytest.skip("needs Redis 7 or newer: install it, or run make test-docker")
            yield f"redis://127.0.0.1:{port}/0"
