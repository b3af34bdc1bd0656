"""Commands that maintainers run need files that the installed package does not carry."""

from __future__ import annotations

from importlib.util import find_spec

from sightstream.infra.errors import CommandError

LAB = "sightstream.infra.lab"


class CheckoutNeededError(CommandError):
    """The command needs a checkout of the repository. Exit code 2."""

    exit_code = 2


def require_checkout(command: str) -> None:
    """Raise CheckoutNeededError when this is an installed package without the folder for maintainers."""
    if find_spec(LAB) is None:
        raise CheckoutNeededError(
            f"`sightstream {command}` needs a checkout of the repository: the installed package leaves its files out"
        )
