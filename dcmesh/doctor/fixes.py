"""Fixes that several hops have."""


def restore(site: str) -> str:
    """Return how to put back what dcmesh has made and somebody changed."""
    return f"Run `pulumi up --refresh` with the stack of {site}."


def catch_up(site: str) -> str:
    """Return how to make proxies take over what the objects say."""
    return (
        f"Restart istiod in {site} (`kubectl rollout restart -n istio-system deployment -l app=istiod`), then the pod."
    )
