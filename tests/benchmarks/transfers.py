"""What a transfer costs beside the tools that do less: cp, rsync, s5cmd and boto3's transfer manager.

`python -m tests.benchmarks.transfers FOLDER` makes 1,000 files of 100 kB and one of 1 GB below FOLDER, starts a local S3
(moto) and a local sshd, sends both there and back with each tool that is installed and with `tito data transfer`, in turn,
and prints the median time and the multiple of the best other tool. `--only TEXT` measures the lines with that in their
title.
"""
from __future__ import annotations

import argparse
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from tests.unit.tinytorch.transfer.sshd import MISSING, SSHD, Host

SERVER = """
import sys, time
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
"""
Job = Callable[[], object]


@contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """An S3 in a process of its own, and the environment to reach it."""
    with subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        endpoint = f"http://127.0.0.1:{process.stdout.readline().strip()}"
        os.environ |= {
            "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": str(folder / "none"), "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
        }  # fmt: skip
        try:
            yield endpoint
        finally:
            process.kill()


def run(*words: object) -> Job:
    return lambda: subprocess.run(list(map(str, words)), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def managed(folder: Path, prefix: str, *, upload: bool) -> Job:
    """boto3's transfer manager, eight files at a time."""

    def work() -> None:
        import boto3

        client = boto3.session.Session().client("s3")
        with ThreadPoolExecutor(8) as pool:
            if upload:
                jobs = [pool.submit(client.upload_file, str(path), "bucket", f"{prefix}/{path.name}") for path in folder.iterdir()]
            else:
                folder.mkdir()
                pages = client.get_paginator("list_objects_v2").paginate(Bucket="bucket", Prefix=f"{prefix}/")
                keys = [item["Key"] for page in pages for item in page["Contents"]]
                jobs = [pool.submit(client.download_file, "bucket", key, str(folder / key.rpartition("/")[2])) for key in keys]
            for job in jobs:
                job.result()
        client.close()

    return work


def ours(source: object, target: object, *options: str) -> Job:
    return run(sys.executable, "-m", "tito", "data", "transfer", source, target, *options)


@contextmanager
def ssh_server(folder: Path) -> Iterator[Host]:
    """A host whose sshd listens itself: nothing of this process is between it and those who are measured."""
    Path("/run/sshd").mkdir(exist_ok=True)
    host = Host(folder)
    with socket.create_server(("127.0.0.1", 0)) as free:
        host.port = free.getsockname()[1]
    host.know()
    os.environ["TINYTORCH_SSH"] = host.command
    with subprocess.Popen([str(SSHD), "-D", "-f", str(host.config), "-p", str(host.port)], stderr=subprocess.DEVNULL) as server:
        try:
            while subprocess.run([*shlex.split(host.command), "-p", str(host.port), "127.0.0.1", "true"], stderr=subprocess.DEVNULL, check=False).returncode:
                time.sleep(0.1)
            yield host
        finally:
            server.kill()
    host.close()


def measured(title: str, jobs: dict[str, Job], clear: Callable[[], None], given: argparse.Namespace) -> None:
    """Print the median of some rounds of each, taken in turn."""
    if given.only not in title:
        return
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(given.rounds):
        for name, job in jobs.items():
            clear()
            os.sync()
            began = time.perf_counter()
            job()
            times[name].append(time.perf_counter() - began)
    shutil.rmtree(given.folder / "aside")
    medians = {name: median(taken) for name, taken in times.items()}
    others = {name: taken for name, taken in medians.items() if not name.startswith("tinytorch")}
    best = min(others, key=lambda name: others[name])
    print(f"{title}: " + ", ".join(f"{name} {taken:.2f} s" for name, taken in medians.items()), end="; ")
    print(", ".join(f"{name} {taken / others[best]:.2f} x {best}" for name, taken in medians.items() if name not in others), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--large", type=int, default=1000, metavar="MB")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", metavar="TEXT")
    given = parser.parse_args()
    with ExitStack() as stack:
        root = given.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=given.folder)))
        os.environ["TINYTORCH_CACHE"] = str(root / "cache")
        sets = {f"{given.files} x 100 kB": root / "small", f"1 x {given.large} MB": root / "large"}
        for folder in sets.values():
            folder.mkdir()
        for number in range(given.files):
            (root / "small" / f"{number:05}").write_bytes(os.urandom(100_000))
        with (root / "large" / "file").open("wb") as file:
            for _ in range(given.large):
                file.write(os.urandom(1_000_000))
        there = root / "there"

        def clear() -> None:
            aside = root / "aside"
            aside.mkdir(exist_ok=True)
            if there.exists():  # not removed yet: for a minute, ext4 would look for a new file's place among all that were removed
                there.rename(aside / str(time.monotonic_ns()))

        for title, folder in sets.items():
            copy = f"cp -r {shlex.quote(str(folder))} {shlex.quote(str(there))}"
            jobs = {"cp": run("sh", "-c", copy), "cp and fsync": run("sh", "-c", f"{copy} && find {shlex.quote(str(there))} -type f -exec sync {{}} +"), "tinytorch": ours(folder, there)}
            if shutil.which("rsync"):
                jobs["rsync"] = run("rsync", "-a", f"{folder}/", str(there))
            measured(f"copy, {title}", jobs, clear, given)
        if MISSING is None and shutil.which("rsync"):
            host = stack.enter_context(ssh_server(root / "host"))
            shell = shlex.join([*shlex.split(host.command), "-p", str(host.port)])
            for title, folder in sets.items():
                up = {"rsync": run("rsync", "-a", "-e", shell, f"{folder}/", f"127.0.0.1:{there}"), "tinytorch": ours(folder, host.address(there)),
                      "tinytorch rsync": ours(folder, host.address(there), "--engine", "rsync")}  # fmt: skip
                down = {"rsync": run("rsync", "-a", "-e", shell, f"127.0.0.1:{folder}/", there), "tinytorch": ours(host.address(folder), there),
                        "tinytorch rsync": ours(host.address(folder), there, "--engine", "rsync")}  # fmt: skip
                measured(f"to a host, {title}", up, clear, given)
                measured(f"from a host, {title}", down, clear, given)
        endpoint = stack.enter_context(s3_server(root))
        import boto3

        client = boto3.session.Session().client("s3")
        client.create_bucket(Bucket="bucket")

        def empty() -> None:
            clear()
            for item in client.list_objects_v2(Bucket="bucket").get("Contents", []):
                client.delete_object(Bucket="bucket", Key=item["Key"])

        s5cmd = shutil.which("s5cmd")
        for title, folder in sets.items():
            up = {"boto3": managed(folder, "x", upload=True), "tinytorch": ours(folder, "s3://bucket/x"), "tinytorch boto3": ours(folder, "s3://bucket/x", "--engine", "boto3")}
            down = {"boto3": managed(there, "x", upload=False), "tinytorch": ours("s3://bucket/x", there), "tinytorch boto3": ours("s3://bucket/x", there, "--engine", "boto3")}
            if s5cmd:
                up["s5cmd"] = run(s5cmd, "--endpoint-url", endpoint, "cp", f"{folder}/", "s3://bucket/x/")
                down["s5cmd"] = run(s5cmd, "--endpoint-url", endpoint, "cp", "s3://bucket/x/*", f"{there}/")
            measured(f"to S3, {title}", up, empty, given)
            measured(f"from S3, {title}", down, clear, given)


if __name__ == "__main__":
    main()
