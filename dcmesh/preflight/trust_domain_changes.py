"""Trust domains that change: one step at a time, so that pods with the old one and with the new one accept each other.

The steps: add the new one as an alias, swap the two, drop the old one. Each step is checked before anything is created,
because the site's link changes even if its mesh does not.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dcmesh.config.environment import Environment, unreadable
from dcmesh.config.errors import Finding, Remark
from dcmesh.kube.api import ERRORS, ConfigException
from dcmesh.kube.kubeconfig import KubeconfigError, read_kubeconfig
from dcmesh.kube.proxies import MeshCluster, all_of, on_each
from dcmesh.model import settings as model
from dcmesh.model.certificates import CertificateHolder, common_name, identity
from dcmesh.model.component_names import export_name
from dcmesh.model.istio import TRUST_DOMAIN
from dcmesh.model.link import Consumer, ExportedService, ServiceAccount, trust_domain_of
from dcmesh.model.name_constraints import may_sign_for
from dcmesh.model.object_names import ingress_name
from dcmesh.model.plan import Plan, SitePlan
from dcmesh.sites_in_state import SiteInState
from dcmesh.stacks import NoStackError, ReadStack, read_resources, stack_name, stacks_met

HOW = 'docs/production.md, "Another trust domain"'

Outputs = Mapping[str, Any]


def changed(
    settings: model.Settings, plan: Plan, environment: Environment, in_state: Mapping[str, SiteInState]
) -> Iterator[Finding]:
    """Find changes of a site's trust domains that skip a step or come too early.

    Args:
        settings: the configuration.
        plan: what follows from it.
        environment: the project and stack in which the configuration is read.
        in_state: what the stack's state has of each site's cluster.

    Raises:
        ConfigError: the state of another stack cannot be read just now.
    """
    if not in_state:
        return
    others = Others(
        outputs=environment.own_outputs(),
        own=stack_name(environment.project, environment.stack),
        stacks=stacks_met(settings, environment.project),
        read=environment.read_stack,
    )
    for index, site in enumerate(settings.sites):
        known = in_state.get(site.name)
        if known and site.name != settings.lost:
            mesh = Mesh(site=site, known=known, existing=settings.istio.existing)
            told = others.outputs.get("sites", {}).get(site.name)
            had = tuple(told.get("trustDomains", (TRUST_DOMAIN,))) if told else _untold(site, mesh)
            yield from shut_out(f"sites[{index}]", plan.site(site.name), others)
            if had is None:
                advice = "is told by no `up` yet, and the mesh that is there cannot be asked which it has"
                yield Finding(f"sites[{index}].trustDomain", site.trust_domain, f"{advice}: see to it that it can")
            elif had != site.trust_domains:
                change = Change(path=f"sites[{index}]", site=site, plan=plan.site(site.name), had=had, mesh=mesh)
                yield from change.wrong(others)


def _untold(site: model.Site, mesh: "Mesh") -> tuple[str, ...] | None:
    """Return the trust domains of a site whose first `up` failed, perhaps late, and left no outputs.

    None if an existing cluster cannot be asked. A cluster that is created anew has none yet.
    """
    there = mesh.trust_domains
    if there is None and site.trust_domain != TRUST_DOMAIN and isinstance(site.cluster, model.ExistingCluster):
        return None
    return there if there and there[0] != site.trust_domain else site.trust_domains


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """The mesh of a site, to be asked.

    Attributes:
        site: the site's part of the configuration.
        known: what the stack's state has of its cluster.
        existing: its part of the configuration, if somebody else runs it.
    """

    site: model.Site
    known: SiteInState
    existing: model.ExistingIstio | None

    @property
    def _kubeconfig(self) -> str:
        cluster = self.site.cluster
        if isinstance(cluster, model.ExistingCluster):
            return read_kubeconfig(cluster.kubeconfig).only(cluster.context)
        return self.known.kubeconfig

    @property
    def trust_domains(self) -> tuple[str, ...] | None:
        """Its trust domain and its aliases; empty if there is no mesh, None if it cannot be asked."""
        try:
            return MeshCluster(self.site.name, self._kubeconfig).trust_domains(
                self.existing.revision if self.existing else "default"
            )
        except (*ERRORS, ConfigException, KubeconfigError):
            return None

    @property
    def holders(self) -> Sequence[CertificateHolder]:
        """The certificates of its proxies, and those in its Secret `cacerts`."""
        try:
            return on_each({self.site.name: self._kubeconfig}, all_of)
        except KubeconfigError as error:
            return [CertificateHolder(where=f"{self.site.name}'s cluster", unknown=str(error))]


@dataclass(frozen=True, kw_only=True)
class Others:
    """The sites at the other ends of links, as the states of their stacks show them.

    Outputs alone do not suffice: they say what an `up` wanted, and are written even if that `up` fails.

    Attributes:
        outputs: the outputs of the stack itself.
        own: its whole name.
        stacks: the stack of each site that another stack has; None if its link is in a file or the configuration.
        read: returns the outputs of a stack.
    """

    outputs: Outputs
    own: str
    stacks: Mapping[str, str | None]
    read: ReadStack

    @property
    def links(self) -> Mapping[str, Any]:
        """The links in the stack's own outputs."""
        links: Mapping[str, Any] = self.outputs.get("link", {})
        return links

    def resources(self, site: str) -> tuple[Mapping[str, Any], str]:
        """Return each resource of a site's stack by its name, or why they cannot be known.

        Raises:
            ConfigError: its stack cannot be read just now.
        """
        if not (stack := self.stacks.get(site, self.own)):
            return {}, "only its link is known"
        try:
            found = read_resources(stack)
        except NoStackError:
            return {}, f"there is no stack {stack}"
        except LookupError as error:
            raise unreadable(stack, error) from None
        if not found:
            return {}, f"{stack} has nothing"
        return {urn.rpartition("::")[2]: resource["outputs"] for urn, resource in found.items()}, ""

    def has(self, site: str) -> tuple[set[str], str]:
        """Return the trust domains that a site's pods may have, or why they cannot be known.

        If its last `up` saw all pods get new certificates there is one; otherwise each that the site has published.
        """
        resources, reason = self.resources(site)
        if reason:
            return set(), reason
        if settled := resources.get(f"{site}-certificates"):
            return {*(list(settled.get("triggers") or ())[SETTLED:] or [TRUST_DOMAIN])}, ""
        try:
            told = self.read(self.stacks.get(site) or self.own).get("sites", {}).get(site, {})
        except LookupError as error:
            raise unreadable(self.stacks.get(site) or self.own, error) from None
        return {*told.get("trustDomains", (TRUST_DOMAIN,))}, ""


SETTLED = 3
"""The index of the trust domain among the triggers of the Command that waits for new certificates."""


def _unaccepted(resources: Mapping[str, Any], site: str, old: str, new: str) -> bool:
    """Tell whether anything in a stack still accepts a site by its old trust domain alone."""
    for outputs in resources.values():
        spec, name = outputs.get("spec") or {}, (outputs.get("metadata") or {}).get("name", "")
        hosts = [name, *(spec.get("hosts") or ()), spec.get("host") or ""] if isinstance(spec, Mapping) else []
        if not any(host.startswith(f"{site}.") or host.endswith(f".{site}.dcmesh") for host in map(str, hosts)):
            continue
        for names in _lists(spec):
            wanted = {f"spiffe://{new}/{one.removeprefix(f'spiffe://{old}/')}" for one in names if f"//{old}/" in one}
            if wanted - {*names}:
                return True
    return False


def _lists(spec: object) -> Iterator[Sequence[str]]:
    """Yield each list of accepted names in a spec."""
    if isinstance(spec, Mapping):
        for key, value in spec.items():
            if key == "subjectAltNames" and isinstance(value, Sequence):
                yield [str(one) for one in value]
            else:
                yield from _lists(value)
    elif isinstance(spec, list):
        for part in spec:
            yield from _lists(part)


def _lets_in(resources: Mapping[str, Any], site: str, export: ExportedService, account: ServiceAccount) -> bool:
    """Tell whether a site's export, according to its stack's state, lets in an account of a trust domain."""

    def text(name: str) -> str:
        return str((resources.get(name.lower()) or {}).get("spec", ""))

    if export.termination == "gateway":
        served = [name for of in export.by_port for name in of.server_names]
        filters = [text(of) for of in resources if any(of.startswith(f"{site}.{n}-envoyfilter.") for n in served)]
        return bool(filters) and all(f"'{account.spiffe_id}'" in of for of in filters)
    name = export_name(site, export.name)
    named = [account.principal, f"*/ns/{account.namespace}/sa/{account.name}"]
    if export.ingress:
        own_name = ingress_name(export)
        policy, handshake = (text(f"{name}-{kind}-{own_name}") for kind in ("authorizationpolicy", "envoyfilter"))
        return f"'{account.spiffe_id}'" in handshake and any(f"'{one}'" in policy for one in named)
    policy = text(f"{name}-authorizationpolicy-{export.name}-consumers")
    handshake = text(f"{name}-envoyfilter-{export.name}-trust-domains")
    own = account.trust_domains[0] == export.trust_domains[0]
    first = text(f"{name}-envoyfilter-{export.name}-connect-after-handshake")
    if first and f"'{account.spiffe_id}'" not in first:
        return False
    taken = own or f"'{account.spiffe_id}'" in handshake or f"'spiffe://{account.trust_domains[0]}/'" in handshake
    return taken and any(f"'{one}'" in policy for one in named)


def shut_out(path: str, plan: SitePlan, others: Others) -> Iterator[Finding]:
    """Find consumers of other stacks that would no longer be let in by the trust domain that their site has."""
    for index, export in enumerate(plan.exports):
        told = _export(others.links, plan.name, export.name)
        before = {_name(of): of for of in map(Consumer.model_validate, told["consumers"] if told else ())}
        for consumer in export.consumers:
            had = before.get(_name(consumer))
            gone = {*had.account.trust_domains} - {*consumer.account.trust_domains} if had else set()
            if not gone or consumer.site not in others.stacks:
                continue
            where, who = f"{path}.exports[{index}].name", f"{consumer.account} of {consumer.site}"
            has, reason = others.has(consumer.site)
            if reason:
                advice = (
                    f"lets {who} in no more as one of {' or '.join(sorted(gone))}, and whether it is cannot be seen"
                )
                yield Remark(where, export.name, f"{advice} from here ({reason})")
            elif kept := sorted(has - {*consumer.account.trust_domains}):
                advice = f"would shut out {who}, whose pods may have the trust domain {' or '.join(kept)}"
                yield Finding(where, export.name, f"{advice}: keep it among its `trustDomains` ({HOW})")


def _name(consumer: Consumer) -> tuple[str, ServiceAccount]:
    return consumer.site, consumer.account


def alike(path: str, plan: SitePlan) -> Iterator[Remark]:
    """Warn of imports from two sites that have the same trust domain."""
    owners = dict[str, str]()
    for index, imported in enumerate(plan.imports):
        for domain in imported.export.trust_domains if imported.export else ():
            other = owners.setdefault(domain, imported.source)
            if domain != TRUST_DOMAIN and other != imported.source:
                advice = f"has the trust domain {domain}, as {other} has: nobody can tell the pods of the two apart"
                yield Remark(f"{path}.imports[{index}].from", imported.source, advice)


def refused(site: model.Site, path: str, plan: SitePlan) -> Iterator[Remark]:
    """Warn of imports whose exporter does not let in accounts of this site's trust domain."""
    for index, imported in enumerate(plan.imports):
        account = ServiceAccount(imported.namespace, imported.service_account)
        for consumer in imported.export.consumers if imported.export else ():
            accepted = consumer.account.trust_domains
            if (consumer.site, consumer.account) == (site.name, account) and site.trust_domain not in accepted:
                advice = (
                    f"is let in by {imported.source} as one of {' and '.join(accepted)}, and {site.name} has the trust "
                    f"domain {site.trust_domain}: add that to the consumer's `trustDomains` there"
                )
                yield Remark(f"{path}.imports[{index}].serviceAccount", imported.service_account, advice)


@dataclass(frozen=True, kw_only=True)
class Change:
    """A site whose trust domains differ from those of the last `up`.

    Attributes:
        path: its place in the configuration.
        site: its part of the configuration.
        plan: its part of the plan.
        had: its trust domains at the last `up`.
        mesh: its mesh.
    """

    path: str
    site: model.Site
    plan: SitePlan
    had: tuple[str, ...]
    mesh: Mesh

    def wrong(self, others: Others) -> Iterator[Finding]:
        """Find reasons why the change must not be made now."""
        old, new = self.had[0], self.site.trust_domain
        if new not in self.had:
            yield self._finding(f"is new: first add it as `trustDomainAlias` beside {old} ({HOW})")
        elif old not in self.site.trust_domains:
            yield self._finding(f"would take the place of {old} at once: first keep that as `trustDomainAlias` ({HOW})")
        else:
            if new != old:
                yield from self._not_yet_counting()
                yield from self._not_yet_accepted(others)
            if new != old or {*self.had} - {*self.site.trust_domains}:
                yield from self._in_use()

    def _finding(self, advice: str) -> Finding:
        return Finding(f"{self.path}.trustDomain", self.site.trust_domain, advice)

    def _not_yet_counting(self) -> Iterator[Finding]:
        """Find out whether the mesh itself lacks one of the two: outputs only say what an `up` wanted."""
        there, new = self.mesh.trust_domains, self.site.trust_domain
        if there is None:
            yield self._finding("is to be swapped, and its mesh cannot be asked what it takes: see to it that it can")
            return
        missing = {*self.site.trust_domains} - {*there}
        if not missing and self.mesh.existing and there[0] != new:
            yield self._finding(f"is not yet that of the mesh, which is {there[0]}: set meshConfig.trustDomain first")
        if missing:
            advice = (
                f"is to be swapped, and the mesh does not take {' and '.join(sorted(missing))} yet: run `pulumi up`"
            )
            yield self._finding(f"{advice} with it as `trustDomainAlias` first ({HOW})")

    def _not_yet_accepted(self, others: Others) -> Iterator[Finding]:
        """Find the other ends of links that do not accept the new trust domain, as far as can be seen."""
        old, new = self.had[0], self.site.trust_domain
        for imported in self.plan.imports:
            if (export := imported.export) is None:
                continue
            account = ServiceAccount(imported.namespace, imported.service_account, (new,))
            resources, reason = others.resources(imported.source)
            told = any(of.account == account and new in of.account.trust_domains for of in export.consumers)
            if not told or not (reason or _lets_in(resources, imported.source, export, account)):
                yield self._finding(
                    f"is not accepted by {imported.source} yet, of {account} at its export {imported.name}: first run "
                    f"`pulumi up` there with it in the consumer's `trustDomains` ({HOW})"
                )
        for site in sorted({of.site for export in self.plan.exports for of in export.consumers}):
            resources, reason = others.resources(site)
            if reason:
                advice = f"must be accepted by {site} first, which cannot be seen from here ({reason}): see {HOW}"
                yield Remark(f"{self.path}.trustDomain", new, advice)
            elif _unaccepted(resources, self.site.name, old, new):
                yield self._finding(f"is not accepted by {site} yet, at its imports: first run `pulumi up` there")

    def _in_use(self) -> Iterator[Finding]:
        """Find pods whose trust domain is to go, and an authority that may not sign for the new one."""
        going = {*self.had} - {*self.site.trust_domains}
        for holder in self.mesh.holders:
            of = trust_domain_of(identity(holder.chain[0])) if holder.chain else ""
            if holder.unknown:
                advice = f"changes, and {holder.where} cannot be asked for its certificate ({holder.unknown})"
                yield self._finding(f"{advice}: see to it that it can, or remove it")
            elif of in going:
                yield self._finding(f"is to be the only one, and {holder.where} still has {of}: restart its pod first")
            elif not of and not may_sign_for(holder.chain, self.site.trust_domain):
                name = common_name(holder.chain[0])
                yield self._finding(f"is none for which {name} may sign: first have one issued that may ({HOW})")


def _export(links: Mapping[str, Any], site: str, name: str) -> Mapping[str, Any] | None:
    """Return an export of a site from the links; None if they do not have it."""
    exports = links.get(site, {}).get("exports", ())
    return next((export for export in exports if export["name"] == name), None)
