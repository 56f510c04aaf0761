"""dcmesh: isolated Kubernetes clusters joined by Istio, for databases that replicate between datacenters."""

import pulumi

import config
from components.cluster_pair import ClusterPair, ClusterPairArgs
from components.shared_ca import SharedCA, SharedCAArgs

try:
    settings = config.load(pulumi.Config())
except config.ConfigError as error:
    raise pulumi.RunError(str(error)) from None

trust = SharedCA("trust", SharedCAArgs(**settings.trust.model_dump()))
pair = ClusterPair("pair", ClusterPairArgs(settings=settings, trust=trust, stack=pulumi.get_stack()))

pulumi.export("link", {name: link.as_output() for name, link in pair.links.items()})
pulumi.export("hosts", pair.hosts)
pulumi.export("kubeconfigs", {name: site.cluster.kubeconfig for name, site in pair.sites.items()})
