"""Passwords of databases that other stacks hold."""

from collections.abc import Mapping

import pulumi

from dcmesh.model.value_types import is_password
from dcmesh.stacks import ReadStack, read_stack


def read_password(stack: str, site: str, export: str, read: ReadStack = read_stack) -> pulumi.Output[str]:
    """Return the password of a database in another stack.

    Raises:
        pulumi.RunError: that stack does not tell it, or it cannot be decrypted here.
    """
    told: object = read(stack).get("replicationPasswords")
    for key in (site, export):
        told = told.get(key) if isinstance(told, Mapping) else None
    if not isinstance(told, str) or not is_password(told):  # the engine leaves out what it cannot decrypt
        raise pulumi.RunError(
            f"the password of {site}/{export} is not in the outputs of {stack!r}, or cannot be decrypted here: run "
            "`pulumi up` there first, use its passphrase or secrets provider, or set the replica's replicationPassword"
        )
    return pulumi.Output.secret(told)
