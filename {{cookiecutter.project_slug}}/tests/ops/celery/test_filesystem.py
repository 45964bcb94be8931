"""The filesystem broker, which development has without Docker."""

from threading import Event, Thread

from kombu import Connection

import config.celery  # noqa: F401  installs the transport


def test_a_worker_never_finds_a_message_that_is_not_complete(tmp_path):
    folder, control = tmp_path / "messages", tmp_path / "control"
    folder.mkdir()
    options = {"data_folder_in": str(folder), "data_folder_out": str(folder), "control_folder": str(control)}
    body, sizes, all_sent = "x" * 1_000_000, set(), Event()

    def look():
        while not all_sent.is_set():
            sizes.update(file.stat().st_size for file in folder.glob("*.msg"))

    worker = Thread(target=look)
    worker.start()
    with Connection("filesystem://", transport_options=options) as connection:
        for _ in range(20):
            connection.default_channel._put("default", {"body": body})
        all_sent.set()
        worker.join()

        assert len(sizes) == 1
        assert connection.default_channel._get("default") == {"body": body}
