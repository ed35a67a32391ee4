"""Turn what pytest-benchmark measured into docs/benchmarks.md and docs/benchmarks.png.

    python benchmarks/report.py build/bench.json [--docs FOLDER]

Nothing in the report is written by hand but the words: figures, names and versions are those in the file.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import plot

OURS = "stochcore"
NAMES = {
    "numpy": "NumPy",
    "mkl": "MKL",
    "blas": "NumPy, BLAS on all",
    "numba": "numba",
    "torch": "torch",
    "jax": "JAX",
    "scipy": "SciPy",
    "alone": "itself on one thread",
    "gymnasium": "Gymnasium",
}
STAGES = {
    "noise": "Filling arrays with noise",
    "distributions": "Samples",
    "tables": "Tables of a new model",
    "costs": "Costs of given samples",
    "estimators": "Gradients of an expected cost",
    "networks": "Training a network with Bernoulli units",
    "optimize": "Descent",
    "simulators": "Whole programs",
}
NOTES = {
    "noise": """
        Our engine is ars unless said. NumPy draws with SFC64, MKL with SFMT19937, JAX with threefry for
        float32 and unsafe_rbg for float64: the faster ones. *Limit*: our share of the C library's memset of as
        many bytes, on as many threads (the largest arrays), or of the engine's raw bits in as many bytes.
        What stands between the noise and its floors: noise-speed.md.""",
    "distributions": """
        Each site has parameters of its own. Ours are exact to 2^-53; the peers' uniforms are float32,
        except NumPy's for categories. JAX is left out of categories: it draws a Gumbel for each class. NumPy's
        Poisson, binomial, geometric and negative binomial samples are those of its Generator, its orders sort or
        partition logits and Gumbel noise; *by hand*: arithmetic on arrays of float32 exponentials does the same in
        less time. The other peers are written that way from the start. Our tables are there when the clock starts.""",
    "tables": """
        A model with new rates first makes its tables. Beside it stands NumPy, which needs none and in that time draws
        some samples of each site. The tables of one model serve any number of samples.""",
    "costs": """
        Ours reads the samples as bytes; NumPy is given them as float32, SciPy as float32 or int8 spins in the layout of
        its product (CSR by nodes times samples), converted before the clock starts: whichever is the fastest.""",
    "estimators": """
        Leave-one-out with a linear cost, on Bernoulli sites where no others are named. Ours also gives the
        standard error of the cost and of each entry of the gradient, and the best sample; the peers give the
        gradient alone. Their loops are ours to write: blocks that stay in the cache for NumPy and torch, a scan
        under jit for JAX, and for numba a hand-written loop with sixteen xorshift generators side by side.""",
    "networks": """
        Two samples of the units for each image, Adam. The JAX program is a scan of steps after its
        compilation; it uses DisARM's pair of samples, we leave-one-out.""",
    "optimize": """
        Steps of leave-one-out and Adam. `sc.minimize` keeps a history with standard errors and the best
        sample; the peers keep nothing.""",
    "simulators": """
        CartPole of 200 steps with a linear policy and its gradient (`whole_return`); a step of an episode that is not
        over is a live one. JAX is a scan of 4,096 environments at a time under jit, in float32; numba is a
        hand-written loop with xorshift and fast-math. The peers give the gradient alone; Gymnasium, stepped with
        random actions on one thread, gives none. *Environment*: `interop.gymnasium` on Gymnasium's own steps, policy,
        noise and gradient included.""",
}
INTRO = """
    How many things a second, more is better, each the best of at least three rounds (in 0.1 s or more).
    All figures come from one run on one machine, and those in one line are held to the same number of
    threads and ran one after the other: **use the ratios**. NumPy stands beside one thread, for that is
    what it draws on; JAX stands beside all cores, for it takes them when it starts. *Threads* is how many
    each may use, *path* the instruction set and the threads that our code chose (small work goes to one)."""

HELD = """
    Ratios of the best times of two that ran by turns for a second or so, because this machine has slow moments; the
    tables further down are of one after the other."""


@dataclass
class Line:
    """One work at one number of threads: how many things a second each one does."""

    stage: str
    what: str
    unit: str
    threads: int
    headline: bool
    floor: float | None
    goal: float | None
    against: str | None
    path: str
    limit: str
    beside: float | None  # our rate over that peer's, by turns
    rate_floor: float | None  # of our rate itself
    rate_goal: float | None
    rates: dict[str, float]

    @property
    def fastest(self) -> str | None:
        """The fastest peer."""
        peers = {who: rate for who, rate in self.rates.items() if who != OURS}
        return max(peers, key=lambda who: peers[who]) if peers else None

    def ratio(self, who: str | None) -> float | None:
        """Our rate over a peer's."""
        return self.rates[OURS] / self.rates[who] if who in self.rates and OURS in self.rates else None


def read(found: dict[str, Any]) -> list[Line]:
    """Put together who did the same work, in the order of the file."""
    lines: dict[tuple[str, str, int], Line] = {}
    for entry in found["benchmarks"]:
        info = entry["extra_info"]
        if info.get("memory") or "who" not in info:
            continue
        line = lines.setdefault(
            (info["stage"], info["what"], info["threads"]),
            Line(**{name: info.get(name) for name in Line.__annotations__ if name != "rates"}, rates={}),
        )
        line.path = line.path or info.get("path")
        line.limit = line.limit or info.get("limit")
        line.beside = line.beside or info.get("beside")
        line.rates[info["who"]] = info["items"] / entry["stats"]["min"]
    return list(lines.values())


def prose(text: str) -> str:
    """Put a text on one line."""
    return " ".join(text.split())


def short(rate: float) -> str:
    """Write a number with three digits and G, M or k."""
    scales = ((1e9, 1e9, " G"), (1e6, 1e6, " M"), (1e4, 1e3, " k"), (0.0, 1.0, ""))
    size, letter = next((size, letter) for least, size, letter in scales if rate >= least)
    value = rate / size
    return f"{value:,.{0 if value >= 99.95 else 1 if value >= 9.995 else 2}f}{letter}"


def times(ratio: float) -> str:
    """Write a ratio."""
    return f"{ratio:,.0f}x" if ratio >= 9.95 else f"{ratio:.2f}x" if ratio >= 0.095 else f"{ratio:.2g}x"


def stage_table(lines: list[Line]) -> list[str]:
    """Lines of one stage, a column for each peer that took part."""
    peers = [who for who in NAMES if any(who in line.rates for line in lines)]
    rows = [["work", "threads", "path", OURS, *(NAMES[who] for who in peers), "beside the fastest peer"]]
    limits = any(line.limit for line in lines)
    rows[0] += ["limit"] if limits else []
    for line in lines:
        ratio = line.ratio(line.fastest)
        shown = [short(line.rates[who]) if who in line.rates else "" for who in (OURS, *peers)]
        rows.append([line.what, str(line.threads), line.path, *shown, f"**{times(ratio)}**" if ratio else ""])
        rows[-1] += [line.limit or ""] if limits else []
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return [head, "|---|---:|---|" + "---:|" * (len(peers) + 2 + limits), *body]


def promises(lines: list[Line], found: dict[str, Any]) -> list[list[str]]:
    """What has a floor and a goal: rows of what, floor, goal, measured, verdict."""
    rows = []
    for line in lines:
        if line.rate_floor is not None and line.rate_goal is not None and OURS in line.rates:
            rate = line.rates[OURS]
            verdict = judge(rate >= line.rate_floor, rate >= line.rate_goal)
            what = f"{line.what}, {line.unit} a second, {plural(line.threads, 'thread')}"
            rows.append([what, *(short(number) for number in (line.rate_floor, line.rate_goal, rate)), verdict])
        if line.floor is None or line.goal is None or line.against is None:
            continue
        ratio, beside = line.beside or line.ratio(line.against), NAMES[line.against]
        verdict = "" if ratio is None else judge(ratio >= line.floor, ratio >= line.goal)
        measured = f"not measured: {beside} was not installed" if ratio is None else times(ratio)
        what = f"{line.what}, {line.unit} a second beside {beside}, {plural(line.threads, 'thread')} each"
        rows.append([what, f"{line.floor:g}x", f"{line.goal:g}x", measured, verdict])
    for entry in found["benchmarks"]:
        info = entry["extra_info"]
        if info.get("memory"):
            used = info["megabytes"]
            verdict = judge(used <= info["floor"], used <= info["goal"])
            rows.append(
                [
                    f"extra memory of {info['what']}, {plural(info['threads'], 'thread')} ({info['seconds']:.2g} s)",
                    f"{info['floor']} MB",
                    f"{info['goal']} MB",
                    f"{used:.1f} MB",
                    verdict,
                ]
            )
        if info.get("overhead"):
            used = info["nanoseconds"]
            verdict = judge(used <= info["floor"], used <= info["goal"])
            told = f"{info['what']}, beside {info['own']:.1f} ns in a C loop"
            rows.append([told, f"{info['floor']} ns", f"{info['goal']} ns", f"{used:.1f} ns", verdict])
        if info.get("figure") and info["floor"] is not None:
            used, unit = info["figure"], info["figure_unit"]
            verdict = judge(used <= info["floor"], used <= info["goal"])
            rows.append([info["what"], *(f"{info[name]:g} {unit}" for name in ("floor", "goal")), f"{used:.3g} {unit}"])
            rows[-1].append(verdict)
        if info.get("microseconds"):
            used = info["microseconds"]
            verdict = judge(used <= info["floor"], used <= info["goal"])
            words = [f"{number:.3g} microseconds" for number in (info["floor"], info["goal"], used)]
            rows.append([f"{info['what']}, CPU time", *words, verdict])
    return rows


def judge(floor: bool, goal: bool) -> str:
    """Say what was reached."""
    return "goal met" if goal else "floor met" if floor else "**below the floor**"


def plural(n: int, word: str) -> str:
    """Count things."""
    return f"{n} {word}{'s' * (n != 1)}"


def setting(found: dict[str, Any]) -> list[str]:
    """Machine, versions, date, command."""
    machine = found["machine_info"]
    ours, cores, load = machine["stochcore"], machine["stochcore"]["threads"], machine["load"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["libraries"].items())
    absent = [NAMES[who] for who in NAMES if who not in machine["peers"]]
    commit = (found.get("commit_info") or {}).get("id") or "unversioned"
    at = "" if commit == "unversioned" else f", commit {commit[:12]}"
    busy = ", so busy that these figures are rough" if load > cores / 2 else ""
    lines = [
        f"- machine: {machine['model'] or machine['machine']}, {plural(cores, 'core')}, {machine['system']} "
        f"{machine['release']}; load average {load:.1f} at the start{busy}",
        f"- stochcore {ours['stochcore']} on {ours['instruction_set']}, Python {ours['python']}, {versions}",
        f"- {found['datetime'][:16].replace('T', ' ')} UTC{at}, by `make bench`",
    ]
    if absent:
        lines.append(f"- not installed, so not in the tables: {', '.join(absent)} (`make bench-peers` installs them)")
    return lines


def page(lines: list[Line], found: dict[str, Any]) -> str:
    """Write the page."""
    text = [
        "<!-- Written by benchmarks/report.py (make bench): change that, not this. -->",
        "# Benchmarks",
        "",
        prose(INTRO),
        "",
        *setting(found),
        "",
        "![Rates of stochcore beside the fastest peer](benchmarks.png)",
        "",
        "How the time of samples grows with samples and with sites (`python benchmarks/plot_cost.py`):",
        "",
        "![Seconds of samples against pairs of sample and site](cost.png)",
        "",
    ]
    rows = promises(lines, found)
    if rows:
        text += ["## Held to", "", prose(HELD), "", "| what | floor | goal | measured | |", "|---|---:|---:|---:|---|"]
        text += ["| " + " | ".join(row) + " |" for row in rows] + [""]
    for stage, title in STAGES.items():
        here = [line for line in lines if line.stage == stage]
        if here:
            text += [
                f"## {title}",
                "",
                f"{here[0].unit[0].upper()}{here[0].unit[1:]} a second. {prose(NOTES[stage])}",
                "",
            ]
            text += [*stage_table(here), ""]
    return "\n".join(text)


def main() -> None:
    """Write the page and the plot; print what matters most."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path, help="what pytest --benchmark-json wrote")
    parser.add_argument("--docs", type=Path, default=Path(__file__).parents[1] / "docs", help="where to write")
    arguments = parser.parse_args()
    found = json.loads(arguments.file.read_text(encoding="utf-8"))
    lines = read(found)
    if not lines:
        parser.error(f"no measurements in {arguments.file}")
    arguments.docs.mkdir(exist_ok=True)
    (arguments.docs / "benchmarks.md").write_text(page(lines, found), encoding="utf-8")
    bars = [
        plot.Bar(STAGES[line.stage], line.what, line.threads, line.ratio(line.fastest) or 0, NAMES[line.fastest])
        for stage in STAGES
        for line in lines
        if line.stage == stage and line.headline and line.fastest
    ]
    if bars:
        machine = found["machine_info"]
        where = f"{machine['model'] or machine['machine']}, {machine['stochcore']['instruction_set']}"
        plot.draw(bars, f"ratio of rates, equal threads; {where}", arguments.docs / "benchmarks.png")
    for line in lines:
        ratio = line.ratio(line.fastest)
        if line.headline and ratio and line.fastest:
            rate = f"{short(line.rates[OURS])} {line.unit}/s"
            print(f"{line.what:40} {line.path:18} {rate:32} {times(ratio):>6} {NAMES[line.fastest]}")
    for row in promises(lines, found):
        print(f"{row[0]}: {row[3]} (floor {row[1]}, goal {row[2]}) {row[4]}")
    print(f"wrote benchmarks.md and benchmarks.png in {arguments.docs}")


if __name__ == "__main__":
    main()
