"""What the stack's state tells of a site. What follows from it is preflight's, and tests/unit/dcmesh/preflight's."""

import pytest

from dcmesh.model.ownership import MADE_BY
from dcmesh.model.settings import Settings
from dcmesh.sites_in_state import read_sites_in_state
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
