"""Purposes: from one `up` to the next, a namespace must not change its purpose."""

from typing import Any

import pytest

from dcmesh.config import ConfigError
from dcmesh.config.environment import Environment
from dcmesh.model.plan import plan_of
from dcmesh.model.settings import Settings
from dcmesh.preflight.readiness import require_ready
from dcmesh.sites_in_state import SiteInState
from dcmesh.user_files import read_file
from tests.unit.configurations import changed

MARIADB = {"kind": "mariadb", "namespace": "wookie"}


def look(changes: dict[str, Any], *held: tuple[str, str]) -> list[str]:
    """Return the findings for a stack whose state has these Namespaces, by their names in the state."""
    settings = Settings.model_validate(changed("mariadb-egress", changes))
    urn = "urn:pulumi:s::dcmesh::x$kubernetes:core/v1:Namespace::"
    objects = {f"{urn}{name}": ("", namespace) for name, namespace in held}
    known = SiteInState(identity=None, kubeconfig="", made_by="k3d", objects=objects)
    environment = Environment("dcmesh", "s", lambda _: {}, read_file)
    try:
        require_ready(settings, plan_of(settings, {}), environment, {"dc1": known, "dc2": known})
    except ConfigError as error:
        return [line.strip().partition(": ")[0] for line in str(error).splitlines()[1:]]
    return []


EGRESS, HOSTS = ("dc2-egress.dcmesh-egress-namespace", "dcmesh-egress"), ("dc2-hosts.wookie-namespace", "wookie")


def test_what_stays_as_it_is_is_well() -> None:
    own = ("dc1.wookie-namespace", "wookie")  # of the exporting site, whose database is in it
    assert look({}, EGRESS, HOSTS, own, ("dc1-gateway.dcmesh-gateway-namespace", "dcmesh-gateway")) == []
    assert look({}) == []


@pytest.mark.parametrize(
    ("changes", "held", "where"),
    [
        (
            {"sites[1].imports": [], "sites[1].workloads": [MARIADB]},
            HOSTS,
            "sites[1].workloads[0].namespace",
        ),
        ({}, ("dc2.wookie-namespace", "wookie"), "sites[1].imports[0].hostNamespace"),
        ({}, ("dc2-egress.wookie-namespace", "wookie"), "sites[1].imports[0].hostNamespace"),
        ({}, ("dc2.dcmesh-egress-namespace", "dcmesh-egress"), "sites[1].imports[0].namespace"),
        ({}, ("dc1-hosts.wookie-namespace", "wookie"), "sites[0].workloads[0].namespace"),
        ({}, ("dc2-pxc-operator-namespace", "wookie"), "sites[1].imports[0].hostNamespace"),
        ({"sites[0].gateway.namespace": "gw"}, ("dc1-egress.gw-namespace", "gw"), "sites[0].gateway.namespace"),
    ],
)
def test_a_namespace_that_would_be_created_as_the_one_and_deleted_as_the_other_is_refused(
    changes: dict[str, Any], held: tuple[str, str], where: str
) -> None:
    assert look(changes, held) == [where]
