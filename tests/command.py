"""Runs the command line as people do: as a process of its own, in a terminal, misused."""

import os
import pty
import re
import select
import subprocess
import sys
import threading
import time
from pathlib import Path

from stochcore import cli

HERE = Path(__file__).parent  # not where a package of the same name may lie
COMMAND = [sys.executable, "-m", "stochcore"]
LIMIT = 120  # seconds that no command here comes near


def run(*arguments, **options):
    words = [*COMMAND, *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=LIMIT, check=False, cwd=HERE, **options)


def error_of(done):
    """The one line of a refused command."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("stochcore: error: ")
    return lines[0].removeprefix("stochcore: error: ")


def refused(capsys, *arguments):
    """The one line of a command that is refused in this process: quicker."""
    try:
        status = cli.main([str(argument) for argument in arguments])
    except SystemExit as left:
        status = left.code
    out, err = capsys.readouterr()
    return error_of(subprocess.CompletedProcess(arguments, status, out, err))


class Terminal:
    """A command in a pseudo-terminal of 90 columns; stdout is a pipe."""

    def __init__(self, *arguments):
        ours, theirs = pty.openpty()
        import fcntl
        import struct
        import termios

        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 90, 0, 0))
        self.process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, stderr=theirs, cwd=HERE
        )
        os.close(theirs)
        self.ours, self.shown = ours, ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.stdout.close()
        self.process.wait()
        os.close(self.ours)

    def read_until(self, pattern):
        """Read stderr up to a match, or to its end where there is none."""
        end = time.monotonic() + LIMIT
        while not (pattern and re.search(pattern, self.shown)) and time.monotonic() < end:
            ready, _, _ = select.select([self.ours], [], [], 0.05)
            if ready:
                try:
                    self.shown += os.read(self.ours, 4096).decode()
                except OSError:  # the other side is closed
                    break
        return self.shown

    def finish(self):
        """Read to the end; return stdout."""
        reader = threading.Thread(target=self.read_until, args=(None,))
        reader.start()
        out = self.process.stdout.read().decode()
        self.process.wait(LIMIT)
        reader.join(LIMIT)
        return out
