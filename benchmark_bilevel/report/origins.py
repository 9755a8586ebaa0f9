"""Where results come from: the command, the code, the machine, the repository."""

import json
import re
import subprocess
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import click

from benchmark_bilevel.report.names import selectors
from benchmark_bilevel.report.results import RUN, prepare


def repeat_command(runs):
    """The command that makes `runs` again, as a list of its arguments.

    Every parameter is spelt out, so that a later change of a default does not matter.
    """
    command = ["benchopt", "run", "."]
    for flag, column, prefix in (
        ("-d", "dataset_name", "p_dataset_"),
        ("-o", "objective_name", "p_obj_"),
        ("-s", "solver_name", "p_solver_"),
    ):
        for name in selectors(runs, column, prefix).unique():
            command += [flag, name]
    command += ["-r", str(runs["idx_rep"].max() + 1), "--no-timeout"]
    for seed in prepare(runs)["base_seed"].dropna().unique():  # one, or not written
        command += ["--seed", f"{seed:.0f}"]
    return command


class Code(NamedTuple):
    """The code that made some runs."""

    commit: str  # "" outside git
    dirty: bool  # whether files differed from the commit
    fingerprint: str

    @property
    def text(self):
        """Such as ``"commit 1a2b3c4 with uncommitted changes, fingerprint 0123…"``."""
        if not self.fingerprint:
            return "unknown code"
        commit = "code outside git"
        if self.commit:
            is_hash = re.fullmatch("[0-9a-f]{40}", self.commit)
            commit = f"commit {self.commit[:7] if is_hash else self.commit}"
        changes = " with uncommitted changes" if self.dirty else ""
        return f"{commit}{changes}, fingerprint {self.fingerprint}"


def codes_of(runs):
    """Pairs (`Code`, number of its runs), the most runs first."""
    counts = {}
    for record, n_runs in provenance_of(runs):
        commit = str(record.get("commit", ""))
        fingerprint = str(record.get("fingerprint", ""))
        code = Code(commit.removesuffix("+"), commit.endswith("+"), fingerprint)
        counts[code] = counts.get(code, 0) + n_runs
    return sorted(counts.items(), key=lambda item: -item[1])


def made_by(runs):
    """One line: which code made how many of `runs`."""
    codes = codes_of(runs)
    total = sum(n_runs for _, n_runs in codes)
    if len(codes) == 1:
        return f"all runs by {codes[0][0].text}"
    return "; ".join(
        f"{n_runs} of {total} runs by {code.text}" for code, n_runs in codes
    )


def provenance_of(runs):
    """Pairs (record of versions, commit and machine; number of its runs).

    Runs without a record are counted under an empty one.
    """
    found = {}
    n_unknown = len(prepare(runs)[RUN].drop_duplicates())
    for final in runs["final_results"].dropna() if "final_results" in runs else []:
        record = record_of(final)
        if record:
            key = json.dumps(record, sort_keys=True, default=str)
            found.setdefault(key, [record, 0])[1] += 1
            n_unknown -= 1
    unknown = [({}, n_unknown)] if n_unknown > 0 else []
    return [tuple(pair) for pair in found.values()] + unknown


def record_of(final):
    """The record that a run's final results have; {} if there is none.

    The order in which a process loaded its BLAS libraries makes no difference.
    """
    record = final.get("provenance") if isinstance(final, dict) else None
    if not isinstance(record, dict):
        return {}
    if isinstance(record.get("blas"), list):
        record = {**record, "blas": sorted(record["blas"], key=str)}
    return record


def repository_address(folder):
    """Where a browser finds the ``origin`` of the checkout `folder`; "" if nowhere.

    Names and passwords in the address stay private.
    """
    git = ("git", "-C", str(folder))
    try:
        top = _output(*git, "rev-parse", "--show-toplevel")
        origin = _output(*git, "remote", "get-url", "origin")
        address = web_address(origin)
    except (OSError, ValueError, subprocess.CalledProcessError):
        return ""
    # A folder in another project's checkout is not that project.
    return address if Path(top).resolve() == Path(folder).resolve() else ""


def blob_address(folder, url):
    """Where the files of the commit that `folder` is at are on the web; "" if nowhere."""
    try:
        commit = _output("git", "-C", str(folder), "rev-parse", "HEAD") if url else ""
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{url}/blob/{commit}" if commit else ""


def pages_address(url):
    """Where GitHub publishes the pages of the repository at `url`; "" elsewhere."""
    parts = re.fullmatch(r"https://github\.com/([\w.-]+)/([\w.-]+)", url)
    return f"https://{parts[1].lower()}.github.io/{parts[2]}" if parts else ""


def _output(*command):
    return subprocess.run(
        command, capture_output=True, text=True, check=True
    ).stdout.strip()


def web_address(origin):
    """The web page of a remote repository, whatever protocol git speaks to it."""
    short = re.fullmatch(r"(?:[^@/]+@)?([\w-]+(?:\.[\w-]+)+):(?!//)(.+)", origin)
    if short:
        origin = f"ssh://{short[1]}/{short[2]}"
    parts = urlsplit(origin)
    if parts.scheme not in ("http", "https", "ssh", "git") or not parts.hostname:
        return ""
    scheme, host = "https", parts.hostname
    if parts.scheme.startswith("http"):
        scheme, host = parts.scheme, host + (f":{parts.port}" if parts.port else "")
    return f"{scheme}://{host}/{parts.path.strip('/').removesuffix('.git')}"


def given_address(text, option="--url"):
    """The address that a user gave; refuses what no page should link to."""
    parts = urlsplit(text)
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or "@" in parts.netloc
    ):
        raise click.UsageError(
            f"{option} {text!r} is not an address on the web; "
            "expected one such as https://host/owner/name."
        )
    return text.rstrip("/")
