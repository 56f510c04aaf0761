"""Webhooks that the API server calls before it takes an object."""

from kubernetes import client

from dcmesh.kube.api import SOON, ApiClient


def has_authority(api: ApiClient, name: str) -> bool:
    """Tell whether a ValidatingWebhookConfiguration says which authority has signed its servers' certificates.

    Raises:
        ERRORS: the cluster cannot be asked, or has no such configuration.
    """
    read = client.AdmissionregistrationV1Api(api).read_validating_webhook_configuration
    webhooks = read(name, _request_timeout=SOON).webhooks
    return bool(webhooks) and all(webhook.client_config.ca_bundle for webhook in webhooks)
