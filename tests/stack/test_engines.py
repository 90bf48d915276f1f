"""The engines and Git servers do for real what tests of the product rely on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stack.argocd import ARGO, IN_CLUSTER, NAMESPACE, Argocd
from tests.stack.checkout import Checkout, git
from tests.stack.documents import Document, Ref
from tests.stack.flux import Flux
from tests.stack.gitea import Gitea, GiteaError, GitRemote
from tests.stack.kube import Cluster
from tests.stack.process import ProcessError
from tests.stack.ssh_remote import SshRemote
from tests.stack.stack import Stack

pytestmark = pytest.mark.stack
FOLDER = "manifests/public/eu1"


def config_map(name: str, namespace: str, value: str = "1") -> str:
    return f"""\
apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}, namespace: {namespace}}}
data: {{value: "{value}"}}
"""


def files(namespace: str, *names: str, value: str = "1") -> dict[str, str | None]:
    return {
        f"{FOLDER}/shop/vs-{name}.yaml": config_map(name, namespace, value)
        for name in names
    }


def value_of(hub: Cluster, name: str, namespace: str) -> str | None:
    found = hub.api.find(Ref("v1", "ConfigMap", name, namespace))
    return found["data"]["value"] if found else None


def resources(application: Document) -> dict[str, str]:
    return {r["name"]: r["status"] for r in application["status"]["resources"]}


def test_argo_cd_applies_and_prunes_what_git_says(
    argocd: Argocd, remote: GitRemote, checkout: Checkout, namespace: str
) -> None:
    first = checkout.commit(files(namespace, "orders", "billing"))
    checkout.push()
    argocd.application(namespace, remote.url, FOLDER, namespace)
    seen = argocd.sync(namespace, first)
    assert resources(seen) == {"orders": "Synced", "billing": "Synced"}
    assert value_of(argocd.hub, "orders", namespace) == "1"

    second = checkout.commit({f"{FOLDER}/shop/vs-orders.yaml": None})
    checkout.push()
    seen = argocd.sync(namespace, second)
    assert resources(seen) == {"billing": "Synced"}
    assert value_of(argocd.hub, "orders", namespace) is None
    argocd.forget(namespace)


def test_a_paused_application_sees_a_commit_and_does_not_apply_it(
    argocd: Argocd, remote: GitRemote, checkout: Checkout, namespace: str
) -> None:
    first = checkout.commit(files(namespace, "orders"))
    checkout.push()
    argocd.application(namespace, remote.url, FOLDER, namespace)
    argocd.sync(namespace, first)
    argocd.pause(namespace)
    second = checkout.commit(files(namespace, "orders", value="2"))
    checkout.push()
    argocd.refresh(namespace)
    seen = argocd.wait_out_of_sync(namespace, second)
    assert resources(seen) == {"orders": "OutOfSync"}
    assert value_of(argocd.hub, "orders", namespace) == "1"
    argocd.resume(namespace)
    argocd.wait_synced(namespace, second)
    assert value_of(argocd.hub, "orders", namespace) == "2"
    argocd.forget(namespace)


def test_an_application_can_stay_at_an_older_revision(
    argocd: Argocd, remote: GitRemote, checkout: Checkout, namespace: str
) -> None:
    first = checkout.commit(files(namespace, "orders"))
    second = checkout.commit(files(namespace, "orders", value="2"))
    checkout.push()
    argocd.application(namespace, remote.url, FOLDER, namespace)
    argocd.sync(namespace, second)
    argocd.pin(namespace, first)
    argocd.wait_synced(namespace, first)
    assert value_of(argocd.hub, "orders", namespace) == "1"
    argocd.forget(namespace)


def test_a_stopped_argo_cd_goes_on_reporting_the_older_revision(
    argocd: Argocd, remote: GitRemote, checkout: Checkout, namespace: str
) -> None:
    first = checkout.commit(files(namespace, "orders"))
    checkout.push()
    ref = argocd.application(namespace, remote.url, FOLDER, namespace)
    argocd.sync(namespace, first)
    argocd.controller.stop()
    try:
        second = checkout.commit(files(namespace, "orders", value="2"))
        checkout.push()
        argocd.refresh(namespace)
        assert argocd.hub.api.get(ref)["status"]["sync"]["revision"] == first
    finally:
        argocd.controller.start()
    argocd.wait_synced(namespace, second)
    argocd.forget(namespace)


def test_an_application_set_makes_one_application_per_folder(
    argocd: Argocd, remote: GitRemote, checkout: Checkout, namespace: str
) -> None:
    folders = {
        f"manifests/public/{cluster}/shop/vs-orders.yaml": config_map(
            cluster, namespace
        )
        for cluster in ("eu1", "us1")
    }
    commit = checkout.commit({**folders})
    checkout.push()
    source = {"repoURL": remote.url, "targetRevision": "main"}
    git_generator = {
        "repoURL": remote.url,
        "revision": "main",
        "directories": [{"path": "manifests/public/*"}],
    }
    spec = {
        "project": "default",
        "source": {
            **source,
            "path": "{{.path.path}}",
            "directory": {"recurse": True},
        },
        "destination": {"server": IN_CLUSTER, "namespace": namespace},
        "syncPolicy": {"automated": {"prune": True}},
    }
    name = f"{namespace}-{{{{.path.basename}}}}"
    argocd.hub.api.apply(
        {
            "apiVersion": ARGO,
            "kind": "ApplicationSet",
            "metadata": {"name": namespace, "namespace": NAMESPACE},
            "spec": {
                "goTemplate": True,
                "generators": [{"git": git_generator}],
                "syncPolicy": {"preserveResourcesOnDeletion": True},
                "template": {"metadata": {"name": name}, "spec": spec},
            },
        }
    )
    for cluster in ("eu1", "us1"):
        argocd.wait_synced(f"{namespace}-{cluster}", commit)
        assert value_of(argocd.hub, cluster, namespace) == "1"

    third = config_map("ap1", namespace)
    commit = checkout.commit({"manifests/public/ap1/shop/vs-orders.yaml": third})
    checkout.push()
    argocd.refresh_set(namespace)
    argocd.wait_synced(f"{namespace}-ap1", commit)
    argocd.hub.api.delete(Ref(ARGO, "ApplicationSet", namespace, NAMESPACE))


def test_flux_applies_and_prunes_what_git_says(
    flux: Flux, remote: GitRemote, checkout: Checkout, namespace: str
) -> None:
    checkout.commit(files(namespace, "orders", "billing"))
    checkout.push()
    flux.source(namespace, remote.url)
    ref = flux.kustomization(namespace, namespace, f"./{FOLDER}")
    flux.sync(namespace, remote.bare)
    entries = flux.hub.api.get(ref)["status"]["inventory"]["entries"]
    assert {e["id"] for e in entries} == {
        f"{namespace}_{name}__ConfigMap" for name in ("orders", "billing")
    }

    checkout.commit({f"{FOLDER}/shop/vs-orders.yaml": None})
    checkout.push()
    flux.sync(namespace, remote.bare)
    assert value_of(flux.hub, "orders", namespace) is None
    assert value_of(flux.hub, "billing", namespace) == "1"
    flux.forget(namespace)
    assert value_of(flux.hub, "billing", namespace) is None


def test_a_stopped_flux_goes_on_reporting_the_older_revision(
    flux: Flux, remote: GitRemote, checkout: Checkout, namespace: str
) -> None:
    first = checkout.commit(files(namespace, "orders"))
    checkout.push()
    flux.source(namespace, remote.url)
    ref = flux.kustomization(namespace, namespace, f"./{FOLDER}")
    flux.sync(namespace, remote.bare)
    flux.daemon.stop()
    try:
        second = checkout.commit(files(namespace, "orders", value="2"))
        checkout.push()
        flux.publish(namespace, remote.bare)
        status = flux.hub.api.get(ref)["status"]
        assert status["lastAppliedRevision"] == f"main@sha1:{first}"
    finally:
        flux.daemon.start()
    flux.wait_applied(namespace, second)
    assert value_of(flux.hub, "orders", namespace) == "2"
    flux.forget(namespace)


def test_a_suspended_kustomization_stays_at_its_revision(
    flux: Flux, remote: GitRemote, checkout: Checkout, namespace: str
) -> None:
    witness = f"{namespace}-witness"
    other = {"witness/one.yaml": config_map("witness", namespace)}
    first = checkout.commit({**files(namespace, "orders"), **other})
    checkout.push()
    flux.source(namespace, remote.url)
    ref = flux.kustomization(namespace, namespace, f"./{FOLDER}")
    flux.kustomization(witness, namespace, "./witness")
    flux.sync(namespace, remote.bare)
    flux.suspend(namespace)
    flux.hub.api.wait_for(ref, lambda k: k["status"]["observedGeneration"] == 2)
    second = checkout.commit(files(namespace, "orders", value="2"))
    checkout.push()
    flux.publish(namespace, remote.bare)
    flux.wait_applied(witness, second)
    status = flux.hub.api.get(ref)["status"]
    assert status["lastAppliedRevision"] == f"main@sha1:{first}"
    flux.suspend(namespace, suspended=False)
    flux.wait_applied(namespace, second)
    flux.forget(namespace)
    flux.forget(witness)


def test_the_forge_wants_a_token(remote: GitRemote, tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="could not read Username"):
        Checkout.of(remote.url, tmp_path / "anonymous")
    mine = Checkout.of(remote.authenticated_url, tmp_path / "mine")
    commit = mine.commit({"a": "1"})
    mine.push()
    assert git(remote.bare, "rev-parse", "main") == commit


def test_a_reader_of_the_forge_may_not_push(
    gitea: Gitea, remote: GitRemote, checkout: Checkout, tmp_path: Path
) -> None:
    checkout.commit({"a": "1"})
    checkout.push()
    reader = gitea.account(f"reader-{remote.slug.rpartition('-')[2]}")
    with pytest.raises(GiteaError, match="404"):
        gitea.api("GET", f"/repos/{remote.slug}", account=reader)
    gitea.grant(remote, reader, "read")
    other = Checkout.of(remote.url_of(reader), tmp_path / "other")
    other.commit({"a": "2"})
    with pytest.raises(ProcessError, match=r"not allowed to push|403|denied"):
        other.push()


def test_a_protected_branch_takes_changes_only_by_pull_request(
    gitea: Gitea, remote: GitRemote, checkout: Checkout
) -> None:
    checkout.commit({"a": "1"})
    checkout.push()
    gitea.protect(remote)
    checkout.commit({"a": "2"}, "Raise a")
    with pytest.raises(ProcessError, match="Not allowed to push to protected branch"):
        checkout.push()
    checkout.push("main:raise-a")
    number = gitea.open_pull(remote, "raise-a", "Raise a")
    assert [p["number"] for p in gitea.pulls(remote)] == [number]
    merged = gitea.merge(remote, number, "squash")
    assert checkout.pull() == merged
    assert (checkout.folder / "a").read_text() == "2"
    assert not gitea.pulls(remote)


def test_a_hook_of_the_server_refuses_with_its_message(
    gitea: Gitea, remote: GitRemote, checkout: Checkout
) -> None:
    checkout.commit({"a": "1"})
    checkout.push()
    gitea.refuse_pushes(remote, "policy: no changes on Tuesdays")
    checkout.commit({"a": "2"})
    with pytest.raises(ProcessError, match="no changes on Tuesdays"):
        checkout.push()
    checkout.push("main:elsewhere")


def test_git_over_ssh_pushes_for_the_right_key_and_host(
    ssh_remote: SshRemote, tmp_path: Path
) -> None:
    repository = ssh_remote.create_repo("right")
    known = tmp_path / "known_hosts"
    known.write_text(ssh_remote.known_hosts())
    clone = Checkout.of(
        repository.url, tmp_path / "clone", ssh_remote.client_environment(known)
    )
    commit = clone.commit({"a": "1"})
    clone.push()
    assert git(repository.bare, "rev-parse", "main") == commit


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_either_host_key_of_the_ssh_server_is_enough(
    ssh_remote: SshRemote, tmp_path: Path, kind: str
) -> None:
    repository = ssh_remote.create_repo(f"only-{kind}")
    known = tmp_path / "known_hosts"
    known.write_text(ssh_remote.known_hosts(kind))
    environment = ssh_remote.client_environment(known)
    assert git(tmp_path, "ls-remote", repository.url, env=environment) == ""


def test_a_changed_or_unknown_host_key_and_a_strange_user_are_refused(
    ssh_remote: SshRemote, tmp_path: Path
) -> None:
    repository = ssh_remote.create_repo("refused")
    known = tmp_path / "known_hosts"

    def listing(text: str, key: Path | None = None) -> str:
        known.write_text(text)
        environment = ssh_remote.client_environment(known, key)
        return git(tmp_path, "ls-remote", repository.url, env=environment)

    with pytest.raises(ProcessError, match=r"[Hh]ost key .*has changed"):
        listing(ssh_remote.wrong_known_hosts())
    with pytest.raises(ProcessError, match=r"No \S+ host key is known"):
        listing(ssh_remote.unrelated_known_hosts())
    with pytest.raises(ProcessError, match="Permission denied"):
        listing(ssh_remote.known_hosts(), ssh_remote.stranger_key)


def test_engines_and_forge_that_end_leave_no_program(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    with Stack(logs=logs) as other, Gitea(logs) as forge, SshRemote(logs) as ssh:
        hub = other.cluster("hub", crds=())
        with Argocd(hub, logs) as argo, Flux(hub, logs) as flux:
            daemons = [forge.daemon, ssh.daemon, flux.daemon, argo.redis]
            daemons += [argo.repo_server, argo.controller, argo.set_controller]
            pids = [daemon.pid for daemon in daemons]
            assert all(pids)
    assert not any(daemon.running for daemon in daemons)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
