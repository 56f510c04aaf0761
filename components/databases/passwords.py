"""Passwords: of the databases that dcmesh runs, one for both ends of each replication channel."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from dcmesh.databases.peer_passwords import read_password
from dcmesh.model import settings as model
from dcmesh.model.plan import DatabasePlan, PasswordOrigin, Plan
from dcmesh.stacks import stack_of

from ..databases.generated_password import generated_password


@dataclass(frozen=True, kw_only=True)
class ReplicationPasswordsArgs:
    """Arguments of ReplicationPasswords.

    Attributes:
        settings: the stack's configuration, which has those that are given.
        plan: what follows from it.
        project: name of the Pulumi project, from which the names of peers' stacks follow.
    """

    settings: model.Settings
    plan: Plan
    project: str


class ReplicationPasswords(pulumi.ComponentResource):
    """The password of `replication` for each database of the stack.

    A password that the configuration gives is used. Otherwise one is generated for a primary, and a replica uses that
    of the database which it follows: from this stack, or from the output `replicationPasswords` of the stack that holds
    it.

    Creates:
        - `tls.PrivateKey` for each password that is generated.
    """

    by_export: Mapping[str, Mapping[str, pulumi.Output[str]]]
    """By site and export: what replicas in other stacks look for."""

    def __init__(self, name: str, args: ReplicationPasswordsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:ReplicationPasswords", name, {}, opts)
        self._args = args
        planned = [database for site in args.plan.sites for database in site.databases]
        self._generated = {
            (of.site, of.of): generated_password(
                f"{name}.{of.site}.{of.of}", self, protect=args.plan.site(of.site).protected
            )
            for of in dict.fromkeys(database.password for database in planned)
            if of and of.how == "generated"
        }
        by_export = {
            site.name: {
                export: password
                for export, database in site.exported_databases.items()
                if (password := self.of(args.plan.site(site.name).database(database.namespace))) is not None
            }
            for site in args.settings.sites
        }
        self.by_export = {site: passwords for site, passwords in by_export.items() if passwords}
        self.register_outputs({})

    def of(self, database: DatabasePlan) -> pulumi.Output[str] | None:
        """Return the password of a database; None while the stack of what it follows exports nothing yet.

        Raises:
            pulumi.RunError: the stack that holds the source does not tell it.
        """
        match database.password:
            case None:
                return None
            case PasswordOrigin(how="generated", site=site, of=namespace):
                return self._generated[site, namespace]
            case PasswordOrigin(how="given", site=site, of=namespace):
                return pulumi.Output.secret(self._given(site, namespace))
            case PasswordOrigin(site=peer, of=export):
                stacks = {known.name: stack_of(known, self._args.project) for known in self._args.settings.peers}
                return read_password(stacks[peer], peer, export)

    def _given(self, site: str, namespace: str) -> str:
        (given,) = (
            workload.replication_password.get_secret_value()
            for known in self._args.settings.sites
            for workload in known.workloads
            if (known.name, workload.namespace) == (site, namespace)
            if isinstance(workload, model.Database) and workload.replication_password
        )
        return given
