"""A generated password, for a user to whom the configuration gives none."""

from hashlib import sha256

import pulumi
import pulumi_tls as tls


def generated_password(name: str, parent: pulumi.Resource, *, protect: bool = False) -> pulumi.Output[str]:
    """Make a password that no `up` changes: a hash of a private key, the one random thing that Pulumi's tls makes.

    Returns:
        32 hexadecimal digits; secret. MySQL takes no more for a replication channel.
    """
    opts = pulumi.ResourceOptions(parent=parent, protect=protect)
    key = tls.PrivateKey(name, algorithm="ECDSA", ecdsa_curve="P256", opts=opts)
    return pulumi.Output.secret(key.private_key_pem.apply(lambda pem: sha256(pem.encode()).hexdigest()[:32]))
