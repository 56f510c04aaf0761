"""The program by which a kubeconfig gets its credentials, such as a cloud's: if it fails, that is said."""

import base64
import re
from typing import Any

from kubernetes.config import ConfigException
from kubernetes.config.dateutil import parse_rfc3339
from kubernetes.config.exec_provider import ExecProvider
from kubernetes.config.kube_config import KubeConfigLoader

from dcmesh.model.printable import printable

LONGEST = 300
"""How many characters are shown of what a program says when it fails."""

TOKEN = re.compile(r"[\w+=-]{40,}")
"""What may be a token in it, or a part of one, and is not shown."""


class Loader(KubeConfigLoader):  # type: ignore[misc] # the client has no types
    """A kubeconfig as the client loads it. The client itself asks on without credentials when the program fails."""

    def _load_from_exec_plugin(self) -> bool:
        """Take the credentials that the program gives, if there is one; again when they have expired.

        Raises:
            ConnectionError: it fails, or gives none. The API server might answer another time.
        """
        if "exec" not in self._user:
            return False
        program = self._user["exec"]
        try:
            found = ExecProvider(program, "", self._cluster).run()
        except (ConfigException, OSError, AttributeError, TypeError) as error:
            # Of a program that has complained to the terminal, or printed no object, the client finds no complaint.
            said = "" if isinstance(error, AttributeError | TypeError) else " ".join(f": {error}".split())
            shown = printable(TOKEN.sub("...", said), LONGEST)
            raise ConnectionError(f"{program['command']} gives no credentials{shown}") from None
        given = {key: of for key, of in found.items() if of and isinstance(of, str)} if isinstance(found, dict) else {}
        certificate, key = given.get("clientCertificateData"), given.get("clientKeyData")
        if "token" in given:
            self.token = f"Bearer {given['token']}"
        elif certificate and key:
            self._user.value.update({"client-certificate-data": _base64(certificate), "client-key-data": _base64(key)})
        else:
            raise ConnectionError(f"{program['command']} gives neither a token nor a certificate with its key")
        if "expirationTimestamp" in given:
            try:
                self.expiry = parse_rfc3339(given["expirationTimestamp"])
            except (AttributeError, ValueError):
                raise ConnectionError(f"{program['command']} gives credentials that end at no known time") from None
        return True


def _base64(pem: str) -> str:
    return base64.b64encode(pem.encode()).decode()


def load(kubeconfig: dict[str, Any], configuration: Any) -> None:  # noqa: ANN401 — the client has no types
    """Have a client's configuration say what a kubeconfig does, but for its proxy.

    Raises:
        ConfigException: it cannot be used.
        ConnectionError: its program gives no credentials.
    """
    Loader(config_dict=kubeconfig, config_base_path=None).load_and_set(configuration)
