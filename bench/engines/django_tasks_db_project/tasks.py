from django_tasks import task


@task()
def add(x: int, y: int) -> int:
    return x + y


def submit() -> None:
    add.enqueue(1, 1)
