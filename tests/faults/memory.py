"""A broker whose memory is full."""

from tests.running.stack import Stack


def used_memory(stack: Stack, service: str) -> int:
    """Return how many bytes a Redis says that it uses."""
    info = stack.redis(service, "INFO", "memory").split()
    return int(dict(line.split(":") for line in info if ":" in line)["used_memory"])


def limit_memory(stack: Stack, broker: str, bytes_more: int) -> None:
    """Let Redis use this many bytes more than it uses now. RabbitMQ gets a limit that it has already reached."""
    if broker == "redis":
        limit = str(used_memory(stack, "redis") + bytes_more)
        stack.redis("redis", "CONFIG", "SET", "maxmemory", limit)
    else:
        stack.compose("exec", "--no-TTY", "rabbitmq", "rabbitmqctl", "set_vm_memory_high_watermark", "0.0001")


def relieve(stack: Stack, broker: str) -> None:
    """Take limit_memory() back."""
    if broker == "redis":
        stack.redis("redis", "CONFIG", "SET", "maxmemory", "512mb")
    else:
        stack.compose("exec", "--no-TTY", "rabbitmq", "rabbitmqctl", "set_vm_memory_high_watermark", "0.6")
