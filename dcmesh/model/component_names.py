"""The names of components in a stack's state, for whoever looks for them there."""


def export_name(site: str, export: str) -> str:
    """Return the name of a ServiceExport in the stack."""
    return f"{site}.export.{export}"


def import_name(imports: str, *, namespace: str, source: str, export: str) -> str:
    """Return the name of a ServiceImport in the stack, by that of its SiteImports."""
    return f"{imports}.{namespace}.{source}.{export}"


def workload_name(site: str, namespace: str) -> str:
    """Return the name of the workload in a namespace. The names of its objects begin with it."""
    return f"{site}.{namespace}"


def gateway_component(site: str, namespace: str) -> str:
    """Return the name of the gateway that has a namespace of its own."""
    return f"{site}-gateway.{namespace}"


def pxc_operator_name(site: str) -> str:
    """Return the name of Percona's operator."""
    return f"{site}-pxc-operator"


def egress_name(site: str, namespace: str) -> str:
    """Return the name of the egress gateway in a namespace. The names of its objects begin with it."""
    return f"{site}-egress.{namespace}"


def hosts_name(site: str, namespace: str) -> str:
    """Return the name of the HostNames of a namespace. The names of its objects begin with it."""
    return f"{site}-hosts.{namespace}"
