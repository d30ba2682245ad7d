# SPDX-License-Identifier: BSD-2-Clause
"""A temporary folder and processes that do not outlive this one, however it ends."""
import os
import shutil
import signal
import subprocess
import tempfile
import time

# Deleting a folder in which a dying QEMU still makes files may take a second try.
KEEPER = """
trap '' INT TERM HUP QUIT
cat >/dev/null
for try in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf -- "$1" 2>/dev/null && break
    sleep 0.2
done
"""


class Box:
    """`with Box() as box`: box.path is the folder, box.start() a process that dies with us.

    The kernel kills the processes when this one dies, and the keeper, which sees the end of a pipe,
    deletes the folder then. In any other case we do both.
    """

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="pagerail-rig.")
        self.processes = []
        self.keeper = subprocess.Popen(["/bin/sh", "-c", KEEPER, "rig-keeper", self.path],
                                       stdin=subprocess.PIPE, start_new_session=True,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self

    def start(self, command, **options):
        process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--", *command],
                                   stdin=subprocess.DEVNULL, start_new_session=True, **options)
        self.processes.append(process)
        return process

    def wait(self, index, timeout_s):
        """Until the process that was started as number index has ended, or for timeout_s."""
        try:
            self.processes[index].wait(timeout_s)
        except subprocess.TimeoutExpired:
            pass

    def __exit__(self, *_):
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
        for process in self.processes:
            process.wait()
        for _ in range(10):
            shutil.rmtree(self.path, ignore_errors=True)
            if not os.path.exists(self.path):
                break
            time.sleep(0.2)
        self.keeper.stdin.close()
        self.keeper.wait()
