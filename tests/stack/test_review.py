"""Pull requests from proposal to revert, on a real Gitea with the real command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests import documents
from tests.stack.engines import gitea  # noqa: F401
from tests.stack.gitea import Gitea, GiteaError
from tests.stack.process import wait_until
from tests.stack.review import Review, review_at

pytestmark = pytest.mark.stack
WISH = "manifests/public/eu1/shop/vs-orders.yaml"
ADDRESSES = "manifests/public/eu1/shop/vs-orders.endpoints.yaml"
FIRST = "wharfinger/first.adoption"
SHOP = "wharfinger/eu1/shop"


@pytest.fixture
def review(gitea: Gitea, tmp_path: Path) -> Review:  # noqa: F811
    return review_at(gitea, tmp_path).start()


@pytest.fixture
def adopted(review: Review) -> Review:
    """The first exposure is merged already."""
    review.passes()
    review.merge(review.only()["number"])
    review.passes()
    return review


def steps(done: Any) -> dict[str, str]:
    """What was done by group."""
    return {each["group"]: each["step"] for each in done.plan["requests"]}


def is_refused(review: Review, pull: str) -> bool:
    """Whether Gitea refuses a merge for good, not because it has not looked yet."""
    try:
        review.gitea.api("POST", f"{pull}/merge", {"Do": "merge"})
    except GiteaError as error:
        return "checked" not in str(error)
    raise AssertionError("it was merged")


def weigh(review: Review, name: str, weight: int) -> None:
    """Give an exposure a second destination: another wish."""
    review.write("eu1/svc-green.yaml", documents.service("green", 31900))
    review.expose("eu1", name, destinations={name: 100 - weight, "green": weight})


def test_a_wish_is_proposed_merged_and_served(review: Review) -> None:
    done = review.passes()
    assert steps(done) == {"first.adoption": "opened"}
    assert review.files("manifests") == []
    pull = review.only()
    assert pull["title"].startswith("Expose eu1/shop/orders at tcp.example.com:20")
    assert steps(review.passes()) == {"first.adoption": "kept"}
    assert review.only()["head"]["sha"] == pull["head"]["sha"]
    review.merge(pull["number"])
    assert WISH in review.files()
    done = review.passes()
    assert steps(done) == {"first.adoption": "swept"}
    assert done.rows("create") == []
    assert review.branches() == []
    assert steps(review.passes()) == {}


def test_the_object_says_where_its_wish_is_reviewed(review: Review) -> None:
    review.run("reconcile", "--write-back=on")
    text = (review.clusters / "eu1/orders.yaml").read_text()
    assert "wharfinger.dev/state: Pending" in text
    assert f"/{review.origin.slug}/pulls/1" in text


def test_a_changed_wish_amends_the_one_commit(review: Review) -> None:
    review.passes()
    first = review.only()
    weigh(review, "orders", 10)
    assert steps(review.passes()) == {"first.adoption": "rebuilt"}
    second = review.only()
    assert second["number"] == first["number"]
    assert second["head"]["sha"] != first["head"]["sha"]
    ahead = review.git("rev-list", "--count", f"main..{FIRST}", at=review.remote)
    assert ahead.strip() == "1"
    assert "green" in second["body"]


def test_a_changed_address_leaves_an_open_request_alone(adopted: Review) -> None:
    weigh(adopted, "orders", 10)
    adopted.passes()
    head = adopted.only()["head"]["sha"]
    adopted.expose("eu1", "stock")
    adopted.passes()
    pull = adopted.only()
    assert pull["head"]["sha"] != head
    assert pull["title"] == "Change 2 exposures of eu1/shop"


def test_a_closed_request_is_a_decline_of_that_wish(review: Review) -> None:
    review.passes()
    review.gitea.close_pull(review.origin, 1)
    done = review.passes()
    assert steps(done) == {}
    (row,) = done.rows("hold")
    assert row["code"] == "WHF212"
    assert row["reason"].startswith(f"declined in {review.gitea.url}")
    assert review.pulls() == []
    weigh(review, "orders", 10)
    assert steps(review.passes()) == {"first.adoption": "opened"}
    assert review.only()["number"] == 2


def test_a_decline_outlives_its_branch_and_a_fresh_clone(review: Review) -> None:
    review.passes()
    review.gitea.close_pull(review.origin, 1)
    review.git("push", "-q", "origin", f":{FIRST}")
    done = review.passes(XDG_CACHE_HOME=str(review.root / "other"))
    assert [row["code"] for row in done.rows("hold")] == ["WHF212"]
    assert review.pulls() == []


def test_declines_count_by_unit_whatever_happens_to_neighbours(review: Review) -> None:
    review.expose("eu1", "stock")
    review.passes()
    review.gitea.close_pull(review.origin, 1)
    review.expose("eu1", "users")
    review.passes()
    assert review.only()["title"].startswith("Expose eu1/shop/users ")
    review.gitea.close_pull(review.origin, 2)
    done = review.passes()
    assert len(done.rows("hold")) == 3
    assert review.pulls() == []


def test_a_declined_wish_that_was_replaced_may_come_back(adopted: Review) -> None:
    weigh(adopted, "orders", 10)
    adopted.passes()
    declined = adopted.only()["number"]
    adopted.gitea.close_pull(adopted.origin, declined)
    weigh(adopted, "orders", 20)
    adopted.passes()
    adopted.merge(adopted.only()["number"])
    weigh(adopted, "orders", 10)
    done = adopted.passes()
    assert done.rows("hold") == []
    assert adopted.only()["number"] == declined + 2


def test_release_asks_anew_and_goes_on_asking(review: Review) -> None:
    review.passes()
    review.gitea.close_pull(review.origin, 1)
    review.passes()
    done = review.run("release", "eu1/shop/orders", "-o", "json")
    assert done.code == 0, done.err
    assert review.only()["number"] == 2
    assert steps(review.passes()) == {"first.adoption": "kept"}


def test_a_reopened_request_is_open(review: Review) -> None:
    review.passes()
    review.gitea.close_pull(review.origin, 1)
    review.passes()
    path = f"/repos/{review.origin.slug}/pulls/1"
    review.gitea.api("PATCH", path, {"state": "open"})
    assert steps(review.passes()) == {"first.adoption": "kept"}


def test_a_commit_of_people_stops_us_until_the_label_is_gone(review: Review) -> None:
    review.passes()
    review.push_to(FIRST, {ADDRESSES: b"# mine\n"}, "Try something")
    head = review.only()["head"]["sha"]
    assert steps(review.passes()) == {"first.adoption": "edited"}
    weigh(review, "orders", 10)
    assert steps(review.passes()) == {"first.adoption": "edited"}
    pull = review.only()
    assert pull["head"]["sha"] == head
    assert "wharfinger/edited" in [each["name"] for each in pull["labels"]]
    comments = f"/repos/{review.origin.slug}/issues/1/comments"
    assert len(review.gitea.api("GET", comments)) == 1
    labels = f"/repos/{review.origin.slug}/issues/1/labels"
    review.gitea.api("PUT", labels, {"labels": []})
    assert steps(review.passes()) == {"first.adoption": "rebuilt"}
    assert "green" in review.only()["body"]
    assert len(review.gitea.api("GET", comments)) == 1


def test_a_merge_of_main_into_the_branch_is_no_edit(review: Review) -> None:
    review.passes()
    review.commit({"README.md": b"hello\n"}, "Say hello")
    path = f"/repos/{review.origin.slug}/pulls/1/update"
    review.gitea.api("POST", path)
    assert steps(review.passes()) == {"first.adoption": "kept"}
    review.merge(1)
    assert review.passes().rows("create") == []


@pytest.mark.parametrize("style", ["merge", "rebase", "rebase-merge", "squash"])
def test_a_merge_is_ours_and_its_revert_is_a_hold(review: Review, style: str) -> None:
    review.passes()
    review.commit({"README.md": b"hello\n"}, "Say hello")
    tip = review.merge(1, style)
    done = review.passes()
    assert done.plan["summary"]["hold"] == 0
    assert done.plan["changes"] == []
    review.pull()
    args = ("-m", "1") if style in ("merge", "rebase-merge") else ()
    review.git("revert", "--no-edit", *args, tip)
    review.git("push", "-q", "origin", "HEAD:refs/heads/undo")
    number = review.gitea.open_pull(review.origin, "undo", "Revert it")
    review.merge(number, "squash")
    done = review.passes()
    (row,) = done.rows("hold")
    assert row["code"] == "WHF208"
    assert steps(done) == {}
    assert WISH not in review.files()
    asked = {"wharfinger.dev/request-port": str(row["port"])}
    review.expose("eu1", "thief", annotations=asked)
    done = review.passes()
    assert [each["code"] for each in done.rows("reject")] == ["WHF123"]
    assert len(done.rows("hold")) == 1
    (review.clusters / "eu1/thief.yaml").unlink()
    weigh(review, "orders", 10)
    assert steps(review.passes()) == {"first.adoption": "opened"}


def test_a_wish_that_went_away_closes_its_request_and_declines_nothing(
    review: Review,
) -> None:
    review.passes()
    review.expose("eu1", "orders", annotations={"wharfinger.dev/expose": "no"})
    assert steps(review.passes()) == {"first.adoption": "closed"}
    (closed,) = review.pulls("closed")
    assert "no longer" in closed["body"] or "not wanted" in closed["body"]
    assert review.branches() == []
    review.expose("eu1", "orders")
    assert steps(review.passes()) == {"first.adoption": "opened"}


def test_an_unreachable_cluster_keeps_its_requests(adopted: Review) -> None:
    weigh(adopted, "orders", 10)
    adopted.passes()
    (adopted.clusters / "eu1/kube-system.yaml").write_text("")
    done = adopted.passes(3)
    assert steps(done) == {"eu1/shop": "kept"}
    assert len(adopted.pulls()) == 1


def test_ports_of_open_requests_are_kept_for_them(adopted: Review) -> None:
    adopted.expose("eu1", "stock")
    adopted.passes()
    port = adopted.only()["title"].rpartition(":")[2]
    adopted.cluster("eu2")
    wanted = {"wharfinger.dev/request-port": port}
    adopted.expose("eu2", "users", annotations=wanted)
    done = adopted.passes()
    (row,) = done.rows("reject")
    assert row["code"] == "WHF123"
    adopted.merge(adopted.only()["number"])
    assert f"ports/public/{port}.yaml" in adopted.files()


def test_two_requests_for_one_port_cannot_both_merge(adopted: Review) -> None:
    adopted.expose("eu1", "stock")
    adopted.passes()
    first = adopted.only()
    port = f"ports/public/{first['title'].rpartition(':')[2]}.yaml"
    data = adopted.git("show", f"{SHOP}:{port}", at=adopted.remote)
    other = data.replace("name: stock", "name: other").encode()
    adopted.pull()
    adopted.git("push", "-q", "origin", "main:refs/heads/theirs")
    adopted.push_to("theirs", {port: other}, "Take it by hand")
    second = adopted.gitea.open_pull(adopted.origin, "theirs", "Take it")
    adopted.merge(first["number"])
    pull = f"/repos/{adopted.origin.slug}/pulls/{second}"
    wait_until(lambda: is_refused(adopted, pull), "the conflict is found")
    assert adopted.show(port) == data


def test_a_protected_branch_gets_addresses_as_a_request_that_merges(
    adopted: Review,
) -> None:
    adopted.gitea.protect(adopted.origin)
    adopted.write("eu1/node.yaml", documents.node("n1", "10.20.0.9"))
    done = adopted.passes()
    assert steps(done) == {"eu1/followed.addresses": "opened"}
    adopted.merges_by_itself(done.plan["requests"][0]["number"])
    assert "10.20.0.9" in adopted.show(ADDRESSES)
    done = adopted.passes()
    assert adopted.pulls() == []
    assert done.plan["changes"] == []


def test_addresses_go_straight_to_the_branch_while_a_wish_is_reviewed(
    adopted: Review,
) -> None:
    weigh(adopted, "orders", 10)
    adopted.passes()
    adopted.write("eu1/node.yaml", documents.node("n1", "10.20.0.9"))
    done = adopted.passes()
    assert done.plan["commit"]
    assert "10.20.0.9" in adopted.show(ADDRESSES)
    assert "green" not in adopted.show(WISH)
    adopted.passes()
    pull = adopted.only()
    adopted.merge(pull["number"])
    adopted.passes()
    assert "green" in adopted.show(ADDRESSES)


def test_a_hook_that_refuses_request_branches_is_told(review: Review) -> None:
    review.gitea.refuse_pushes(review.origin, "no robots here", FIRST)
    done = review.passes(5)
    assert "no robots here" in done.err
    assert review.pulls() == []


def test_tiers_merge_by_themselves_but_removals_never(adopted: Review) -> None:
    review = {"mode": "pull-request", "forge": "gitea", "autoMerge": ["create"]}
    adopted.commit({"wharfinger.yaml": adopted.settings(review=review)}, "Trust it")
    adopted.expose("eu1", "stock")
    done = adopted.passes()
    adopted.merges_by_itself(done.plan["requests"][0]["number"])
    assert "manifests/public/eu1/shop/vs-stock.yaml" in adopted.files()
    (adopted.clusters / "eu1/stock.yaml").unlink()
    adopted.passes()
    pull = adopted.only()
    assert "wharfinger/removes" in [each["name"] for each in pull["labels"]]
    assert "[!CAUTION]" in pull["body"]
    adopted.passes()
    assert adopted.only()["number"] == pull["number"]


def test_withheld_deletions_are_accepted_by_merging_their_request(
    adopted: Review,
) -> None:
    for index in range(5):
        adopted.expose("eu1", f"a{index}")
    adopted.passes()
    adopted.merge(adopted.only()["number"])
    for path in adopted.clusters.glob("eu1/a*.yaml"):
        path.unlink()
    (adopted.clusters / "eu1/orders.yaml").unlink()
    done = adopted.passes(5)
    assert steps(done)["eu1/withheld.deletions"] == "opened"
    assert len(done.rows("withhold")) == 6
    pull = adopted.only()
    assert pull["title"] == "Remove 6 exposures of eu1, above the budget"
    adopted.merge(pull["number"])
    done = adopted.passes()
    assert adopted.files("manifests/public/eu1/shop") == []
    assert done.rows("withhold") == []


def test_requests_of_forks_are_not_ours(adopted: Review) -> None:
    other = adopted.gitea.account("stranger-" + adopted.origin.slug.split("-")[-1])
    adopted.gitea.grant(adopted.origin, other, "read")
    fork = adopted.gitea.api(
        "POST", f"/repos/{adopted.origin.slug}/forks", {}, account=other
    )
    adopted.expose("eu1", "stock")
    adopted.passes()
    slug = fork["full_name"]
    body = {"content": "aGVsbG8=", "branch": "main", "new_branch": SHOP}
    adopted.gitea.api("POST", f"/repos/{slug}/contents/x.txt", body, account=other)
    request = {"head": f"{other.user}:{SHOP}", "base": "main", "title": "theirs"}
    path = f"/repos/{adopted.origin.slug}/pulls"
    adopted.gitea.api("POST", path, request, account=other)
    assert steps(adopted.passes()) == {"eu1/shop": "kept"}
    assert len(adopted.pulls()) == 2


def test_a_forge_that_is_down_does_not_stop_addresses(adopted: Review) -> None:
    adopted.expose("eu1", "stock")
    adopted.write("eu1/node.yaml", documents.node("n1", "10.20.0.9"))
    done = adopted.passes(3, WHARFINGER_FORGE_URL="http://127.0.0.1:9")
    assert "10.20.0.9" in adopted.show(ADDRESSES)
    assert adopted.pulls() == []
    assert done.plan["commit"]
    assert steps(adopted.passes()) == {"eu1/shop": "opened"}


def test_a_pass_over_one_cluster_leaves_the_requests_of_others(adopted: Review) -> None:
    adopted.cluster("eu2")
    adopted.expose("eu2", "users")
    adopted.expose("eu1", "stock")
    assert set(steps(adopted.passes())) == {"eu1/shop", "eu2/shop"}
    done = adopted.passes(0, "--cluster", "eu1")
    assert steps(done) == {"eu1/shop": "kept", "eu2/shop": "kept"}


def test_an_adoption_waits_for_what_is_not_observed(review: Review) -> None:
    review.cluster("eu2")
    review.expose("eu2", "users")
    review.passes()
    (review.clusters / "eu2/kube-system.yaml").write_text("")
    weigh(review, "orders", 10)
    assert steps(review.passes(3)) == {"first.adoption": "kept"}
    assert "users" in review.only()["body"]
    review.cluster("eu2")
    assert steps(review.passes()) == {"first.adoption": "rebuilt"}
    assert "users" in review.only()["body"]
