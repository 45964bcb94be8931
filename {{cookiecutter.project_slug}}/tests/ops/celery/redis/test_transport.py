"""At every moment a message is in its list or recorded as taken: ops/celery/redis/transport.py."""

import socket

import pytest
from kombu import Connection, Consumer, Producer, Queue

from config.settings.celery import CELERY_BROKER_TRANSPORT_OPTIONS as OPTIONS
from ops.celery.redis import transport

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
    redis = connection().default_channel.client
    redis.delete(*TAKEN.values(), *redis.keys("test-a*"), *redis.keys("test-b*"))
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
    redis = connect().default_channel.client

    def count() -> int:
        assert redis.hlen(TAKEN["unacked_key"]) == redis.zcard(TAKEN["unacked_index_key"])
        return redis.hlen(TAKEN["unacked_key"])

    return count


def consume(connection: Connection, count: int, **options) -> list:
    """Return the next messages of both queues. Raises TimeoutError after ten seconds without one."""
    messages = []
    with Consumer(connection, QUEUES, on_message=messages.append, **options):
        while len(messages) < count:
            connection.drain_events(timeout=10)
    return messages


def test_it_is_the_projects_connection_to_redis(connect):
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


def test_a_lost_wakeup_delays_a_message_and_no_more(connect, publish, monkeypatch):
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
    publish(9, QUEUES[1], priority=9)
    publish(99, QUEUES[1], priority=0)

    numbers = [message.payload for message in consume(connect(), 8)]

    assert sorted(numbers[:2]) == [0, 10]
    assert numbers[-1] == 9
    assert len(set(numbers)) == 8


def test_a_message_that_needs_no_acknowledgement_is_not_recorded(connect, publish, taken):
    publish(1)

    assert len(consume(connect(), 1, no_ack=True)) == 1

    assert taken() == 0
