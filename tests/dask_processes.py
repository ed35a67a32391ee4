"""A Dask cluster of real processes, and a relay before its scheduler that can drop connections."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from dask.distributed import Client

HERE = str(Path(__file__).parent)


class Relay:
    """Passes on to an address whatever comes, both ways."""

    def __init__(self, host, port):
        self._to, self._open = (host, port), []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = "tcp://{}:{}".format(*self._server.getsockname())
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                came = self._server.accept()[0]
                try:
                    ends = came, socket.create_connection(self._to)
                except OSError:
                    came.close()
                    continue
                self._open += ends
                for one, other in (ends, ends[::-1]):
                    threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one, other):
        with one:
            with contextlib.suppress(OSError):
                while data := one.recv(1 << 16):
                    other.sendall(data)
            self._shut(one, other)

    @staticmethod
    def _shut(*sockets):
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def drop(self):
        """End all connections; others may come."""
        self._shut(*self._open)
        self._open.clear()

    def end(self):
        self._shut(self._server)
        self._server.close()
        self.drop()


class DaskProcesses:
    """A scheduler and two workers."""

    def __init__(self, folder):
        at = Path(folder) / f"scheduler-{os.urandom(4).hex()}.json"
        options = ["--scheduler-file", str(at), "--no-dashboard"]
        self.scheduler = self._start("scheduler", "--port", "0", *options)
        while not (at.exists() and at.read_text().endswith("}")):
            time.sleep(0.05)
        self._workers = [self._start("worker", "--nthreads", "1", "--no-nanny", *options) for _ in range(2)]
        host, port = json.loads(at.read_text())["address"].removeprefix("tcp://").split(":")
        self.relay, self._clients = Relay(host, int(port)), []

    @staticmethod
    def _start(what, *options):
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{what}", *options],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([HERE, *sys.path])},
        )  # fmt: skip

    def executor(self):
        """Of a client that comes through the relay, once both workers are there."""
        self._clients.append(Client(self.relay.address, timeout=60))
        self._clients[-1].wait_for_workers(2)
        return self._clients[-1].get_executor()

    def end(self):
        for process in (*self._workers, self.scheduler):
            process.kill()
            process.wait()
        for client in self._clients:
            client.close(timeout=1)
        self.relay.end()
