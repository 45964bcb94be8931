"""At every moment a message is in its list or recorded as taken: ops/celery/redis/transport.py."""

import socket

import pytest
import redis
from kombu import Connection, Consumer, Producer, Queue
from kombu.exceptions import OperationalError
from redis._parsers import BaseParser

from config.settings.celery import CELERY_BROKER_TRANSPORT_OPTIONS as OPTIONS
from ops.celery.redis import transport
from tests.support import processes
from tests.support.waiting import wait_for

TAKEN = {"unacked_key": "test-taken", "unacked_index_key": "test-taken-index"}  # not those of the stack
QUEUES = [Queue("test-a", routing_key="test-a"), Queue("test-b", routing_key="test-b")]


class Killed(BaseException):
    """Ends whatever is running, as a signal does."""


@pytest.fixture
def connect(redis_url):
    """Return a function that gives a new connection to the broker."""
    connections = []

    def connection(**options) -> Connection:
        options = {**OPTIONS, **TAKEN, **options}
        connections.append(Connection(redis_url, transport_options=options))
        return connections[-1]

    yield connection
    client = connection().default_channel.client
    client.delete(*TAKEN.values(), *client.keys("test-a*"), *client.keys("test-b*"))
    for each in connections:
        each.release()


@pytest.fixture
def publish(connect):
    """Return a function that publishes a number to a queue."""
    producer = Producer(connect())

    def send(number: int, queue: Queue = QUEUES[0], priority: int = 0) -> None:
        producer.publish(number, routing_key=queue.name, declare=[queue], priority=priority)

    return send


@pytest.fixture
def taken(connect):
    """Return a function that counts the messages that are recorded as taken."""
    client = connect().default_channel.client

    def count() -> int:
        assert client.hlen(TAKEN["unacked_key"]) == client.zcard(TAKEN["unacked_index_key"])
        return client.hlen(TAKEN["unacked_key"])

    return count


def consume(connection: Connection, count: int, **options) -> list:
    """Return the next messages of both queues. Raises TimeoutError after ten seconds without one."""
    messages = []
    with Consumer(connection, QUEUES, on_message=messages.append, **options):
        while len(messages) < count:
            connection.drain_events(timeout=10)
    return messages


def test_connections_to_redis_use_this_transport(connect):
    assert isinstance(connect().transport, transport.Transport)


def test_a_message_is_recorded_as_taken_until_it_is_acknowledged(connect, publish, taken):
    publish(1)

    [message] = consume(connect(), 1)
    assert (message.payload, taken()) == (1, 1)

    message.ack()
    assert taken() == 0


def test_a_consumer_that_is_killed_when_a_message_arrives_does_not_lose_it(connect, publish, taken, monkeypatch):
    publish(1)
    dying = connect()

    def die(*args):
        raise Killed

    monkeypatch.setattr(dying.transport, "_deliver", die)
    with pytest.raises(Killed):
        consume(dying, 1)

    assert taken() == 1
    other = connect(visibility_timeout=0)
    other.default_channel.qos.restore_visible(interval=1)  # as a worker does every ten seconds
    [message] = consume(other, 1)
    assert message.payload == 1
    message.ack()


def test_a_message_that_is_given_back_is_delivered_again(connect, publish, taken):
    publish(1)
    connection = connect()

    [message] = consume(connection, 1)
    message.requeue()
    assert taken() == 0

    [message] = consume(connection, 1)
    assert message.delivery_info["redelivered"]
    message.ack()


def test_a_consumer_that_waits_is_woken_up_by_a_message(connect, publish):
    """Without its wakeup the consumer would look again after a minute."""
    connection = connect()
    messages = []
    with Consumer(connection, QUEUES, on_message=messages.append) as consumer:
        consumer.channel.brpop_timeout = 60
        with pytest.raises(TimeoutError):
            connection.drain_events(timeout=0.5)  # finds nothing, so it waits

        publish(1, QUEUES[1])

        connection.drain_events(timeout=10)
        assert [message.payload for message in messages] == [1]


def test_a_lost_wakeup_only_delays_its_message(connect, publish, monkeypatch):
    monkeypatch.setattr(transport, "WAKEUPS_EXPIRE", 0)
    connection = connect()
    with Consumer(connection, QUEUES), pytest.raises(TimeoutError):
        connection.drain_events(timeout=0.5)

    publish(1)

    assert len(consume(connection, 1)) == 1


def test_a_connection_that_broke_while_it_waited_can_be_closed(connect, taken, publish):
    publish(1)
    connection = connect()
    consumer = Consumer(connection, QUEUES, on_message=lambda message: None)
    consumer.consume()
    connection.drain_events(timeout=10)
    with pytest.raises(TimeoutError):
        connection.drain_events(timeout=0.5)
    consumer.channel.client.connection._sock.shutdown(socket.SHUT_RDWR)

    consumer.channel.close()

    assert taken() == 0  # the message is in its queue again


def test_urgent_messages_come_first_and_every_queue_has_its_turn(connect, publish):
    for number in range(3):
        publish(number, QUEUES[0])
        publish(10 + number, QUEUES[1])
    publish(9, QUEUES[1], priority=9)  # with Redis, priority 0 is the most urgent
    publish(99, QUEUES[1], priority=0)

    numbers = [message.payload for message in consume(connect(), 8)]

    assert sorted(numbers[:2]) == [0, 10]
    assert numbers[-1] == 9
    assert len(set(numbers)) == 8


def test_a_message_that_needs_no_acknowledgement_is_not_recorded(connect, publish, taken):
    publish(1)

    assert len(consume(connect(), 1, no_ack=True)) == 1

    assert taken() == 0


# --- A server that refuses ----------------------------------------------------------------------------------------


def test_a_server_that_refuses_to_write_counts_as_down(connect, publish, refusing_writes):
    publish(1)
    connection = connect()
    down = connection.connection_errors
    with Consumer(connection, QUEUES), refusing_writes():
        with pytest.raises(down, match="read only replica"):
            publish(2)
        with pytest.raises(down, match="read only replica"):
            connection.drain_events(timeout=10)
        with pytest.raises(OperationalError, match="read only replica"):
            connect().ensure_connection(max_retries=1)  # which pauses between two attempts, as a worker does

    assert [message.payload for message in consume(connect(), 1)] == [1]


@pytest.mark.parametrize(
    ("answer", "down"),
    [
        ("MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.", True),
        ("OOM command not allowed when used memory > 'maxmemory'.", True),
        ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", True),
        ("NOREPLICAS Not enough good replicas to write.", True),
        ("UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)", True),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", False),
        ("ERR unknown command 'NOTHING'", False),
    ],
)
def test_which_answers_mean_that_the_server_is_down(connect, monkeypatch, answer, down):
    connection = connect()
    client = connection.default_channel.client

    def refuse(*args, **kwargs):
        raise BaseParser.parse_error(answer)

    with monkeypatch.context() as patch:
        patch.setattr(redis.Connection, "read_response", refuse)
        with pytest.raises(redis.RedisError) as caught:
            client.ping()

    assert isinstance(caught.value, connection.connection_errors) == down


@pytest.mark.slow
def test_a_worker_connects_again_when_the_server_accepts_writes(redis_url, refusing_writes, tmp_path):
    log = tmp_path / "worker.log"
    with processes.worker(log, CELERY_BROKER_URL=redis_url) as worker:
        with refusing_writes():
            wait_for(
                lambda: worker.poll() is not None or "Trying again" in log.read_text(), "a lost connection", seconds=30
            )
            assert worker.poll() is None, log.read_text()
        processes.send("talk", log, CELERY_BROKER_URL=redis_url)

        wait_for(lambda: "succeeded" in log.read_text(), "the task", seconds=60)


def test_a_worker_whose_acknowledgement_failed_connects_again(monkeypatch):
    """Celery only logs the error. The messages would stay unacknowledged, until the worker may take no more and waits
    for ever.
    """

    def refuse(*args):
        raise redis.ConnectionError("the server refuses commands")

    monkeypatch.setattr(transport.kombu.QoS, "ack", refuse)
    qos = transport.QoS.__new__(transport.QoS)

    with pytest.raises(redis.ConnectionError):
        qos.ack("1")
    with pytest.raises(redis.ConnectionError):
        qos.can_consume()
