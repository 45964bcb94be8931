from procrastinate.contrib.django import app


@app.task
def add(x: int, y: int) -> int:
    return x + y


def submit() -> None:
    add.defer(x=1, y=1)
