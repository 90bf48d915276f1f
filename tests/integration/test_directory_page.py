"""The cluster of docs/directory.md is a whole one: it gets its routes as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

from tests.ingress import Near

PAGE = Path(__file__).parents[2] / "docs" / "directory.md"


def test_the_cluster_of_the_page_is_served(tmp_path: Path) -> None:
    _, cluster = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    place = Near(root=tmp_path).start()
    (place.clusters / "eu1").rename(tmp_path / "unused")
    folder = place.clusters / "eu2"
    folder.mkdir()
    (folder / "all.yaml").write_text(cluster)
    done = place.reconcile()
    assert done.code == 0, done.err
    made = {(row["cluster"], row["name"]) for row in done.rows("create")}
    assert made == {("eu2", None), ("eu2", "orders")}
