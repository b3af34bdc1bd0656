"""`sightstream doctor`: looks at everything that a pipeline stands on, and says what to change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

ROLES = ("publisher", "bulk-publisher", "worker", "store", "redrive", "lag")


def doctor(
    *,
    role: Annotated[
        list[str] | None,
        typer.Option(
            "--role", help=f"Only what this role needs: {', '.join(ROLES)}; may be repeated. Unset: all of them."
        ),
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option("--skip", help="An area to leave out, such as image, which loads the model; may be repeated."),
    ] = None,
    image: Annotated[
        str | None, typer.Option(help="URI of an image to ask about, s3:// or https://; unset: one of our own.")
    ] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Folder of a checkpoint; unset: as in [engine].")] = None,
    weights_sha256: Annotated[
        str | None, typer.Option("--weights-sha256", help="Digest that the checkpoint's weights must have.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Look at settings, Kafka, permissions, S3, disks, database, model and GPU, and put one image through.

    Exits 0 when all is good, 1 with findings, each with what to do. Nothing on Kafka is changed; in the bucket of [s3]
    a small object is written and deleted.
    """
    from sightstream.infra.doctor.doctor import AREAS, Options, areas
    from sightstream.infra.doctor.report import as_document, as_lines, examine
    from sightstream.infra.doctor.roles import Role
    from sightstream.infra.logs import log_nothing

    _check_names("--role", role or [], ROLES)
    _check_names("--skip", skip or [], AREAS)
    log_nothing()
    roles = frozenset(map(Role, role or ROLES))
    options = Options(roles, frozenset(skip or ()), image, weights_sha256, checkpoint)
    reports = []
    for area in areas(options):
        reports.append(examine(area))
        if not as_json:
            print("\n".join(as_lines(reports[-1])), flush=True)
    count = sum(len(report.findings) for report in reports)
    print(json.dumps(as_document(reports)) if as_json else f"\n{count} finding(s)", flush=True)
    raise typer.Exit(1 if count else 0)


def _check_names(option: str, given: list[str], known: tuple[str, ...]) -> None:
    if unknown := sorted(set(given) - set(known)):
        raise typer.BadParameter(f"{', '.join(unknown)}; known: {', '.join(known)}", param_hint=option)
