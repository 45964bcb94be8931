"""Scaffolds the default project in demo/, starts it, sends add(4, 5) to its worker and prints the result. `make demo`

In Docker where an engine answers, else as processes on this machine. KEEP=1 leaves it running.
"""

import os
import shutil
import sys
import time
from pathlib import Path

from cookiecutter.main import cookiecutter

from tests.answers import TEMPLATE
from tests.running.local import LocalSite
from tests.running.stack import Stack, engine_answers

FOLDER = TEMPLATE / "demo"


def main() -> None:
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:5.1f} s  {text}", flush=True)

    shutil.rmtree(FOLDER, ignore_errors=True)
    project = Path(cookiecutter(str(TEMPLATE), no_input=True, output_dir=str(FOLDER)))
    say(f"scaffolded demo/{project.name} with the default answers")
    if engine_answers():
        say("an engine answers: docker compose up")
        site: Stack | LocalSite = Stack(project, f"{project.name}_demo")
    else:
        say("no Docker engine answers: starting it as processes (make local)")
        site = LocalSite(project)
    try:
        site.up()
        say(f"it is up: {site.visitor.url}")
        task_id = site.visitor.send_add(4, 5)
        say(f"sent add(4, 5) as task {task_id}")
        say(f"the worker says: {site.visitor.result(task_id)}")
    except AssertionError as error:
        sys.exit(f"the demo failed: {error}")
    finally:
        if not os.environ.get("KEEP"):
            site.down()
            say("stopped and cleaned up (KEEP=1 make demo leaves it running)")


if __name__ == "__main__":
    main()
