"""`rsspade prepare --scheduler`: a cluster that is already there does the same work."""

import hashlib
import logging

import pytest
from distributed import LocalCluster

from rsspade.cli import main


def content(folder):
    return {p.relative_to(folder): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*.tif")}


@pytest.mark.slow
def test_a_cluster_gives_the_same_bytes_as_one_process(tmp_path, make_scene_files):
    files = make_scene_files(tmp_path / "in")
    given = [a for n, p in files.items() for a in (f"--{n}", str(p))]
    command = ["prepare", *given, "--landcover-scheme", "dynamic_world", "--tile-size", "64", "--split", "1:0:0"]
    assert main([*command, "--workers", "1", "--out", str(tmp_path / "here")]) == 0
    with LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.CRITICAL
    ) as cluster:
        assert main([*command, "--scheduler", cluster.scheduler_address, "--out", str(tmp_path / "there")]) == 0
    assert content(tmp_path / "here") == content(tmp_path / "there")
    assert len(content(tmp_path / "there")) == 4 * 16
