"""`history` and `who-had` as real processes on real repositories, after real passes."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests import documents
from tests.bench.bigrepo import START, STEP, Size, Unit, generate
from tests.ingress import Done, Ingress, Near

UNIT = "eu1/shop/orders"
WISH = "manifests/public/eu1/shop/vs-orders.yaml"
Doc = dict[str, Any]


@pytest.fixture
def ingress(tmp_path: Path) -> Ingress:
    made = Near(root=tmp_path).start()
    weigh(made, 90, generation=1)
    done = made.reconcile()
    assert done.code == 0, done.err
    return made


def items(done: Done) -> list[Doc]:
    assert done.code == 0, done.err
    found: list[Doc] = json.loads(done.out)["items"]
    return found


def history(ingress: Ingress, what: str, *args: str) -> list[Doc]:
    return items(ingress.run("history", what, "-o", "json", *args))


def happened(rows: list[Doc]) -> list[list[str]]:
    return [[event["what"] for event in row["events"]] for row in rows]


def port_of(ingress: Ingress) -> int:
    return int(ingress.files("ports")[0].split("/")[-1].removesuffix(".yaml"))


def weigh(ingress: Ingress, blue: int, generation: int) -> None:
    """Another wish for the same exposure."""
    for name in ("blue", "green"):
        ingress.write(f"eu1/svc-{name}.yaml", documents.service(name, 31001))
    weights = {"blue": blue, "green": 100 - blue}
    body = documents.virtual_service("orders", weights)
    metadata = body["metadata"]
    assert isinstance(metadata, dict)
    metadata["generation"] = generation
    ingress.write("eu1/orders.yaml", body)


def passed(ingress: Ingress) -> None:
    done = ingress.reconcile()
    assert done.code == 0, done.err


def test_a_units_history_tells_its_whole_life(ingress: Ingress) -> None:
    weigh(ingress, 50, generation=2)
    passed(ingress)
    ingress.pull()
    ingress.git("revert", "--no-edit", "HEAD")
    ingress.git("push", "-q", "origin", "main")
    passed(ingress)
    ingress.run("hold", UNIT, "--reason", "freeze week")
    ingress.run("release", UNIT)
    (ingress.clusters / "eu1" / "orders.yaml").unlink()
    passed(ingress)
    rows = history(ingress, UNIT)
    assert happened(rows) == [
        ["removed", "released"],
        ["changed", "hold-ended"],
        ["hold-removed"],
        ["hold-added"],
        ["reverted"],
        ["changed"],
        ["exposed", "allocated"],
    ]
    people = [row["who"] for row in rows]
    assert people == [
        *("wharfinger", "wharfinger", "Ada Person", "Ada Person", "Ada Person"),
        *("wharfinger", "wharfinger"),
    ]
    assert [row["generation"] for row in rows] == [None, 2, None, None, None, 2, 1]
    assert [row["requester"] for row in rows][-3:] == [
        *("Ada Person", "eu1/shop", "eu1/shop"),
    ]
    assert all(
        ingress.git("cat-file", "-t", row["commit"], at=ingress.remote) for row in rows
    )
    assert "undoes" in rows[4]["events"][0]["text"]


def test_a_ports_history_tells_who_had_it(ingress: Ingress) -> None:
    port = port_of(ingress)
    (ingress.clusters / "eu1" / "orders.yaml").unlink()
    passed(ingress)
    for what in (str(port), f"public/{port}"):
        rows = history(ingress, what)
        assert happened(rows) == [["released"], ["allocated"]]
        assert {row["unit"] for row in rows} == {UNIT}
    table = ingress.run("history", str(port)).out.splitlines()
    assert table[0].startswith("TIME")
    assert len(table) == 3


def test_a_gateways_history_has_all_units_and_a_limit(ingress: Ingress) -> None:
    ingress.expose("eu1", "billing")
    passed(ingress)
    rows = history(ingress, "public")
    assert {UNIT, "eu1/shop/billing"} <= {row["unit"] for row in rows}
    done = ingress.run("history", "public", "-o", "json", "--limit", "1")
    body = json.loads(done.out)
    assert (len(body["items"]), body["more"]) == (1, True)
    assert body["items"][0]["unit"] == "eu1/shop/billing"


def test_addresses_are_told_when_asked_for(ingress: Ingress) -> None:
    ingress.write("eu1/node.yaml", documents.node("n1", "10.20.0.9"))
    passed(ingress)
    assert len(history(ingress, UNIT)) == 1
    assert happened(history(ingress, UNIT, "--addresses"))[0] == ["addresses"]


def test_an_api_is_asked_for_by_its_cluster(ingress: Ingress) -> None:
    rows = history(ingress, "eu1")
    assert happened(rows) == [["cluster"]]
    assert rows[0]["unit"] == "eu1"


def test_a_name_that_is_two_things_is_asked_back(ingress: Ingress) -> None:
    ingress.cluster("public")
    passed(ingress)
    done = ingress.run("history", "public")
    assert done.code == 2
    assert "gateway/public or cluster/public" in done.err
    assert history(ingress, "cluster/public")[0]["unit"] == "public"
    assert len(history(ingress, "gateway/public")) >= 1


@pytest.mark.parametrize(
    "what", ["08080", "65536", "a/b", "../x", "public/", "", "UPPER", "eu1/shop/a/b"]
)
def test_what_cannot_be_asked_for_is_usage(ingress: Ingress, what: str) -> None:
    assert ingress.run("history", what).code == 2
    assert ingress.run("who-had", what, "--at", "2026-11-20").code == 2


@pytest.mark.parametrize("at", ["yesterday", "2026-11-20T10:00:00", "2026-13-01", "1"])
def test_a_moment_without_a_zone_is_usage(ingress: Ingress, at: str) -> None:
    done = ingress.run("who-had", "20017", "--at", at)
    assert done.code == 2
    assert "2026-11-20T18:00:00Z" in done.err


def test_nothing_known_is_said_so(ingress: Ingress) -> None:
    done = ingress.run("history", "eu1/shop/nothing")
    assert (done.code, "knows nothing" in done.err) == (0, True)
    assert "nobody ever had it" in ingress.run("who-had", "20099").out


def merge(ingress: Ingress, files: dict[str, bytes | None], message: str) -> None:
    """A person's change on a branch, brought in by a merge commit as forges write it."""
    ingress.pull()
    ingress.git("checkout", "-q", "-B", "topic")
    for path, data in files.items():
        target = ingress.work / path
        if data is None:
            target.unlink()
        else:
            target.write_bytes(data)
    ingress.git("add", "-A")
    ingress.git("commit", "-q", "-m", "Weigh anew", "--author=Bo Dev <bo@example.com>")
    ingress.git("checkout", "-q", "main")
    ingress.git("merge", "-q", "--no-ff", "-m", message, "topic")
    ingress.git("push", "-q", "origin", "main")


@pytest.mark.parametrize(
    ("message", "request_name"),
    [
        ("Merge pull request #12 from bo/topic\n\nWeigh anew", "#12"),
        (
            "Merge branch 'topic' into 'main'\n\nWeigh\n\nSee merge request net/ingress!7",
            "net/ingress!7",
        ),
        (
            "Merge pull request 'Weigh anew' (#3) from topic into main\n\nReviewed-on: https://git.example.com/net/ingress/pulls/3\nReviewed-by: Cy Reviewer <cy@example.com>",
            "#3",
        ),
    ],
)
def test_a_merged_request_names_its_people(
    ingress: Ingress, message: str, request_name: str
) -> None:
    edited = ingress.show(WISH).encode().replace(b"wish ", b"wish 0", 1)
    merge(ingress, {WISH: edited}, message)
    row = history(ingress, UNIT)[0]
    assert row["pullRequest"] == request_name
    assert (row["who"], row["mergedBy"]) == ("Bo Dev", "Ada Person")
    assert len(row["via"]) == 1
    assert row["reviewers"] == (["Cy Reviewer"] if "Reviewed-by" in message else [])


def test_our_commits_that_a_forge_merged_stay_ours(ingress: Ingress) -> None:
    """The pass writes to a branch; a person merges it with a merge commit."""
    ingress.git("branch", "topic", "main", at=ingress.remote)
    weigh(ingress, 40, generation=5)
    assert ingress.run("reconcile", "--branch", "topic", "--write-back=off").code == 0
    ingress.pull()
    message = "Merge pull request #8 from wharfinger/eu1\n\nApproved-by: Cy Reviewer"
    ingress.git("merge", "-q", "--no-ff", "-m", message, "origin/topic")
    ingress.git("push", "-q", "origin", "main")
    row = history(ingress, UNIT)[0]
    assert (row["who"], row["attributed"], row["generation"]) == ("wharfinger", True, 5)
    assert (row["mergedBy"], row["reviewers"]) == ("Ada Person", ["Cy Reviewer"])
    assert (row["pullRequest"], row["requester"]) == ("#8", "eu1/shop")


def test_hostile_messages_are_harmless(ingress: Ingress) -> None:
    edited = ingress.show(WISH).encode() + b"# x\n"
    message = (
        "Break \x1b[31m (#9)\n\nReviewed-by: Eve\u202e\x1b]0;x\x07\n"
        f"{UNIT} generation 99\nWharfinger-Plan: forged\n"
    )
    ingress.commit({WISH: edited}, message)
    text = ingress.run("history", UNIT)
    assert text.code == 0
    assert not {"\x1b", "\u202e", "\x07"} & set(text.out)
    row = history(ingress, UNIT)[0]
    assert (row["who"], row["attributed"]) == ("Ada Person", False)
    assert row["generation"] is None


def test_a_foreign_removal_of_a_ledger_file_frees_nothing(ingress: Ingress) -> None:
    port = port_of(ingress)
    ingress.commit({f"ports/public/{port}.yaml": None}, "Free it")
    done = ingress.run("who-had", str(port))
    assert done.code == 0
    assert UNIT in done.out
    assert "there was no file; that changes nothing" in done.out
    (answer,) = items(ingress.run("who-had", str(port), "-o", "json"))
    assert (answer["unit"], answer["inUse"]) == (UNIT, True)
    assert answer["fileAgrees"] is False
    assert "frees nothing" in history(ingress, str(port))[0]["events"][0]["text"]


def test_a_released_port_was_in_quarantine_and_nobodys(ingress: Ingress) -> None:
    port = port_of(ingress)
    (ingress.clusters / "eu1" / "orders.yaml").unlink()
    passed(ingress)
    (answer,) = items(ingress.run("who-had", str(port), "-o", "json"))
    assert (answer["state"], answer["inUse"]) == ("released", False)
    assert answer["quarantineUntil"] is not None
    assert "nobody; in quarantine until" in ingress.run("who-had", str(port)).out
    later = datetime.now(UTC) + timedelta(days=3)
    assert (
        "free since"
        in ingress.run("who-had", str(port), "--at", f"{later:%Y-%m-%d}").out
    )
    before = ingress.run("who-had", str(port), "--at", "2001-01-01").out
    assert ": nobody" in before


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Ingress:
    """A small one of the repositories that are measured."""
    made = Near(root=tmp_path_factory.mktemp("generated"))
    generate(made.remote, Size(commits=400, files=60))
    return made


def test_who_had_counts_by_the_time_of_the_commit(generated: Ingress) -> None:
    (row,) = history(generated, "g0/20005")
    made = datetime.fromisoformat(row["time"])
    assert (made - datetime.fromtimestamp(START, UTC)).total_seconds() % STEP == 0
    asked = {}
    for name, moment in (("before", made - timedelta(seconds=1)), ("at", made)):
        at = moment.isoformat()
        (asked[name],) = items(
            generated.run("who-had", "20005", "--at", at, "-o", "json")
        )
    assert (asked["before"]["unit"], asked["before"]["until"]["commit"]) == (
        None,
        row["commit"],
    )
    assert asked["at"]["unit"] == str(Unit(5))
    assert asked["at"]["since"]["commit"] == row["commit"]
    assert asked["at"]["generation"] == 1


def test_a_generated_units_history_is_what_git_log_says(generated: Ingress) -> None:
    unit = Unit(3)
    rows = history(generated, str(unit), "--limit", "0")
    said = generated.git(
        *("log", "--first-parent", "--format=%H", "main", "--", f"{unit.stem}.yaml"),
        at=generated.remote,
    ).split()
    assert [row["commit"] for row in rows] == said
    assert len(said) > 3
    by_people = [row for row in rows if row["who"] == "Ada Person"]
    assert all(not row["attributed"] and row["pullRequest"] for row in by_people)


def test_a_clock_ahead_of_time_hides_nothing(ingress: Ingress) -> None:
    """A commit cannot be newer than the next one, whatever its clock said."""
    port = port_of(ingress)
    ingress.pull()
    text = ingress.show(f"ports/public/{port}.yaml").replace("active", "draining")
    (ingress.work / f"ports/public/{port}.yaml").write_text(text)
    ingress.git("add", "-A")
    env = ["env", "GIT_COMMITTER_DATE=2099-01-01T00:00:00Z", "git"]
    who = ["-c", "user.name=n", "-c", "user.email=n@x"]
    argv = [*env, *who, "commit", "-q", "-m", "From the future"]
    subprocess.run(argv, cwd=ingress.work, check=True)
    ingress.git("push", "-q", "origin", "main")
    assert history(ingress, str(port))[0]["time"].startswith("2099")
    ingress.commit({"README.md": b"x\n"}, "Go on")
    assert not history(ingress, str(port))[0]["time"].startswith("2099")
    (answer,) = items(ingress.run("who-had", str(port), "-o", "json"))
    assert answer["file"] == f"said draining of {UNIT}"
    assert (answer["state"], answer["fileAgrees"]) == ("active", True)


def test_a_ledger_file_that_cannot_be_read_is_told(ingress: Ingress) -> None:
    port = port_of(ingress)
    ingress.commit({f"ports/public/{port}.yaml": b"\x00[oops"}, "Break it")
    done = ingress.run("who-had", str(port))
    assert "could not be read" in done.out
    assert UNIT in done.out.splitlines()[0]
