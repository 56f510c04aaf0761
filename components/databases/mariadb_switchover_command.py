"""The Command that gives MariaDBs that can change roles the roles of the configuration."""

from collections.abc import Sequence

import pulumi

from dcmesh.model.switchover import Switchover
from dcmesh.verbs import KUBECONFIGS

from ..databases.mariadb import Mariadb
from ..verb_command import run_verb


def switchover_command(
    name: str, databases: Sequence[Mariadb], begun: pulumi.CustomResource, opts: pulumi.ResourceOptions
) -> pulumi.Resource:
    """Create the Command that gives databases their roles, or fails with the reason if that would not be safe.

    If both databases are in one stack, one Command does both: with two Commands, neither could finish before the other.

    Args:
        name: prefix of the resource's name.
        databases: both, or one where the other is another stack's, or is gone.
        begun: what is made anew whenever something else is wanted of them. Then it runs again.
        opts: options of the resource.
    """
    plans = [database.plan for database in databases]
    ends = [word for plan in plans for word in ("--site", f"{plan.site}/{plan.namespace}/{plan.name}")]
    other = ["--other", plans[0].source_site or ""] if len(plans) == 1 else []
    return run_verb(
        f"{name}-switchover",
        *("switchover", *ends, *other, *words(plans[0].switchover)),
        environment=dict(zip(KUBECONFIGS, (database.kubeconfig for database in databases), strict=False)),
        # Another StatefulSet has servers that have no role yet.
        triggers=[begun.id, *(database.uid for database in databases)],
        opts=pulumi.ResourceOptions.merge(
            opts, pulumi.ResourceOptions(depends_on=[database.rolled_out for database in databases])
        ),
    )


def words(switchover: Switchover | None) -> list[str]:
    """Return what is wanted, as words of a command line; those that are empty are left out."""
    options = {f"--{name}": value for name, value in vars(switchover).items()} if switchover else {}
    return [word for option in options.items() if option[1] for word in option]
