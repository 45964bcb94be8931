"""What a person does with a running project's page: send add(x, y), look for its result and the last run of beat."""

import re

import requests

from tests.running.waiting import wait_for


class Visitor:
    """Visits the page of the project that runs at `url`."""

    def __init__(self, url: str):
        self.url = url
        self.session = requests.Session()

    def page(self, path: str = "/") -> str:
        """Return the page at `path`. Raises requests.HTTPError if its status is an error."""
        answer = self.session.get(self.url + path, timeout=30)
        answer.raise_for_status()
        return answer.text

    def send_add(self, x: int, y: int) -> str:
        """Send add(x, y) with the form and return the task's id. Raises requests.HTTPError."""
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.page())[1]
        form = {"csrfmiddlewaretoken": token, "x": x, "y": y}
        answer = self.session.post(f"{self.url}/add/", data=form, timeout=60)
        answer.raise_for_status()
        return re.search(r"/tasks/([0-9a-f-]{36})/$", answer.url)[1]

    def result(self, task_id: str, seconds: float = 20) -> str:
        """Return what the page shows as the task's result. Raises TookTooLong after `seconds`."""

        def shown() -> re.Match[str] | None:
            return re.search(r"<output>(.*?)</output>", self.page(f"/tasks/{task_id}/"))

        return wait_for(shown, f"the result of task {task_id} on its page", seconds)[1]

    def tick(self, seconds: float = 60) -> None:
        """Wait until the page shows the time of a run of beat's sample task. Raises TookTooLong after `seconds`."""
        shown = r"<dt>Last scheduled run</dt><dd>\d"
        wait_for(lambda: re.search(shown, self.page()), "a scheduled run of tick", seconds)
