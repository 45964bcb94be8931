"""The statements that run for every job, compiled once in a process.

Django compiles a query each time it is used, which takes longer than PostgreSQL needs to execute it. Here the
queries are written as everywhere, but with a Parameter in place of each value that differs from call to call.
"""

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.models import Expression, Field, QuerySet
from django.db.models.sql import InsertQuery, UpdateQuery
from django.db.models.sql.compiler import SQLCompiler

from jobs.models import Job
from jobs.notifications import NOTIFY

_COLUMNS = [field.get_attname() for field in Job._meta.concrete_fields]


class Parameter(Expression):
    """Stands for a value that a statement gets when it is executed."""

    def __init__(self, name: str, output_field: Field) -> None:
        """`output_field` gives the type of the value: an unbound field, or the model's field of that column."""
        super().__init__(output_field=output_field)
        self.name = name

    def as_sql(self, compiler: SQLCompiler, connection: Any) -> Any:
        """Return a placeholder, and this object as its parameter: Compiled.execute() puts the value in its place."""
        return "%s", [self]


def column(name: str) -> Parameter:
    """Return a Parameter that has the name and the type of this column of jobs."""
    return Parameter(name, Job._meta.get_field(name))  # type: ignore[arg-type]  # no column is a reverse relation


class Compiled(NamedTuple):
    """A statement for the database of this process."""

    text: str
    parameters: tuple[Any, ...]  # Parameters, and values that never differ
    compiler: SQLCompiler  # compiles a SELECT of the returned columns: used to convert their values
    converters: Any

    def execute(self, values: dict[str, Any]) -> list[Any]:
        """Return the rows of the result, with values as Django returns them."""
        bound = [
            it.output_field.get_db_prep_save(values[it.name], connection) if isinstance(it, Parameter) else it
            for it in self.parameters
        ]
        with connection.cursor() as cursor:
            cursor.execute(self.text, bound)
            rows: Iterable[Any] = cursor.fetchall()
        if self.converters:
            rows = self.compiler.apply_converters(rows, self.converters)
        return list(rows)


class Select:
    """A query for values of jobs."""

    def __init__(self, build: Callable[[], QuerySet[Job, Any]]) -> None:
        """Take a function that returns the query, made by values_list(), with Parameters."""
        self._build = build

    @cached_property
    def _compiled(self) -> Compiled:
        compiler = self._build().query.get_compiler(connection=connection)
        text, parameters = compiler.as_sql()
        return Compiled(text, tuple(parameters), compiler, _converters(compiler))

    def __call__(self, **values: Any) -> list[Any]:
        """Execute the query with these values of the Parameters, and return tuples. Raises DatabaseError."""
        return self._compiled.execute(values)


class Update:
    """A change of jobs. The same statement changes the rows and returns them with their new values."""

    def __init__(self, build: Callable[[], tuple[QuerySet[Job], dict[str, Any]]]) -> None:
        """Take a function that returns the rows to change, and their new values by column. Both may contain
        Parameters.
        """
        self._build = build

    @cached_property
    def _compiled(self) -> Compiled:
        rows, columns = self._build()
        query: Any = rows.order_by().query.chain(UpdateQuery)
        query.add_update_values(columns)
        with transaction.atomic():  # Django compiles a subquery with FOR UPDATE only in a transaction
            text, parameters = query.get_compiler(connection=connection).as_sql()
        return _returning_jobs(text, parameters)

    def __call__(self, **values: Any) -> list[Job]:
        """Execute the statement with these values of the Parameters, and return the jobs that it has changed.

        Raises DatabaseError.
        """
        return [_job(row) for row in self._compiled.execute(values)]


class Insert:
    """A new job. One statement writes the row, reads it, and wakes the dispatcher."""

    def __init__(self, build: Callable[[], Job]) -> None:
        """Take a function that returns the job, with Parameters as its attributes."""
        self._build = build

    @cached_property
    def _compiled(self) -> Compiled:
        query = InsertQuery(Job)
        query.insert_values(Job._meta.concrete_fields, [self._build()])
        [(text, parameters)] = query.get_compiler(connection=connection).as_sql()
        return _returning_jobs(text, parameters, and_notify=True)

    def __call__(self, **values: Any) -> Job:
        """Execute the statement with these values of the Parameters, and return the job. Raises DatabaseError."""
        [row] = self._compiled.execute(values)
        return _job(row)


def _returning_jobs(text: str, parameters: Iterable[Any], and_notify: bool = False) -> Compiled:
    """Return a statement that reads all columns of the rows that it writes, and may notify the dispatcher."""
    everything = Job.objects.order_by().query.get_compiler(connection=connection)
    everything.as_sql()
    wanted = [connection.ops.quote_name(name) for name in _COLUMNS]
    if and_notify and NOTIFY.get(connection.vendor):
        wanted.append(NOTIFY[connection.vendor])
    returning = f"{text} RETURNING {', '.join(wanted)}"
    return Compiled(returning, tuple(parameters), everything, _converters(everything))


def _job(row: Iterable[Any]) -> Job:
    return Job.from_db(connection.alias, _COLUMNS, list(row)[: len(_COLUMNS)])


def _converters(compiler: SQLCompiler) -> Any:
    """Return what turns the database's values of the compiled columns into those of Python."""
    return compiler.get_converters([column for column, *_ in compiler.select or ()])
