"""Celery's connection to Redis, with one change: a message is never held by the connection alone.

Celery's own takes a message out of its list (BRPOP), and then notes in `unacked` that this worker has it. When the
worker or the server is killed in between, or a full server refuses the note, the message is gone. Here both are one
step, a script. A script can't wait, so a worker that found nothing waits for a token, which a publisher leaves after
its message. A token that is lost costs at most a second: then the worker looks again.

Price: a worker that waits sends one more command a second, and a publisher three more with each message, all at once. A
worker that has work saves a round trip a message. What is overridden is not documented: after an update of kombu,
tests/test_redis_transport.py tells whether it still fits. Redis 7 or newer.
"""

from contextlib import suppress
from queue import Empty
from time import monotonic, time

from kombu.transport import redis as kombu
from kombu.utils.json import dumps

# Moving a message takes no memory, so a full server may do it: else nothing would ever make room.
# A message that is no JSON is handed over without a note. https://redis.io/docs/latest/develop/programmability/
TAKE = """#!lua flags=allow-oom
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
# A worker that comes back from a task looks before it waits, so more tokens than idle workers are of no use.
TOKENS = 16
TOKENS_EXPIRE = 60  # seconds


def tokens(queue: str) -> str:
    """Return the key of the list in which publishers leave a token for each message in `queue`."""
    return f"{queue}:waiting"


class QoS(kombu.QoS):
    """What a worker has taken and not acknowledged."""

    def append(self, message, delivery_tag: str) -> None:
        """Celery's, but what the script has noted is not noted again."""
        if self.channel.noted:
            super(kombu.QoS, self).append(message, delivery_tag)
        else:
            super().append(message, delivery_tag)


class Channel(kombu.Channel):
    """A worker's, or a publisher's, side of the connection."""

    QoS = QoS
    supports_batch_publish = False  # _put() sends each message by itself
    noted = False  # has the script noted what is being delivered?
    _waits = False  # found nothing, so the next thing to ask for is a token

    def __init__(self, *args, **kwargs):
        self._without_ack: set[str] = set()
        super().__init__(*args, **kwargs)

    def basic_consume(self, queue: str, no_ack: bool, *args, **kwargs):
        (self._without_ack.add if no_ack else self._without_ack.discard)(queue)
        return super().basic_consume(queue, no_ack, *args, **kwargs)

    def _put(self, queue: str, message: dict, **kwargs) -> None:
        """Publish, and wake up a worker: both or neither."""
        expires = self._expires.get(queue)
        with self.conn_or_acquire() as client, client.pipeline() as pipeline:
            key = self._q_for_pri(queue, self._get_message_priority(message, reverse=False))
            pipeline.lpush(key, dumps(message))
            if expires:
                for priority in self.priority_steps:
                    pipeline.pexpire(self._q_for_pri(queue, priority), expires)
            pipeline.lpush(tokens(queue), "").ltrim(tokens(queue), 0, TOKENS - 1).expire(tokens(queue), TOKENS_EXPIRE)
            pipeline.execute()

    def _brpop_start(self, timeout: float | None = None) -> None:
        """Ask for a message; if there was none just now, for a token. The answer comes to _brpop_read()."""
        queues = self._queue_cycle.consume(len(self.active_queues))
        if not queues:
            return
        if self._waits:
            command = ["BRPOP", *map(tokens, queues), timeout or self.brpop_timeout]
        else:
            lists = {
                self._q_for_pri(queue, priority): "no ack" if queue in self._without_ack else "ack"
                for priority in self.priority_steps
                for queue in queues
            }
            keys = [self.unacked_key, self.unacked_index_key, *lists]
            # the empty one: a list's flag has the list's number
            command = ["EVAL", TAKE, len(keys), *keys, time(), "", *lists.values()]
        self._in_poll = self.client.connection
        self._brpop_sent_at = monotonic()
        self.client.connection.send_command(*command)

    def _brpop_read(self, **options) -> bool:
        """Deliver the message that came. Raises Empty if none did: Celery's event loop asks again."""
        if self._waits:
            self._waits = False
            self._read_token()
            raise Empty
        self.noted = True
        try:
            return super()._brpop_read(**options)
        except Empty:
            self._waits = True
            raise
        finally:
            self.noted = False

    def close(self) -> None:
        """Celery's gives up when the connection broke while it waited for an answer; then its worker ends."""
        if self._in_poll:
            with suppress(Empty, *self.connection_errors):
                self._brpop_read()
        super().close()

    def _read_token(self) -> None:
        try:
            self.client.parse_response(self.client.connection, "BRPOP")
        except self.connection_errors:
            self.client.connection.disconnect()
            raise
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()


class Transport(kombu.Transport):
    """What config/celery.py takes for addresses that begin with redis:// or rediss://."""

    Channel = Channel
    supports_batch_publish = False
