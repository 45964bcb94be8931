"""Celery's Redis transport with two changes: taking a message and recording it is one step, and a server that refuses
commands counts as down.

Celery's own transport takes a message out of its list (BRPOP) and then records in the hash `unacked` that it was taken.
If the worker or the server is killed in between, or if a full server refuses the second step, the message is lost. Here
a script does both in one step. A script cannot wait, so a worker that found no message waits for a wakeup in a second
list. A publisher adds one there in the transaction in which it adds its message to the queue. A lost wakeup costs at
most a second, because then the worker looks again.

A server refuses commands for a while at a failover, or if it can't write its snapshot. Celery's own transport passes
the refusal on, which ends the worker. Here the worker connects again until the server accepts commands, and a publisher
gets the same error as from a server that is stopped.

A waiting worker sends one more command per second, and a publisher sends five more commands with each message, in the
same round trip. A busy worker saves one round trip per message. The methods overridden here are not documented. After
an update of kombu, tests/ops/celery/redis/test_transport.py tells whether they still fit. Requires Redis 7.
"""

from contextlib import suppress
from queue import Empty
from time import monotonic, time
from typing import Any

import redis
from kombu.transport import redis as kombu
from kombu.utils.json import dumps

# The flag lets a full server move messages, which needs no memory; otherwise nothing would ever make room again.
# A message that is not JSON is delivered without a record. https://redis.io/docs/latest/develop/programmability/
TAKE_SCRIPT = """#!lua flags=allow-oom
local unacked, index = KEYS[1], KEYS[2]
for i = 3, #KEYS do
  local message = redis.call("RPOP", KEYS[i])
  if message then
    local readable, content = pcall(cjson.decode, message)
    if readable and ARGV[i] == "ack" then
      local tag, from = content.properties.delivery_tag, content.properties.delivery_info
      local exchange, routing_key = cjson.encode(from.exchange), cjson.encode(from.routing_key)
      redis.call("HSET", unacked, tag, "[" .. message .. "," .. exchange .. "," .. routing_key .. "]")
      redis.call("ZADD", index, ARGV[1], tag)
    end
    return {KEYS[i], message}
  end
end
"""
# A worker that has finished a task looks for messages before it waits, so more wakeups than idle workers are useless.
MAX_WAKEUPS = 16
WAKEUPS_EXPIRE = 60  # seconds
PROBE_KEY = "accepts-writes"  # each new connection writes this key, which expires after a second

# Errors of a server that will accept the command later: it is a replica, it has no memory left, or it has lost its
# master; it can't write its snapshot, it has too few replicas, or it has just become a replica (UNBLOCKED).
REFUSALS = (redis.exceptions.ReadOnlyError, redis.exceptions.OutOfMemoryError, redis.exceptions.MasterDownError)
REFUSAL_CODES = ("MISCONF ", "NOREPLICAS ", "UNBLOCKED ")  # redis-py has no classes for these


def wakeup_key(queue: str) -> str:
    """Return the key of the list to which publishers add a wakeup for each message in `queue`."""
    return f"{queue}:waiting"


class RefusalIsConnectionError:
    """Makes a connection error of each refusal. It is a mixin for redis-py's connections."""

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().read_response(*args, **kwargs)  # type: ignore[misc]  # redis-py's
        except redis.ResponseError as error:
            if not isinstance(error, REFUSALS) and not str(error).startswith(REFUSAL_CODES):
                raise
            self.disconnect()  # type: ignore[attr-defined]  # redis-py's
            raise redis.ConnectionError(f"the server refuses commands: {error}") from error


class Connection(RefusalIsConnectionError, redis.Connection):
    """A connection for URLs that begin with redis://."""


class SSLConnection(RefusalIsConnectionError, redis.SSLConnection):
    """A connection for URLs that begin with rediss://."""


class QoS(kombu.QoS):
    """The messages that a worker has taken but not yet acknowledged."""

    _ack_error: redis.ConnectionError | None = None

    def append(self, message: Any, delivery_tag: str) -> None:
        """Record a message as taken, unless the script has done so already."""
        if self.channel.noted_by_script:
            super(kombu.QoS, self).append(message, delivery_tag)
        else:
            super().append(message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge a message. Raises redis.ConnectionError if the server is down or refuses."""
        try:
            super().ack(delivery_tag)
        except redis.ConnectionError as error:
            self._ack_error = error
            raise

    def can_consume(self) -> bool:
        """Return whether the worker may take another message. Raises what has prevented an acknowledgement.

        Celery only logs that error. A worker that went on would count the message against its prefetch limit for ever,
        and would take no more messages once the limit is used up. Raised here, the error makes the worker's loop
        connect again.
        """
        if self._ack_error:
            raise self._ack_error
        return super().can_consume()


class Channel(kombu.Channel):
    """A channel, on which a worker takes messages or a publisher sends them."""

    QoS = QoS
    connection_class = Connection
    connection_class_ssl = SSLConnection
    supports_batch_publish = False  # _put() sends each message by itself
    noted_by_script = False  # whether the script has recorded the message that is being delivered
    _in_poll: Any  # kombu's: the connection that waits for an answer, if there is one
    _brpop_sent_at: Any  # kombu's: when it began to wait, a float, or None
    _awaits_wakeup = False  # whether the last look found no message, so that the next request is for a wakeup

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._without_ack: set[str] = set()
        super().__init__(*args, **kwargs)

    def basic_consume(self, queue: str, no_ack: bool, *args: Any, **kwargs: Any) -> Any:
        (self._without_ack.add if no_ack else self._without_ack.discard)(queue)
        return super().basic_consume(queue, no_ack, *args, **kwargs)

    def _put(self, queue: str, message: dict[str, Any], **kwargs: Any) -> None:
        """Publish a message and wake up a worker, in one transaction."""
        expires = self._expires.get(queue)
        wakeups = wakeup_key(queue)
        with self.conn_or_acquire() as client, client.pipeline() as pipeline:
            key = self._q_for_pri(queue, self._get_message_priority(message, reverse=False))
            pipeline.lpush(key, dumps(message))
            if expires:
                for priority in self.priority_steps:
                    pipeline.pexpire(self._q_for_pri(queue, priority), expires)
            pipeline.lpush(wakeups, "").ltrim(wakeups, 0, MAX_WAKEUPS - 1).expire(wakeups, WAKEUPS_EXPIRE)
            pipeline.execute()

    def _brpop_start(self, timeout: float | None = None) -> None:
        """Ask for a message or, if the last look found none, for a wakeup. _brpop_read() gets the answer."""
        queues = self._queue_cycle.consume(len(self.active_queues))
        if not queues:
            return
        if self._awaits_wakeup:
            command = ["BRPOP", *map(wakeup_key, queues), timeout or self.brpop_timeout]
        else:
            lists = {
                self._q_for_pri(queue, priority): "no ack" if queue in self._without_ack else "ack"
                for priority in self.priority_steps
                for queue in queues
            }
            keys = [self.unacked_key, self.unacked_index_key, *lists]
            # The empty argument aligns the two arrays: ARGV[i] is the flag of the list KEYS[i].
            command = ["EVAL", TAKE_SCRIPT, len(keys), *keys, time(), "", *lists.values()]
        self._in_poll = self.client.connection
        self._brpop_sent_at = monotonic()
        self.client.connection.send_command(*command)

    def _brpop_read(self, **options: Any) -> bool:
        """Deliver the message that arrived. Raises Empty if there was none: Celery's event loop then asks again."""
        if self._awaits_wakeup:
            self._awaits_wakeup = False
            self._read_wakeup()
            raise Empty
        self.noted_by_script = True
        try:
            return super()._brpop_read(**options)
        except Empty:
            self._awaits_wakeup = True
            raise
        finally:
            self.noted_by_script = False

    def close(self) -> None:
        """Close the channel, even if the connection broke while it waited for an answer.

        Celery's own method raises in this case, which ends the worker.
        """
        if self._in_poll:
            with suppress(Empty, *self.connection_errors):
                self._brpop_read()
        super().close()

    def _read_wakeup(self) -> None:
        try:
            self.client.parse_response(self.client.connection, "BRPOP")
        except self.connection_errors:
            self.client.connection.disconnect()
            raise
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()


class Transport(kombu.Transport):
    """The transport for URLs that begin with redis:// or rediss://: see install() in this package."""

    Channel = Channel
    supports_batch_publish = False

    def establish_connection(self) -> Any:
        """Connect, and write a key to find out whether the server accepts writes, which costs a round trip.

        Celery pauses after a failed attempt to connect, but not if it can connect and then the first command fails.
        """
        connection = super().establish_connection()
        try:
            self._avail_channels[0].client.set(PROBE_KEY, "", ex=1)
        except BaseException:
            self.close_connection(connection)
            raise
        return connection
