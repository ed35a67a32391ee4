"""The command line but for `stochcore train`: errors, `info`, `noise`, `verify`."""

import os
import pty
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from command import COMMAND, HERE, LIMIT, Terminal, error_of, refused, run

import stochcore
from stochcore import Stream, _dispatch, _raw, cli, verify
from stochcore.noise import ENGINES

# ---- the front -----------------------------------------------------------------------------------


def test_bad_commands(capsys):
    line = "COMMAND must be one of train, noise, verify, info, got"
    assert refused(capsys, "fly") == f"{line} 'fly'"
    assert refused(capsys) == f"{line} nothing (see stochcore --help)"


@pytest.mark.parametrize("command", [["info"], ["train"], ["noise"], ["verify"]])
def test_unknown_instruction_set(command):
    line = error_of(run(*command, env={**os.environ, "STOCHCORE_ISA": "mmx"}))
    assert line.startswith("STOCHCORE_ISA must be one of ")
    assert "scalar" in line
    assert "got 'mmx'" in line


@pytest.mark.parametrize("command", [[], ["info"], ["noise"], ["verify"]])
def test_help_fits_a_terminal(command):
    told = run(*command, "--help", env={**os.environ, "COLUMNS": "80"})
    assert told.returncode == 0
    assert max(map(len, told.stdout.splitlines())) <= 80
    options = {"noise": "raw seed stream engine streams bytes", "verify": "quick seed estimators"}
    for option in options.get("".join(command), "").split():
        assert f"--{option} " in told.stdout


# ---- info ----------------------------------------------------------------------------------------


def test_info_and_version():
    told = run("info")
    assert told.returncode == 0
    assert told.stderr == ""
    config = stochcore.show_config(mode="dicts")
    assert told.stdout.splitlines()[:3] == [
        f"stochcore:       {stochcore.__version__}",
        f"instruction set: {config['instruction_set']}",
        f"runnable:        {', '.join(config['runnable'])}",
    ]
    assert run("--version").stdout == f"stochcore {stochcore.__version__}\n"


def test_show_config(capsys):
    config = stochcore.show_config(mode="dicts")
    assert capsys.readouterr().out == ""
    assert config["engine"] == Stream(0).engine
    assert config["instruction_set"] in config["runnable"]
    assert config["threads"] >= 1
    assert isinstance(config["openmp"], bool)
    assert stochcore.show_config() is None
    assert len(capsys.readouterr().out.splitlines()) == len(config)
    with pytest.raises(ValueError, match="`mode` must be 'stdout' or 'dicts', got 'json'"):
        stochcore.show_config(mode="json")


def test_nobody_reads_the_output():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*COMMAND, "info"],
        cwd=HERE,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    os.close(writer)
    assert done.stderr == ""


# ---- noise ---------------------------------------------------------------------------------------


def raw(*options, n_bytes):
    """The first bytes of an endless stream; closes the pipe after them."""
    command = [*COMMAND, "noise", "--raw", *map(str, options)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=HERE) as process:
        content = process.stdout.read(n_bytes)
        process.stdout.close()
        assert process.wait(LIMIT) == 0
        assert process.stderr.read() == b""
    return content


def words(content):
    return np.frombuffer(content, dtype="<u8")


@pytest.mark.parametrize("engine", ENGINES)
def test_raw_noise_is_the_bits_of_the_stream(engine):
    n = 3 * _raw.CHUNK + 5
    content = raw("--engine", engine, "--seed", 2**64 - 1, "--stream", 9, n_bytes=8 * n)
    assert np.array_equal(words(content), Stream(2**64 - 1, stream=9, engine=engine).bits(n, dtype=np.uint64))


def test_raw_noise_of_the_default_stream():
    assert np.array_equal(words(raw(n_bytes=800)), Stream(0).bits(100, dtype=np.uint64))


@pytest.mark.parametrize("n_streams", [2, 3, 1000, 50_000])
def test_raw_noise_of_interleaved_streams(n_streams):
    n = 5 if n_streams == 50_000 else 8 * _raw.CHUNK // n_streams + 3
    content = raw("--seed", 5, "--stream", 7, "--streams", n_streams, n_bytes=8 * n * n_streams)
    rows = words(content).reshape(n, n_streams)
    for i in {0, 1, n_streams // 2, n_streams - 1}:
        assert np.array_equal(rows[:, i], Stream(5, stream=7 + i).bits(n, dtype=np.uint64))


@pytest.mark.parametrize("n_bytes", [0, 1, 8, 1001, 8 * (1 << 17), 3_000_001])
def test_raw_noise_ends_after_so_many_bytes(n_bytes, tmp_path):
    path = tmp_path / "noise"
    with path.open("wb") as file:
        command = [*COMMAND, "noise", "--raw", "--bytes", str(n_bytes)]
        assert subprocess.run(command, stdout=file, timeout=LIMIT, check=False, cwd=HERE).returncode == 0
    bits = Stream(0).bits(n_bytes // 8 + 1, dtype=np.uint64).astype("<u8").tobytes()
    assert path.read_bytes() == bits[:n_bytes]


def test_raw_noise_ends_on_ctrl_c():
    command = [*COMMAND, "noise", "--raw"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=HERE) as process:
        assert len(process.stdout.read(100)) == 100
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(LIMIT) == 0
        assert process.stderr.read() == b""


def test_raw_noise_is_not_written_to_a_terminal():
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [*COMMAND, "noise", "--raw"],
        stdout=theirs,
        stderr=subprocess.PIPE,
        text=True,
        timeout=LIMIT,
        check=False,
        cwd=HERE,
    )
    os.set_blocking(ours, False)
    os.close(theirs)
    with pytest.raises(OSError, match="Input/output error"):  # nothing came
        os.read(ours, 1)
    os.close(ours)
    rule = "--raw writes bytes for other programs: send them to a pipe or a file, not to a terminal"
    assert (done.returncode, done.stderr) == (2, f"stochcore: error: {rule}\n")


def test_raw_noise_on_a_full_disk():
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run(
            [*COMMAND, "noise", "--raw"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.startswith("stochcore: error: ")
    assert "No space left" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_noise_shows_every_kind(capsys):
    assert cli.main(["noise", "--seed", "3", "--stream", "2", "--engine", "philox"]) == 0
    lines = capsys.readouterr().out.splitlines()
    stream = Stream(3, stream=2, engine="philox")
    assert lines[0] == f"first elements of {stream!r}"
    assert lines[2].split() == ["element", "bits", *_raw.VARIATES]
    rows = [line.split() for line in lines[3:]]
    assert [int(row[0]) for row in rows] == list(range(_raw.ROWS))
    assert [int(row[1], 16) for row in rows] == stream.bits(_raw.ROWS, dtype=np.uint64).tolist()
    for column, kind in enumerate(_raw.VARIATES, 2):
        shown = [float(row[column]) for row in rows]
        np.testing.assert_allclose(shown, getattr(stream, kind)(_raw.ROWS), rtol=0, atol=5.01e-9)
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--streams", "3"], "--streams goes with --raw"),
        (["--bytes", "3"], "--bytes goes with --raw"),
        (["--raw", "--bytes", "-1"], "--bytes must be a whole number from 0 to 2^63 - 1, got '-1'"),
        (["--raw", "--streams", "0"], "--streams must be a whole number from 1 to 1,000,000, got '0'"),
        (["--stream", str(2**32)], f"--stream must be a whole number from 0 to 4,294,967,295, got '{2**32}'"),
        (["--seed", "-1"], "--seed must be a whole number from 0 to 2^64 - 1, got '-1'"),
        (["--engine", "dice"], f"--engine must be one of {', '.join(ENGINES)}, got 'dice'"),
        (
            ["--raw", "--stream", str(2**32 - 1), "--streams", "2"],
            "--streams must end at stream 2^32 - 1, got 2 from 4294967295 on",
        ),
    ],
)
def test_noise_with_bad_options(capsys, options, line):
    assert refused(capsys, "noise", *options) == line


@pytest.mark.alone
@pytest.mark.slow
def test_raw_noise_is_fast():
    """Some 2 GB in a second of the writer's own time, which does not depend on how busy the machine is; at least 1."""

    def seconds(n_bytes):
        command = [*COMMAND, "noise", "--raw", "--bytes", str(n_bytes)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=HERE) as process:
            buffer = bytearray(1 << 20)
            while process.stdout.readinto(buffer):
                pass
            _, process.returncode, used = os.wait4(process.pid, 0)
        return used.ru_utime + used.ru_stime

    assert min(seconds(4 * 10**9) for _ in range(3)) - min(seconds(1) for _ in range(3)) < 4


# ---- verify --------------------------------------------------------------------------------------


@pytest.fixture
def report(monkeypatch):
    """A report that `verify` gives at once; the test fills it."""
    wrong = {"scalar": {column: [] for column in verify.COLUMNS}}
    p_values = {"philox": {"a test": dict.fromkeys(verify.WAYS, 0.5), "other": dict.fromkeys(verify.WAYS, 0.25)}}
    made = verify.Report(wrong, p_values, 0, 65536)
    asked = []

    def run(**options):
        asked.append(options)
        for done in range(4):
            options["progress"] and options["progress"](done, 3, f"part {done}")
        return made

    monkeypatch.setattr(verify, "run", run)
    return made, asked


def test_verify_is_content(capsys, report):
    assert cli.main(["verify", "--quick", "--seed", "7"]) == 0
    told = capsys.readouterr()
    assert told.out == f"{report[0]}\n"
    assert told.out.splitlines()[-1].startswith("OK: ")
    assert told.err == ""
    assert report[1] == [{"quick": True, "seed": 7, "progress": None}]


def test_verify_finds_something(capsys, report):
    report[0].wrong["scalar"]["1 thread"].append("scalar, 1 thread: ars normal float64 has other bits")
    assert cli.main(["verify"]) == 1
    told = capsys.readouterr()
    assert told.out.splitlines()[-2:] == [
        "scalar, 1 thread: ars normal float64 has other bits",
        "FAILED: this installation's noise is not what it should be",
    ]
    assert report[1][0]["quick"] is False


def test_verify_in_a_terminal_shows_how_far_it_is(capsys, monkeypatch, report):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert cli.main(["verify"]) == 0
    shown = capsys.readouterr().err
    assert re.search(r" 0% \|.*\| part 0", shown)
    assert re.search(r"33% \|.*\| part 1", shown)


def test_verify_in_a_terminal_without_tqdm(capsys, monkeypatch, report):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert cli.main(["verify"]) == 0
    assert capsys.readouterr().err == ""


def test_verify_is_interrupted(capsys, monkeypatch):
    def interrupted(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr(verify, "run", interrupted)
    assert cli.main(["verify"]) == 130
    assert capsys.readouterr().err == "\nstochcore: interrupted\n"


def test_verify_with_bad_options(capsys):
    assert refused(capsys, "verify", "--seed", "x") == "--seed must be a whole number from 0 to 2^64 - 1, got 'x'"


@pytest.mark.slow
def test_verify_for_people():
    """The whole way, once, as a process in a terminal."""
    with Terminal("verify", "--quick") as terminal:
        out = terminal.finish()
        assert terminal.process.returncode == 0, out
    lines = out.splitlines()
    for name in _dispatch.runnable():
        assert f"{name:<24}" + "          right" * 3 in lines
    assert re.match(r"\d+ p-values of 65,536 words each, seed 0: smallest ", lines[-2])
    assert lines[-1].startswith("OK: ")
    assert max(map(len, lines[:-2])) <= 80
