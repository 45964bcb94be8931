"""Files whose age tells what a process can do: ops/heartbeat.py."""

from ops import heartbeat, watchdog


def test_each_process_has_two_files_of_its_own_where_the_watchdog_looks():
    files = [kind(name) for kind in (heartbeat.alive, heartbeat.ready) for name in ("worker", "another")]

    assert len(set(files)) == 4
    assert heartbeat.alive("worker") == watchdog.FOLDER / "worker.alive"
    assert heartbeat.ready("worker") == watchdog.FOLDER / "worker.ready"


def test_a_process_that_ends_deletes_its_heartbeat_files(tmp_path, monkeypatch):
    monkeypatch.setattr(heartbeat, "FOLDER", tmp_path)
    heartbeat.alive("worker").touch()

    heartbeat.end("worker")

    assert list(tmp_path.iterdir()) == []
