"""The single sign-on of the tests: one process for all of them, well-behaved at each one's start.

Import both fixtures into a conftest. What a test rotates stays rotated.
"""

from collections.abc import Iterator

import pytest

from examples.oidc_provider import OidcProvider


@pytest.fixture(scope="session")
def running_sso() -> Iterator[OidcProvider]:
    with OidcProvider() as provider:
        yield provider


@pytest.fixture
def sso(running_sso: OidcProvider) -> Iterator[OidcProvider]:
    yield running_sso
    running_sso.behave()
