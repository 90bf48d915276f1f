"""`--lease`: one name for the processes of a shard, and plain words where there can be no Lease."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.cli.leading import lease_name
from reconciler.cli.options import Target
from reconciler.names import is_label
from tests.ingress import Ingress, Near

URL = "https://git.example.com/platform/ingress.git"


def target(
    repo: str = URL,
    branch: str = "main",
    path: str = ".",
) -> Target:
    return Target(repo=repo, branch=branch, path=path)


def test_a_name_is_of_a_repository_its_branch_folder_and_shard() -> None:
    names = {
        lease_name(target(), ()),
        lease_name(target(branch="next"), ()),
        lease_name(target(path="eu"), ()),
        lease_name(target(repo=URL + "2"), ()),
        lease_name(target(), ("a",)),
        lease_name(target(), ("a", "b")),
        lease_name(target(), ("ab",)),
    }
    assert len(names) == 7
    assert all(map(is_label, names))


def test_order_and_credentials_are_no_part_of_it() -> None:
    assert lease_name(target(), ("a", "b")) == lease_name(target(), ("b", "a", "a"))
    with_token = URL.replace("https://", "https://bot:s3cret@")
    assert lease_name(target(repo=with_token), ()) == lease_name(target(), ())


@pytest.fixture
def place(tmp_path: Path) -> Ingress:
    return Near(root=tmp_path).start()


@pytest.mark.parametrize(
    ("lease", "said"),
    [
        ("wharfinger", "--lease needs the platform cluster"),
        ("Not_A_Namespace", "expected NAMESPACE or NAMESPACE/NAME"),
        ("wharfinger/Not_A_Name", "expected NAMESPACE or NAMESPACE/NAME"),
        ("/name", "expected NAMESPACE or NAMESPACE/NAME"),
    ],
)
def test_what_can_be_no_lease_is_refused(place: Ingress, lease: str, said: str) -> None:
    done = place.run("run", "--lease", lease, "--passes", "1")
    assert done.code == 2
    assert said in done.err
