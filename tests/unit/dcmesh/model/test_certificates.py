"""A bundle of certificates: it reads what other stacks have written, and writes what they read."""

from typing import Any

import pytest
from pydantic import SecretStr

from dcmesh.model.certificates import BUNDLE_NAMES, Bundle, SigningBundle

SETTLED = {"certChain": "chain", "rootCert": "roots"}
ISSUED = {**SETTLED, "caCert": "own", "caKey": "key"}


def test_names_are_all_that_there_are_and_no_others() -> None:
    assert SigningBundle.model_fields.keys() == BUNDLE_NAMES.keys()


def test_of_what_a_stack_tells_the_rest_is_left_out() -> None:
    bundle = Bundle.told({**SETTLED, "intermediateExpires": "2030-01-01", "rootsExpire": {"Root CA": "2030-01-01"}})
    assert bundle == Bundle(chain="chain", root="roots")
    assert bundle
    assert bundle.model_dump(by_alias=True) == SETTLED


@pytest.mark.parametrize(
    "told", [None, "chain", {}, {"certChain": "chain"}, {**SETTLED, "rootCert": {}}, {**SETTLED, "certChain": ""}]
)
def test_what_is_not_whole_is_none(told: object) -> None:
    assert Bundle.told(told) is None


def test_what_signs_has_a_key_that_does_not_show() -> None:
    bundle = SigningBundle.told(ISSUED)
    assert bundle == SigningBundle(cert="own", key=SecretStr("key"), chain="chain", root="roots")
    assert "'key'" not in repr(bundle)


@pytest.mark.parametrize("key", [{"caKey": {}}, {"caKey": None}, {}])
def test_a_key_that_cannot_be_decrypted_is_empty(key: dict[str, Any]) -> None:
    told = {part: pem for part, pem in ISSUED.items() if part != "caKey"}
    bundle = SigningBundle.told(told | key)
    assert bundle
    assert not bundle.key


@pytest.mark.parametrize("part", ["caCert", "certChain", "rootCert"])
def test_what_signs_needs_every_certificate(part: str) -> None:
    assert SigningBundle.told({name: pem for name, pem in ISSUED.items() if name != part}) is None
