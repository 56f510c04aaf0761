"""Lists of a cluster that may not be read are reported."""

from dcmesh.kube.api import ApiClient
from dcmesh.kube.read_rights import Allowed
from dcmesh.preflight.missing_rights import unseen


def test_each_reason_is_told_once(api: ApiClient) -> None:
    refused = {"/pods": "may not list pods", "/pods?labelSelector=a": "may not list pods", "/nodes": "nor nodes"}
    told = [one.line() for one in unseen(Allowed(api, refused=refused), "sites[0]", "dc1")]
    said = 'sites[0].name: "dc1" was looked at in part, for its kubeconfig\'s user may not read all of it'
    assert [line.partition(").")[0] for line in told] == [f"{said} (may not list pods", f"{said} (nor nodes"]
