"""The walk: from hop to hop, up to the first broken one."""

from collections.abc import Iterator, Mapping, Sequence

from dcmesh.doctor.evidence import Evidence
from dcmesh.doctor.findings import Diagnosis, ElsewhereError, HopFinding, Outcome, Report, Step, UnseenError
from dcmesh.doctor.hop import Hop
from dcmesh.doctor.hops import HOPS
from dcmesh.doctor.walked_link import WalkedLink
from dcmesh.kube.api import ERRORS, why
from dcmesh.model.facts import State
from dcmesh.screen import counted
from dcmesh.sites_in_outputs import DeployedSite


def examine(sites: Sequence[DeployedSite], host: str | None = None) -> Report:
    """Walk every host of every link of a stack, or one host's.

    Args:
        sites: the stack's sites.
        host: the host. Default: all.
    """
    evidence = {site.name: Evidence(site) for site in sites}
    links = list(links_of(evidence))
    chosen = [link for link in links if host in (None, link.host)]
    if not chosen:
        pending = " ".join(f"{site.name} waits for {' '.join(site.pending)}." for site in sites if site.pending)
        hosts = " ".join(dict.fromkeys(link.host for link in links)) or "none"
        what = f"no link has the host {host}; it may be one of: {hosts}" if host else "the stack links no sites"
        return Report(unreadable=f"{what}. {pending}".strip())
    return Report(diagnoses=tuple(walk(link) for link in counted("walking to each host", chosen)))


def links_of(sides: Mapping[str, Evidence]) -> Iterator[WalkedLink]:
    """Yield all links that have at least one side in the stack.

    Args:
        sides: its sites by name.
    """
    for name, side in sides.items():
        for account, imports in side.site.accounts.items():
            for export in imports:
                for host in export.hosts:
                    yield WalkedLink(
                        export=export,
                        host=host,
                        consumer_site=name,
                        account=account,
                        consumer_side=side,
                        source_side=sides.get(export.source),
                    )
        for export in side.site.exports:
            for consumer in export.consumers:
                for host in export.hosts if consumer.site not in sides else ():
                    yield WalkedLink(
                        export=export,
                        host=host,
                        consumer_site=consumer.site,
                        account=consumer.account,
                        consumer_side=None,
                        source_side=side,
                    )


def walk(link: WalkedLink, hops: Sequence[Hop] = HOPS) -> Diagnosis:
    """Look at a link hop by hop, up to the first broken one."""
    steps = list[Step]()
    for hop in hops:
        if hop.egress and hop.egress != link.egress:
            continue
        site = link.consumer_site if hop.side == "consumer" else link.export.source
        if steps and any(step.outcome == "broken" for step in steps):
            steps.append(Step(hop=hop.name, site=site, outcome="not reached"))
        else:
            steps.append(_step(hop, site, link))
    return Diagnosis(
        host=link.host,
        port=link.export.port,
        source=link.export.source,
        consumer=f"{link.consumer_site} {link.account}",
        steps=tuple(steps),
    )


def _step(hop: Hop, site: str, link: WalkedLink) -> Step:
    found, reason = list[HopFinding](), ""
    outcome: Outcome = "passed"
    try:
        for finding in hop.look(link):
            found.append(finding)
            if finding.state == State.CRITICAL:
                outcome = "broken"
                break
    except ElsewhereError as error:
        outcome, reason = "elsewhere", f"ask {error}: run `python -m dcmesh doctor` there"
    except UnseenError as error:
        outcome, reason = "unseen", str(error)
    except ERRORS as error:
        outcome, reason = "unseen", why(error)
    return Step(hop=hop.name, site=site, outcome=outcome, findings=tuple(found), why=reason)
