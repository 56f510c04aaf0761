"""Databases for tests: their part of the plan, and arguments of which a test sets only those that matter to it."""

from dataclasses import fields, replace
from typing import Any, TypeVar

from components.databases.mariadb import MariadbArgs
from components.databases.pxc import PxcArgs
from dcmesh.model.plan import DatabasePlan

Args = TypeVar("Args", MariadbArgs, PxcArgs)


def alone(*, site: str, namespace: str, name: str, kind: str, channel: str = "") -> DatabasePlan:
    """Return the plan of a database that follows nothing."""
    return DatabasePlan(
        site=site,
        namespace=namespace,
        name=name,
        kind=kind,
        role="primary",
        source=None,
        source_site=None,
        channel=channel,
        partner=None,
        switchover=None,
        password=None,
        servers=(),
        sidecar=True,
        egress="sidecar",
    )


def changed(args: Args, changes: dict[str, Any]) -> Args:
    """Return arguments with changes: of the configuration, the plan, both, or of the arguments themselves."""
    own = {field.name for field in fields(args)}
    planned = {field.name for field in fields(args.plan)}
    configured = type(args.database).model_fields.keys() - own
    assert changes.keys() <= own | planned | configured
    raw = args.database.model_dump(exclude_unset=True) | {key: changes[key] for key in configured & changes.keys()}
    return replace(
        args,
        database=type(args.database).model_validate(raw),
        plan=replace(args.plan, **{key: changes[key] for key in planned & changes.keys()}),
        **{key: changes[key] for key in own & changes.keys()},
    )
