"""Reading from a cluster what no Pulumi resource says: the reports of Jobs, and what is there before the first `up`."""

import yaml
from kubernetes import client, config


def connect(kubeconfig: str, context: str | None = None) -> client.ApiClient:
    """Return a client of the API server that a kubeconfig names.

    Args:
        kubeconfig: its contents.
        context: context in it. Default: its current context.
    """
    return config.new_client_from_config_dict(yaml.safe_load(kubeconfig), context=context)
