"""SharedCA, as the component package has it."""

from typing import NotRequired, TypedDict

import pulumi
from pydantic import TypeAdapter
from pydantic.alias_generators import to_camel

from dcmesh.model.cacerts import ISTIOS
from dcmesh.model.settings import GeneratedTrust
from dcmesh.model.value_types import Name, TrustDomain

from ..trust import shared_ca as trust
from .export_args import checked

_SITES = TypeAdapter(dict[Name, TrustDomain])


class SharedCAArgs(TypedDict):
    """Arguments of SharedCA."""

    sites: dict[str, str]
    """By site its trust domain, such as `dc1.dcmesh`: its intermediate may sign names of that one and of no other."""
    organization: NotRequired[str]
    """`O` in the subject of every certificate. Default: `dcmesh`."""
    root_validity_years: NotRequired[int]
    """How long the root is valid. Default: 10."""
    intermediate_validity_years: NotRequired[int]
    """How long each intermediate is valid. Default: 2."""
    protect: NotRequired[bool]
    """Whether the root is kept from deletion, and from replacement by another one. Default: yes."""


class SharedCA(pulumi.ComponentResource):
    """The root certificate authority that all sites share, and an intermediate for each of them.

    The root's key stays in the state of the stack that has this component.
    """

    root_cert: pulumi.Output[str]
    """The root's certificate, as PEM."""
    cacerts: pulumi.Output[dict[str, dict[str, str]]]
    """By site what the Secret `cacerts` in its `istio-system` must have; secret. It must be there before istiod."""

    def __init__(self, name: str, args: SharedCAArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:index:SharedCA", name, {}, opts)
        with checked("sites"):
            sites = _SITES.validate_python(args["sites"])
        with checked():
            settings = GeneratedTrust.model_validate(
                {to_camel(key): value for key, value in args.items() if key not in ("sites", "protect")}
            )
        inside = pulumi.ResourceOptions(parent=self)
        root = trust.SharedCA(
            f"{name}-ca",
            trust.SharedCAArgs(
                organization=settings.organization,
                root_validity_years=settings.root_validity_years,
                intermediate_validity_years=settings.intermediate_validity_years,
                protect=args.get("protect", True),
            ),
            inside,
        )
        issued = {
            site: trust.SiteCA(
                f"{name}-{site}",
                trust.SiteCAArgs(site=site, root=root, trusted=[root], trust_domain=domain),
                inside,
            ).intermediate
            for site, domain in sites.items()
        }
        self.root_cert = root.cert_pem
        self.cacerts = pulumi.Output.secret(pulumi.Output.all(**{site: _secret(of) for site, of in issued.items()}))
        self.register_outputs({"rootCert": self.root_cert, "cacerts": self.cacerts})


def _secret(of: trust.Intermediate) -> pulumi.Output[dict[str, str]]:
    """Return what a Secret with an intermediate has."""
    return pulumi.Output.all(**{ISTIOS.cert: of.cert, ISTIOS.key: of.key, ISTIOS.chain: of.chain, ISTIOS.root: of.root})
