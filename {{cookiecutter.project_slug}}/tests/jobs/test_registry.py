"""Which functions @job accepts: jobs/registry.py."""

import pytest

from jobs import registry


@pytest.mark.parametrize("argument", sorted(registry.RESERVED_ARGUMENTS))
def test_an_argument_that_submit_takes_itself_is_refused(define, argument):
    namespace = {}
    exec(f"def greet({argument}): pass", namespace)  # noqa: S102  the test wrote the code

    with pytest.raises(TypeError, match=f"job greet: {argument} can't be an argument"):
        define()(namespace["greet"])


def test_two_functions_of_one_name_are_refused(define):
    def double():
        pass

    with pytest.raises(ValueError, match=r"job double: tests\.jobs\.kinds has a job of the same name"):
        define()(double)


def test_a_function_with_job_can_still_be_called(define):
    @define()
    def greet(name):
        return f"Hello {name}"

    assert greet("Ada") == "Hello Ada"


def test_people_may_submit_the_kinds_that_have_a_form(define):
    @define()
    def secret():
        """Only for code."""

    assert registry.get("secret") in registry.all_kinds()
    assert registry.get("secret") not in registry.submittable_kinds()
    assert registry.get("double") in registry.submittable_kinds()
