"""dcmesh: isolated Kubernetes clusters joined by Istio, for databases that replicate between datacenters."""

import pulumi

import config
from components.cluster_pair import ClusterPair, ClusterPairArgs
from components.preflight import require_ready
from components.trust import Trust, TrustArgs

try:
    settings, peer_links = config.load(pulumi.Config())
    require_ready(settings, peer_links)
except config.ConfigError as error:
    raise pulumi.RunError(str(error)) from None

trust = Trust("trust", TrustArgs(trust=settings.trust, sites=[site.name for site in settings.sites]))
pair = ClusterPair(
    "pair",
    ClusterPairArgs(
        settings=settings,
        intermediates=trust.intermediates,
        peer_links=peer_links,
        project=pulumi.get_project(),
        stack=pulumi.get_stack(),
    ),
)

pulumi.export("link", {name: link.as_output() for name, link in pair.links.items()})
pulumi.export("hosts", pair.hosts)
pulumi.export("sites", pair.inventories)
pulumi.export("replication", pair.replication)
pulumi.export("replicationPasswords", pair.passwords.by_export)
pulumi.export("kubeconfigs", {name: site.cluster.kubeconfig for name, site in pair.sites.items()})
pulumi.export(
    "intermediates",
    {site: issued.as_output() for site, issued in trust.intermediates.items() if site not in pair.sites},
)
