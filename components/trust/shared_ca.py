"""SharedCA and SiteCA: the trust that makes two meshes accept each other's certificates."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_tls as tls

from dcmesh.model.certificates import BUNDLE_NAMES, SigningBundle
from dcmesh.model.name_constraints import bound
from dcmesh.model.signing_requests import intermediate_name

HOURS_A_YEAR = 24 * 365
KEY_ALGORITHM = "ECDSA"
KEY_CURVE = "P384"
CA_USES = ["cert_signing", "crl_signing"]


def numbered(name: str, *numbers: int, separator: str = " ") -> str:
    """Return a name with the numbers that tell one generation from the next. The first of all has no numbers."""
    return name if set(numbers) == {1} else f"{name}{separator}{'.'.join(map(str, numbers))}"


def _made_once(options: pulumi.ResourceOptions, *properties: str) -> pulumi.ResourceOptions:
    """Return the options of a certificate that is not issued anew when these arguments, which the user sets, change."""
    return pulumi.ResourceOptions.merge(options, pulumi.ResourceOptions(ignore_changes=list(properties)))


@dataclass(frozen=True, kw_only=True)
class SharedCAArgs:
    """Arguments of SharedCA.

    Attributes:
        organization: `O` in the subject of every certificate.
        generation: which root this is of those that replace one another. Default 1.
        root_validity_years: how long the root is valid. Default 10.
        intermediate_validity_years: how long each site's intermediate is valid. Default 2.
        protect: whether the root, its key and its certificate, is kept from deletion. Default no.
    """

    organization: str = "dcmesh"
    generation: int = 1
    root_validity_years: int = 10
    intermediate_validity_years: int = 2
    protect: bool = False


class SharedCA(pulumi.ComponentResource):
    """The root certificate authority that all sites share.

    It keeps what it was made with: to change that takes another root.

    Creates:
        - `tls.PrivateKey`: the root's key. It never leaves the state of the stack that holds this component.
        - `tls.SelfSignedCert`: the root, bounded to one level of intermediates. The bound stands here because
          terraform-provider-tls takes a path length of 0, which the intermediates would need, as unset.
    """

    private_key_pem: pulumi.Output[str]
    """The root's key; secret."""
    cert_pem: pulumi.Output[str]
    args: SharedCAArgs

    def __init__(self, name: str, args: SharedCAArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:SharedCA", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self, protect=args.protect)
        key = tls.PrivateKey(f"{name}-key", algorithm=KEY_ALGORITHM, ecdsa_curve=KEY_CURVE, opts=child)
        root = tls.SelfSignedCert(
            f"{name}-root",
            private_key_pem=key.private_key_pem,
            is_ca_certificate=True,
            max_path_length=1,
            allowed_uses=CA_USES,
            set_subject_key_id=True,
            set_authority_key_id=True,
            subject=tls.SelfSignedCertSubjectArgs(
                common_name=numbered("Root CA", args.generation), organization=args.organization
            ),
            validity_period_hours=args.root_validity_years * HOURS_A_YEAR,
            opts=_made_once(child, "subject", "validityPeriodHours"),
        )
        self.args = args
        self.private_key_pem = key.private_key_pem
        self.cert_pem = root.cert_pem
        self.register_outputs({"cert_pem": self.cert_pem})


@dataclass(frozen=True, kw_only=True)
class Intermediate:
    """A site's SigningBundle as a resource takes it, when it may not be there yet.

    Attributes:
        cert: the intermediate.
        key: its private key; secret. Empty of a site that has made it itself.
        chain: the intermediate and whatever stands between it and the root.
        root: the root that all sites share; several, one after the other, while it is replaced.
    """

    cert: pulumi.Input[str]
    key: pulumi.Input[str]
    chain: pulumi.Input[str]
    root: pulumi.Input[str]

    @classmethod
    def of(cls, bundle: SigningBundle) -> "Intermediate":
        """Return an intermediate that is there."""
        key = pulumi.Output.secret(bundle.key.get_secret_value())
        return cls(cert=bundle.cert, key=key, chain=bundle.chain, root=bundle.root)

    def as_output(self) -> dict[str, pulumi.Input[str]]:
        """Return the intermediate as part of a stack output, as SigningBundle reads it."""
        return {BUNDLE_NAMES[part]: pem for part, pem in vars(self).items()}


@dataclass(frozen=True, kw_only=True)
class SiteCAArgs:
    """Arguments of SiteCA.

    Attributes:
        site: name of the site, in the subject of its certificate.
        root: the root that signs it.
        trusted: all roots that the site trusts.
        number: which intermediate this is of those that replace one another under a root. Default 1.
        trust_domain: the trust domain of which it may sign names, and no others. Default: it may sign any.
        request: PEM of what the site asks to have signed, if it has made the key itself. Default: the key is made here.
    """

    site: str
    root: SharedCA
    trusted: Sequence[SharedCA]
    number: int = 1
    trust_domain: str | None = None
    request: str | None = None


class SiteCA(pulumi.ComponentResource):
    """The intermediate authority of one site. It keeps what it was made with, as the root does.

    Creates:
        - `tls.PrivateKey`, `tls.CertRequest`: unless the site has made them itself;
        - `tls.LocallySignedCert`: the intermediate, signed by the root.

    For a trust domain the root signs it once more, with what the provider cannot write: name constraints. The
    certificate without them is secret: with the site's key, which is in its cluster, it could sign any name.
    """

    intermediate: Intermediate

    def __init__(self, name: str, args: SiteCAArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:SiteCA", name, {}, opts)
        child, domain = pulumi.ResourceOptions(parent=self), args.trust_domain
        # A key of its own: with that of an intermediate for all names one could go on to sign any.
        name = f"{name}.{domain}" if domain else name
        request: pulumi.Input[str]
        if args.request:
            request, private_key = args.request, pulumi.Output.from_input("")
        else:
            request, private_key = self._key(name, args, child)
        without = pulumi.ResourceOptions(additional_secret_outputs=["certPem"] if domain else None)
        signed = tls.LocallySignedCert(
            f"{name}-intermediate",
            cert_request_pem=request,
            ca_private_key_pem=args.root.private_key_pem,
            ca_cert_pem=args.root.cert_pem,
            is_ca_certificate=True,
            allowed_uses=CA_USES,
            set_subject_key_id=True,
            validity_period_hours=args.root.args.intermediate_validity_years * HOURS_A_YEAR,
            opts=pulumi.ResourceOptions.merge(_made_once(child, "validityPeriodHours"), without),
        )
        cert = signed.cert_pem
        if domain:
            signing: pulumi.Output[list[str]] = pulumi.Output.all(cert, args.root.private_key_pem)
            cert = pulumi.Output.unsecret(signing.apply(lambda parts: bound(parts[0], parts[1], domain)))
        self.intermediate = Intermediate(
            cert=cert,
            key=private_key,
            chain=pulumi.Output.concat(cert, args.root.cert_pem),
            root=pulumi.Output.concat(*(root.cert_pem for root in args.trusted)),
        )
        self.register_outputs({})

    def _key(
        self, name: str, args: SiteCAArgs, child: pulumi.ResourceOptions
    ) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
        """Create a key, and return what it asks to have signed, and itself."""
        key = tls.PrivateKey(f"{name}-key", algorithm=KEY_ALGORITHM, ecdsa_curve=KEY_CURVE, opts=child)
        request = tls.CertRequest(
            f"{name}-request",
            private_key_pem=key.private_key_pem,
            subject=tls.CertRequestSubjectArgs(
                common_name=numbered(intermediate_name(args.site), args.root.args.generation, args.number),
                organization=args.root.args.organization,
            ),
            opts=_made_once(child, "subject"),
        )
        return request.cert_request_pem, key.private_key_pem
