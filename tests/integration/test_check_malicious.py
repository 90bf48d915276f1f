"""Changes that must not pass `check`: each is a real commit on a real repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.codes import Code
from tests.changes import Branch, codes, with_a_past
from tests.ingress import Ingress
from tests.malice import files, ledger, manifests
from tests.malice.table import CHANGES

TABLE = (ledger, manifests, files)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Ingress:
    return with_a_past(Path(tmp_path_factory.mktemp("base")))


def test_there_are_enough_of_them() -> None:
    made = [each for _, each in CHANGES.values()]
    assert len(made) >= 40
    assert {each.__module__ for each in made} == {each.__name__ for each in TABLE}
    named = {code for code, _ in CHANGES.values()}
    assert named == {code for code in Code if "WHF601" <= code <= "WHF639"}


@pytest.mark.parametrize("name", CHANGES)
def test_a_malicious_change_is_found(base: Ingress, name: str) -> None:
    code, make = CHANGES[name]
    branch = Branch(base, name=f"change-{list(CHANGES).index(name)}").start()
    make(branch)
    branch.commit()
    done = branch.check()
    assert code in codes(done), done.out + done.err
    assert done.code == (2 if code is Code.SETTINGS_INVALID else 5)
