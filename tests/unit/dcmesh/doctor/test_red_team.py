"""Faults that the design's red team found before the link was built, and the findings that show each of them now.

Some faults cannot be seen from outside; these have the reason instead of findings. This is only a map of names. The
tests of each hop show that its findings are found.
"""

from collections.abc import Sequence

import pytest

from dcmesh.doctor.hops import HOPS

SEEN: dict[str, Sequence[str]] = {
    "1 the server is connected to before the handshake": ["peer-unguarded"],
    "4 a port that no sidecar takes, of a pod that has one": ["inbound-not-captured"],
    "6 a mesh that allows nothing by default": ["not-allowed", "denied", "egress-denied"],
    "8 somebody else's Gateway at the port": ["foreign-gateway", "foreign-gateway-beside", "listener-refused"],
    "8 a server that istiod leaves out": ["chain-missing", "egress-port-missing"],
    "9 a name at the gateway that somebody else has": ["foreign-entry", "foreign-entry-beside"],
    "11 the egress gateway's ports": ["egress-port-missing", "egress-port-elsewhere", "foreign-gateway"],
    "12 names of the importing cluster's own": ["egress-name-claimed", "egress-name-elsewhere", "name-elsewhere"],
    "13 NetworkPolicies": ["network-closed", "egress-open"],
    "14 an EnvoyFilter without STRICT": ["peer-permissive", "listener-refused"],
    "15 a list that lets in anybody": ["others-admitted"],
    "21 a selector that finds another pod": ["pod-entry-wrong", "endpoint-missing"],
    "21 a second pod with the selector's labels": ["pod-not-alone"],
    "23 a Service without selector": ["endpoint-missing"],
}
UNSEEN = {
    "2 constraints of an intermediate": "all sites have one trust domain so far, and no constraints",
    "3 a trust domain that changes": "as above: there is no other to change to",
    "5 a Sidecar on a pod that is captured whole": "dcmesh writes none near pods that it has not made",
    "7 principals of the local domain": "as 2",
    "10 CRLs": "dcmesh uses none",
    "16 two sites of one trust domain": "all are of one; docs say what follows",
    "17 idle time-outs": "what an owner sets for its own sidecars is theirs; docs say what to set",
    "18 127.0.0.6 counts as local": "it is the server's own rule, behind what can be asked; docs warn",
    "19 consumers of a gateway share an address": "it is how a gateway works; docs warn",
    "20 the price of a sidecar": "docs tell it where `pod` is chosen",
    "22 a consumer more drains the links of a pod": "it is over before one can look; docs tell it",
}


@pytest.mark.parametrize("entry", SEEN)
def test_each_is_seen_by_findings_that_there_are(entry: str) -> None:
    known = {kind.id for hop in HOPS for kind in hop.kinds}
    assert set(SEEN[entry]) <= known


def test_no_entry_is_left_out() -> None:
    numbers = {int(entry.split()[0]) for entry in (*SEEN, *UNSEEN)}
    assert numbers == set(range(1, 24))
