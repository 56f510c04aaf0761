"""The Secret `cacerts` in both of its forms."""

import base64

from dcmesh.model.cacerts import ISTIOS, TLS, layout_of, pem_of


def test_istiod_takes_the_form_of_kubernetes_if_it_is_there() -> None:
    assert layout_of(ISTIOS.keys) == ISTIOS
    assert layout_of(TLS.keys) == TLS
    assert layout_of(ISTIOS.keys | TLS.keys) == TLS
    assert layout_of([]) == ISTIOS


def test_a_pem_of_its_data() -> None:
    assert pem_of({"tls.crt": base64.b64encode(b"pem").decode()}, "tls.crt") == "pem"
    assert pem_of({}, "tls.crt") == ""
