"""Passwords: of the databases that dcmesh runs, one for both ends of each replication channel."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from components.databases.generated_password import generated_password
from dcmesh.databases.passwords import read_password
from dcmesh.model import settings as model
from dcmesh.model.link import Link
from dcmesh.stacks import stack_of


@dataclass(frozen=True, kw_only=True)
class ReplicationPasswordsArgs:
    """Arguments of ReplicationPasswords.

    Attributes:
        settings: the stack's configuration.
        peer_links: the links of sites that other stacks hold.
        project: name of the Pulumi project, from which the names of peers' stacks follow.
    """

    settings: model.Settings
    peer_links: Mapping[str, Link]
    project: str


class ReplicationPasswords(pulumi.ComponentResource):
    """The password of `replication` for each database of the stack.

    One that is given is taken. Else a primary has one generated, and a replica takes that of the database which it
    follows: from this stack, or from the output `replicationPasswords` of the stack that holds it.

    Creates:
        - `tls.PrivateKey` for each password that is generated.
    """

    by_export: Mapping[str, Mapping[str, pulumi.Output[str]]]
    """By site and export: what replicas in other stacks look for."""

    def __init__(self, name: str, args: ReplicationPasswordsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:ReplicationPasswords", name, {}, opts)
        self._args = args
        self._generated = {
            (site.name, workload.namespace): generated_password(
                f"{name}.{site.name}.{workload.namespace}", self, protect=args.settings.protects(site)
            )
            for site in args.settings.sites
            for workload in site.workloads
            if isinstance(workload, model.Database)
            if args.settings.origin_of(site, workload) == (site, workload)
            if not workload.replication_password
            if not workload.replicates or args.settings.source_of(workload)
        }
        by_export = {
            site.name: {
                export: password
                for export, database in site.exported_databases.items()
                if (password := self.of(site, database)) is not None
            }
            for site in args.settings.sites
        }
        self.by_export = {site: passwords for site, passwords in by_export.items() if passwords}
        self.register_outputs({})

    def of(self, site: model.Site, database: model.Database) -> pulumi.Output[str] | None:
        """Return the password of a database; None while the stack of what it follows exports nothing yet.

        Raises:
            pulumi.RunError: the stack that holds the source does not tell it.
        """
        site, database = self._args.settings.origin_of(site, database)
        if database.replication_password:
            return pulumi.Output.secret(database.replication_password.get_secret_value())
        if (site.name, database.namespace) in self._generated:
            return self._generated[site.name, database.namespace]
        if database.replicates is None or database.replicates.from_ not in self._args.peer_links:
            return None
        peers = {peer.name: stack_of(peer, self._args.project) for peer in self._args.settings.peers}
        return read_password(peers[database.replicates.from_], database.replicates)
