"""Stacks: the states of the running stack and of others."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pulumi

from dcmesh.model.printable import printable
from dcmesh.model.settings import Peer, Settings
from dcmesh.pulumi_cli import pulumi as pulumi_cli
from dcmesh.pulumi_cli import read_state

ReadStack = Callable[[str], Mapping[str, Any]]


class NoStackError(LookupError):
    """There is no such stack."""


def stack_name(project: str, stack: str) -> str:
    """Return the whole name of a stack in the running stack's organization; without one, in Pulumi's default."""
    return f"{pulumi.get_organization() or 'organization'}/{project}/{stack}"


def read_stack(name: str) -> Mapping[str, Any]:
    """Return the outputs of another stack.

    It uses the invoke behind StackReference, whose answer is plain data at once. The number of hosts in a link decides
    which resources there are, and no resource may be created inside `apply`. Secrets of that stack that this one cannot
    decrypt are left out.

    Raises:
        NoStackError: there is no such stack.
        LookupError: its state cannot be read.
    """
    return _invoke("readStackOutputs", {"name": name})


def read_resources(stack: str) -> Mapping[str, Any]:
    """Return type and outputs of each resource in a stack's state by URN, its own state as well.

    It uses an invoke that is older than StackReference. Outputs do not suffice: an `up` that failed half-way may have
    left none.

    Raises:
        LookupError: Pulumi does not answer.
    """
    return _invoke("readStackResourceOutputs", {"stackName": stack})


def _invoke(function: str, arguments: Mapping[str, str]) -> Mapping[str, Any]:
    def read() -> Mapping[str, Any]:
        try:
            answer = pulumi.runtime.invoke(f"pulumi:pulumi:{function}", arguments).value
        except Exception as error:  # the SDK raises nothing more precise
            said = str(error)
            kind = NoStackError if "unknown stack" in said else LookupError
            reason = said.rpartition("returned an error: ")[2]
            raise kind(printable(" ".join(reason.split()))) from error
        return dict(answer["outputs"])

    return read_state(read)


def read_doomed(stack: str) -> set[str]:
    """Return the URNs of resources that the next `up` deletes, whatever the program says.

    A replacement that failed half-way leaves them in the state. No invoke shows them.

    Raises:
        LookupError: Pulumi's CLI does not answer.
    """
    exported = read_state(lambda: pulumi_cli("stack", "export", "--stack", stack))
    resources = json.loads(exported)["deployment"].get("resources") or []
    return {resource["urn"] for resource in resources if resource.get("delete")}


def stacks_met(settings: Settings, project: str) -> dict[str, str | None]:
    """Return the stack of each linked site of another stack; None if its link is in a file or the configuration."""
    own = {site.name for site in settings.sites}
    found: dict[str, str | None] = {
        consumer.site: stack_name(project, consumer.site)
        for site in settings.sites
        for export in site.exports
        for consumer in export.consumers
        if consumer.site not in own
    }
    return found | {
        peer.name: None if peer.link or peer.link_file else stack_of(peer, project) for peer in settings.peers
    }


def stack_of(peer: Peer, project: str) -> str:
    """Return the name of the stack that holds a peer."""
    return peer.stack or stack_name(project, peer.name)
