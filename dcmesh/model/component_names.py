"""By what names components stand in the state of a stack, where somebody looks for them."""


def export_name(site: str, export: str) -> str:
    """Return the name of a ServiceExport in the stack."""
    return f"{site}.export.{export}"


def import_name(imports: str, *, namespace: str, source: str, export: str) -> str:
    """Return the name of a ServiceImport in the stack, by that of its SiteImports."""
    return f"{imports}.{namespace}.{source}.{export}"
