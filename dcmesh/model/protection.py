"""Protection: what the setting `protect` protects from deletion."""

from dcmesh.model.settings import GeneratedTrust, Settings, Site


def protects(settings: Settings, site: Site) -> bool:
    """Tell whether a site's databases, and its cluster if the stack makes it, are protected from deletion."""
    return settings.protect and not site.throw_away


def protects_root(settings: Settings) -> bool:
    """Tell whether the root is protected from deletion. It may sign for clusters that are not throw-away ones."""
    others = settings.trust.issue_for if isinstance(settings.trust, GeneratedTrust) else []
    return settings.protect and bool(others or any(protects(settings, site) for site in settings.sites))
