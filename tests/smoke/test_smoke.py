"""Each combination of broker, result backend and beat is built, started, and works on a task. The other prompts are
answered in turn, so that any two choices meet.
"""

import pytest

from tests.answers import every_with_others, named


@pytest.mark.parametrize("answers", every_with_others("broker", "result_backend", "beat"), ids=named)
def test_a_task_sent_from_web_is_executed_by_the_worker_and_its_result_read_back(running, answers):
    with running(**answers) as stack:
        stack.check_add()
        if answers["beat"]:
            stack.check_tick()
        stack.check_logs()


@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
def test_the_generated_tests_pass_inside_the_stack(running, broker):
    with running(broker=broker) as stack:
        done = stack.run("make", "test-docker")

        assert done.returncode == 0, done.stdout + done.stderr
