"""A site's own key: made by its stack, which asks another one to sign for it."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_tls as tls

from dcmesh.model.signing_requests import intermediate_name, is_for

from ..trust.shared_ca import KEY_ALGORITHM, KEY_CURVE, numbered


@dataclass(frozen=True, kw_only=True)
class OwnKeyArgs:
    """Arguments of OwnKey.

    Attributes:
        site: the site.
        number: which of its keys the newest is. Those before it stay until that one has a certificate.
    """

    site: str
    number: int


class OwnKey(pulumi.ComponentResource):
    """The key of a site's intermediate, which never leaves the site's stack and its cluster.

    Creates:
        - `tls.PrivateKey`, `tls.CertRequest`: each key up to the number, and what it asks to have signed.
    """

    request: pulumi.Output[str]
    """What the newest key asks to have signed, as PEM."""

    def __init__(self, name: str, args: OwnKeyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("dcmesh:components:OwnKey", name, {}, opts)
        self._site = args.site
        child = pulumi.ResourceOptions(parent=self)
        numbers = range(1, args.number + 1)
        self._keys = [
            tls.PrivateKey(f"{name}-{number}-key", algorithm=KEY_ALGORITHM, ecdsa_curve=KEY_CURVE, opts=child)
            for number in numbers
        ]
        requests = [
            tls.CertRequest(
                f"{name}-{number}-request",
                private_key_pem=key.private_key_pem,
                subject=tls.CertRequestSubjectArgs(common_name=numbered(intermediate_name(args.site), number)),
                opts=child,
            )
            for number, key in zip(numbers, self._keys, strict=True)
        ]
        self.request = pulumi.Output.unsecret(requests[-1].cert_request_pem)
        self.register_outputs({"request": self.request})

    def of(self, certificate: str) -> pulumi.Output[str]:
        """Return the key that a certificate is for; secret.

        Raises:
            pulumi.RunError: in the output: it is for none of them.
        """

        def chosen(pairs: Sequence[Sequence[str]]) -> str:
            for public, private in pairs:
                if is_for(certificate, public):
                    return private
            raise pulumi.RunError(
                f"trust.stack: what it has issued for {self._site} is for none of the keys that {self._site} has made: "
                "run `pulumi up` on that stack, then here. If that stack has the key, use its passphrase until then"
            )

        pairs = [pulumi.Output.all(key.public_key_pem, key.private_key_pem) for key in self._keys]
        return pulumi.Output.secret(pulumi.Output.all(*pairs).apply(chosen))
