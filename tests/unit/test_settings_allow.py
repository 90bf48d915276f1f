"""What `allow` may let through: variables that configure a plug-in, none that commands it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from reconciler.settings_inventories import Allow


@pytest.mark.parametrize("name", ["AWS_PROFILE", "CLOUDSDK_CONFIG", "HOME", "AZURE_TENANT_ID"])  # fmt: skip
def test_a_variable_that_configures_is_taken(name: str) -> None:
    assert Allow.model_validate({"environment": [name]}).environment == (name,)


@pytest.mark.parametrize(
    "name",
    [
        *("LD_PRELOAD", "LD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES", "BASH_ENV", "ENV"),
        *("PATH", "PYTHONPATH", "PYTHONSTARTUP", "NODE_OPTIONS", "PERL5OPT", "RUBYOPT"),
        *("WHARFINGER_FORGE_TOKEN", "WHARFINGER_GIT_TOKEN", "GIT_SSH_COMMAND", "IFS"),
    ],
)
def test_a_variable_that_commands_or_holds_our_secrets_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="load other code"):
        Allow.model_validate({"environment": [name]})
