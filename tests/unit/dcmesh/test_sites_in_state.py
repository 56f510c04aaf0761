"""What the stack's state says of a site. tests/unit/dcmesh/preflight tests what preflight concludes from it."""

import pytest

from dcmesh.model.ownership_marks import MADE_BY
from dcmesh.model.settings import Settings
from dcmesh.sites_in_state import SiteInState, meshed_namespaces, read_sites_in_state
from tests.unit.configurations import stack
from tests.unit.program import program_of
from tests.unit.servers import KUBE_SYSTEM

((_, NAMESPACE),) = KUBE_SYSTEM.items()


def test_the_state_tells_of_objects_and_of_the_stacks_that_they_name(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = {"kubeconfig": "", "clusterIdentifier": NAMESPACE["metadata"]["uid"]}
    entry = {"metadata": {"name": "dc1.db", "namespace": "dr", "annotations": {MADE_BY: "organization/dcmesh/before"}}}
    outputs = {
        "urn::a::dc2-cluster-kubernetes": provider,
        "urn::b::entry": entry,
        "urn::c::namespace": {"metadata": {"name": "dr"}},
        "urn::d::unreadable": {"metadata": None},
    }
    state = {urn: {"outputs": told} for urn, told in outputs.items()}
    monkeypatch.setattr("dcmesh.sites_in_state.read_resources", lambda _: state)
    settings = Settings.model_validate({"sites": [{"name": "dc2", "cluster": "k3d"}]})
    found = read_sites_in_state(settings, "dcmesh", "dc2")["dc2"]
    assert found.objects == {"urn::b::entry": ("dr", "dc1.db"), "urn::c::namespace": ("", "dr")}
    assert found.stacks == {"organization/dcmesh/before"}


def test_namespaces_are_told_in_which_exports_or_imports_needed_sidecars() -> None:
    names = {
        "dc1.export.db-peerauthentication-db-strict": ("wookie", "db-strict"),
        "dc2.export.db-peerauthentication-db-strict": ("of-dc2", "db-strict"),
        "dc1-imports.reports-sidecar": ("reports", "default"),
        "dc2-imports.of-dc2-sidecar": ("of-dc2", "default"),
        "dc1.db-0.db.bare.dc1.dcmesh-serviceentry.bare": ("bare", "db-0.db.bare.dc1.dcmesh"),
    }
    known = SiteInState(identity="uid", kubeconfig="", objects={f"urn::{name}": at for name, at in names.items()})
    assert meshed_namespaces("dc1", known) == {"wookie", "reports"}
    assert meshed_namespaces("dc1", None) == frozenset()


def test_they_are_told_by_the_names_that_the_program_gives() -> None:
    """The names of dcmesh 0.1.0 count too."""
    objects = {f"urn::{name}": of.object for name, of in program_of(stack("mariadb")).asked.items() if of.object[1]}
    known = SiteInState(identity="uid", kubeconfig="", objects=objects)
    assert (meshed_namespaces("dc1", known), meshed_namespaces("dc2", known)) == ({"wookie"}, {"wookie-dr"})
