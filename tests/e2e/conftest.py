"""The Istios that the lab has."""

import pytest

from lab.toolchain import ISTIOS, Istio


@pytest.fixture(scope="session", params=ISTIOS, ids=lambda istio: f"istio-{istio.line}")
def istio(request: pytest.FixtureRequest) -> Istio:
    """Each of the lab's Istios in turn. What asks for it runs on all of them, everything else on the newest."""
    found: Istio = request.param
    return found
