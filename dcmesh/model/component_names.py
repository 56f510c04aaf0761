"""By what names components stand in the state of a stack, where somebody looks for them."""


def export_name(site: str, export: str) -> str:
    """Return the name of a ServiceExport in the stack."""
    return f"{site}.export.{export}"


def import_name(imports: str, *, namespace: str, source: str, export: str) -> str:
    """Return the name of a ServiceImport in the stack, by that of its SiteImports."""
    return f"{imports}.{namespace}.{source}.{export}"


def workload_name(site: str, namespace: str) -> str:
    """Return the name of the workload in a namespace, and what those of its objects begin with."""
    return f"{site}.{namespace}"


def gateway_component(site: str, namespace: str) -> str:
    """Return the name of the gateway in a namespace of its own."""
    return f"{site}-gateway.{namespace}"


def pxc_operator_name(site: str) -> str:
    """Return the name of Percona's operator."""
    return f"{site}-pxc-operator"


def egress_name(site: str, namespace: str) -> str:
    """Return the name of the egress gateway in a namespace, and what those of its objects begin with."""
    return f"{site}-egress.{namespace}"


def hosts_name(site: str, namespace: str) -> str:
    """Return the name of the HostNames of a namespace, and what those of its objects begin with."""
    return f"{site}-hosts.{namespace}"
