"""How a run finds the programs that another one started."""

import threading

from app.local.process import Process


def test_who_looks_while_a_process_is_written_down_finds_the_whole_of_it(tmp_path):
    file, over = tmp_path / "process.json", threading.Event()
    gone = Process(pid=2**22 + 1, began="never")  # beyond what Linux gives, so it never runs
    gone.save(file)

    def write():
        while not over.is_set():
            gone.save(file)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        found = {Process.saved(file) for _ in range(3_000)}
    finally:
        over.set()
        writer.join()
    assert found == {None}
