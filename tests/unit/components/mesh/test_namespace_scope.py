"""NamespaceScope: what the proxies of an importing namespace load."""

from components.mesh.namespace_scope import own_namespace_only


def test_proxies_learn_of_their_own_namespace_and_of_istio_alone() -> None:
    assert own_namespace_only() == {"egress": [{"hosts": ["./*", "istio-system/*"]}]}
