"""Names of objects: what Istio and Kubernetes accept, and a name for each host."""

import re

from hypothesis import given
from hypothesis import strategies as st

from dcmesh.model.object_names import gateway_name

LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
labels = st.from_regex(LABEL, fullmatch=True)


@given(labels, labels, labels)
def test_the_name_of_a_hosts_gateway_is_a_single_label(pod: str, service: str, namespace: str) -> None:
    assert re.fullmatch(LABEL, gateway_name(f"{pod}.{service}.{namespace}.dc1.dcmesh"))


def test_hosts_that_differ_in_any_part_have_gateways_of_their_own() -> None:
    hosts = ["a.b.c.dc1.dcmesh", "a.b-c.dc1.dcmesh", "a-b.c.dc1.dcmesh", "a.b.c.dc2.dcmesh", f"{'a' * 63}.c.dc1.dcmesh"]
    assert len({gateway_name(host) for host in hosts}) == len(hosts)
