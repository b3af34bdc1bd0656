"""`sightstream task`: lists and shows tasks, and checks one before it is published."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from sightstream.infra.errors import CommandError

if TYPE_CHECKING:
    from sightstream.producers.tasks.task import Task
    from sightstream.schemas.wire.question import Question

app = typer.Typer(help="List, show and check tasks.", no_args_is_help=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
TaskArgument = Annotated[str, typer.Argument(metavar="TASK", help="A task file (.toml), or the name of a ready task.")]


@app.command("list")
def list_tasks(as_json: JsonOption = False) -> None:
    """List the tasks that come with the package."""
    from sightstream.producers.tasks.read import read_task, ready_tasks

    tasks = [read_task(path) for path in ready_tasks()]
    if as_json:
        print(json.dumps({task.name: task.description for task in tasks}))
        return
    width = max(len(task.name) for task in tasks)
    print("\n".join(f"{task.name:<{width}}  {task.description}" for task in tasks))


@app.command()
def show(name: TaskArgument, as_json: JsonOption = False) -> None:
    """Print the file of a task, such as a ready one to begin your own from; with --json what is asked.

    Exits 2 when the task has a problem.
    """
    from sightstream.infra.cli.task_report import asked
    from sightstream.producers.tasks.read import task_path

    task = load_task(name)
    if as_json:
        print(json.dumps(asked(task)))
    else:
        print(task_path(name).read_text(encoding="utf-8-sig"), end="")


@app.command()
def check(
    name: TaskArgument,
    requests: Annotated[int, typer.Option(min=1, help="How many requests the cost is for.")] = 1_000_000,
    gpu_hour_price: Annotated[
        float | None, typer.Option(min=0, help="Price of an hour of one GPU, in any currency.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a task as publisher and worker do, and estimate what it costs at most.

    Exits 2 when the task has a problem, which is named with the key to change.
    """
    from sightstream.infra.cli.task_report import cost_report, print_report

    task = load_task(name)
    compiled = {"formats_compiled": _compile_formats(task)}
    report = compiled | cost_report(task, requests, gpu_hour_price)
    if as_json:
        print(json.dumps(report))
    else:
        print_report(task, report)


def load_task(name: str) -> Task:
    """Return the task; a problem ends the command with exit code 2."""
    from sightstream.producers.errors import TaskError
    from sightstream.producers.tasks.read import find_task

    try:
        return find_task(name)
    except TaskError as error:
        raise WrongTask(str(error)) from None


class WrongTask(CommandError):
    """The task has a problem; nothing was published."""

    exit_code = 2


def _compile_formats(task: Task) -> bool:
    """Return whether every format was compiled as a worker does; False where the worker's packages are missing."""
    try:
        for at, question in enumerate(task.questions):
            _compile_format(question, f"{task.name}: questions.{at}")
    except ImportError:
        return False
    return True


def _compile_format(question: Question, path: str) -> None:
    from sightstream.pipeline.constraints.format_check import check_format
    from sightstream.pipeline.errors import Rejected

    try:
        check_format(question.response_format)
    except Rejected as error:
        raise WrongTask(f"{path}: {question.id}: {error}") from None
