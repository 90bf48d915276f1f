"""Under review, a broken branch beside main stops proposals and nothing else."""

from __future__ import annotations

from pathlib import Path

from tests import documents
from tests.ingress import Near


def test_a_branch_that_cannot_be_brought_does_not_stop_addresses(
    tmp_path: Path,
) -> None:
    ingress = Near(root=tmp_path).start()
    assert ingress.reconcile().code == 0
    review = {"mode": "pull-request", "forge": "gitea"}
    ingress.commit({"wharfinger.yaml": ingress.settings(review=review)}, "Review it")
    who = "A <a@example.com> 1 +0000"
    broken = tmp_path / "broken"
    broken.write_text(f"tree {'1' * 40}\nauthor {who}\ncommitter {who}\n\nbad\n")
    made = ("hash-object", "-t", "commit", "-w", "--literally", str(broken))
    bad = ingress.git(*made, at=ingress.remote)
    ref = ingress.remote / "refs" / "heads" / "wharfinger" / "eu1" / "shop"
    ref.parent.mkdir(parents=True)
    ref.write_text(bad)
    ingress.write("eu1/node.yaml", documents.node("n1", "10.20.0.9"))
    ingress.expose("eu1", "stock")
    done = ingress.reconcile()
    assert done.code == 3, done.err
    assert "request branches cannot be fetched" in done.err
    assert done.plan["commit"]
    path = "manifests/public/eu1/shop/vs-orders.endpoints.yaml"
    assert "10.20.0.9" in ingress.show(path)
    assert not any("stock" in each for each in ingress.files())
