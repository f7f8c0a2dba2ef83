"""Someone who reads a page and does what it says, in a folder of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from pytest_tinytorch.course import curriculum, stubs
from pytest_tinytorch.course.curriculum import Module
from pytest_tinytorch.workspace import convert
from pytest_tinytorch.workspace.create import create
from pytest_tinytorch.workspace.layout import Workspace
from tests.course import releases
from tests.course.candidate import make_workspace
from tests.course.catalogue import mistakes
from tests.course.source import read
from tests.docs import places
from tests.docs.page import Action, Command, Mismatch, alignment, is_partial
from tests.unit.tinytorch.cloud.account import Account

COURSE = curriculum.load()
LIMIT = 120  # seconds for one command
_OURS = ("PYTEST_", "TINYTORCH_", "TITO_", "COV_", "AWS_", "RUNPOD_")


class WrongPage(AssertionError):
    """The page says something else than what happens."""


class Reader:
    """Types a page's commands one after another, and lets go of the places that they needed at the end of a `with`."""

    def __init__(self, home: Path, name: str) -> None:
        self.home = self.folder = home
        self.name = name  # of the page, for messages
        self.status = 0
        self.status_is_told = True  # whether the page says what the last command's exit status was
        self.typed: str | None = None  # what the next command is answered
        self.variables: dict[str, str] = {}
        self.last = ""
        self.wrong: list[str] = []  # where a page shows something else than what was printed
        self.corrections: dict[int, str] = {}  # by line of the page: what differs only in its numbers
        self.places = ExitStack()
        self.account: Account | None = None  # at AWS
        self.programs: list[str] = []  # folders of programs, before those of the machine

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.places.close()

    def follow(self, steps: list[Command | Action]) -> None:
        for step in steps:
            if isinstance(step, Action):
                self.act(step)
            else:
                self.run(step)
        self._expect_success()

    # --- commands ------------------------------------------------------------------------------------------------

    def run(self, command: Command) -> None:
        where = f"{self.name}:{command.line}: $ {command.text}"
        if command.text == "echo $?":
            output, self.status_is_told = f"{self.status}\n", True
        else:
            self._expect_success()
            own = {"cd": self.changed_folder, "export": self.set_variable}
            word, _, rest = command.text.partition(" ")
            output = own[word](rest) if word in own else self.output(command.text)
            self.status_is_told, self.last = False, f"{where}\n{output}"
        real = output.splitlines()
        try:
            alignment(command.output, real)
        except Mismatch as mismatch:
            try:
                lines = alignment(command.output, real, numbers=False)
            except Mismatch:
                lines = {}
            self.corrections |= {
                command.line + 1 + shown: real[there]
                for shown, there in lines.items()
                if not is_partial(command.output[shown])
            }
            self.wrong.append(
                f"{where}\n{mismatch}\n--- the page shows\n"
                + "\n".join(command.output)
                + f"\n--- the command printed\n{output}"
            )

    def _expect_success(self) -> None:
        if self.status and not self.status_is_told:
            raise WrongPage(f"exit status {self.status}, and the page says nothing of it (`$ echo $?`):\n{self.last}")

    def changed_folder(self, name: str) -> str:
        self.folder = (self.folder / name).resolve()
        if not self.folder.is_relative_to(self.home) or not self.folder.is_dir():
            raise WrongPage(f"{self.name}: cd {name} leads nowhere")
        self.status = 0
        return ""

    def set_variable(self, text: str) -> str:
        name, _, value = text.partition("=")
        self.variables[name] = value.replace("$PWD", str(self.folder))
        self.status = 0
        return ""

    def output(self, text: str) -> str:
        """What a command prints, standard error included."""
        if "YYYYMMDD" in text:
            newest = max(path.name for path in self.folder.glob(".tito_backup_*"))
            text = text.replace(".tito_backup_YYYYMMDD", newest)
        if re.search(r"\bPLAN\b", text):
            plans = sorted((self.folder / ".tito" / "cleanup").glob("*/plan.json"), key=lambda path: path.stat().st_mtime_ns)
            text = text.replace("PLAN", plans[-1].parent.name)
        typed, self.typed = self.typed, None
        if typed is not None:
            return self._answered(text, typed)
        done = subprocess.run(
            ["bash", "-c", text],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=LIMIT,
            check=False,
        )
        self.status = done.returncode
        return done.stdout

    def _answered(self, text: str, typed: str | None) -> str:
        """What a command prints that asks a question on a terminal."""
        import pty

        ours, theirs = pty.openpty()
        with subprocess.Popen(
            ["bash", "-c", text],
            cwd=self.folder,
            env=self.environment(),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            close_fds=True,
        ) as process:
            os.close(theirs)
            printed = b""
            while True:
                try:
                    data = os.read(ours, 4096)
                except OSError:  # Linux's way of saying that nobody holds the other end any more
                    break
                if not data:
                    break
                printed += data
                if typed is not None and printed.endswith(b": "):  # it has asked
                    os.write(ours, f"{typed}\n".encode())
                    typed = None
            self.status = process.wait(timeout=LIMIT)
        os.close(ours)
        return printed.decode("utf-8").replace("\r\n", "\n")

    def environment(self) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        path = os.pathsep.join([*self.programs, str(Path(sys.executable).parent), ours["PATH"]])
        plain = {"NO_COLOR": "1", "COLUMNS": "100", "TERM": "dumb", "PYTHONDONTWRITEBYTECODE": "1"}
        return ours | plain | {"PATH": path, "HOME": str(self.home), "XDG_CACHE_HOME": str(self.home / ".cache"), "XDG_DATA_HOME": str(self.home / ".data")} | self.variables

    # --- what happens between two blocks ---------------------------------------------------------------------------

    def act(self, action: Action) -> None:
        verb, *words = action.words
        verbs: dict[str, Callable[..., None]] = {
            "workspace": self.make_workspace,
            "beside": self.make_workspace_beside,
            "older": self.make_older_workspace,
            "whole": self.make_whole_workspace,
            "host": self.find_host,
            "account": self.open_account,
            "instance": self.rent_instance,
            "attach": self.attach,
            "protect": self.protect,
            "bucket": self.make_bucket,
            "no-bucket": self.remove_bucket,
            "solve": self.solve,
            "begin": self.begin,
            "mistake": self.make_mistake,
            "complete": self.complete,
            "replace": self.replace,
            "type": self.answer,
            "temporary": self.use_temporary_folder,
            "write": lambda path: self.write(path, action.body),
        }
        verbs[verb](*words)

    def make_workspace(self, format: str = "py") -> None:
        """A new workspace, and into it; the last one is left behind."""
        folder = self.home / f"{len(list(self.home.iterdir()))}" / "my-tinytorch"
        self.folder = create(folder, COURSE, format=format).root

    def make_workspace_beside(self) -> None:
        """Somebody else's new workspace, in the same folder as this one, and into it."""
        self.folder = create(self.folder.parent / "theirs", COURSE, format="py").root

    def make_older_workspace(self, version: str, *numbers: str) -> None:
        """A workspace that was made by an earlier version of the course, with some modules solved, and into it."""
        course = releases.unpacked(version, self.home / "releases")
        workspace = create(self.home / version / "my-tinytorch", course, format="py")
        for module in map(course.module, numbers):
            workspace.forms(module)[1].write_text(stubs.solution(course.source(module).read_text("utf-8")), "utf-8")
        self.folder = workspace.root

    def make_whole_workspace(self) -> None:
        """A workspace of somebody who has completed every module, and into it."""
        self.folder = make_workspace(self.home / "my-tinytorch").root

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.folder, COURSE)

    def solve(self, *numbers: str) -> None:
        """Write the solution of modules into their working copies."""
        for module in map(COURSE.module, numbers):
            self._put(module, stubs.solution(COURSE.source(module).read_text("utf-8")))

    def begin(self, number: str, *exercises: str) -> None:
        """Write the solutions of some exercises only."""
        module = COURSE.module(number)
        source = read(module)
        lines = stubs.stub(source.text).splitlines()
        solved = source.text.splitlines()
        for block in source.blocks:
            if block.exercise in exercises:
                marker = next(
                    i for i, line in enumerate(lines) if f'NotImplementedError("exercise {block.exercise}:' in line
                )
                lines[marker : marker + 1] = solved[block.first - 1 : block.last]
        self._put(module, "\n".join(lines) + "\n")

    def make_mistake(self, number: str, name: str) -> None:
        """Write one of the known mistakes into a module that is solved otherwise."""
        module = COURSE.module(number)
        (entry,) = [entry for entry in mistakes(module) if entry.name == name]
        self._put(module, stubs.solution(entry.put_into(read(module))))

    def _put(self, module: Module, text: str) -> None:
        for path in self.workspace.existing_forms(module):
            path.write_text(text if path.suffix == ".py" else convert.to_notebook(text), "utf-8")

    def complete(self, *numbers: str) -> None:
        """Solve and complete modules, without the notebook check, which takes longer than everything else."""
        self.solve(*numbers)
        expression = " or ".join(f"module{number}" for number in numbers)
        printed = self.output(f"pytest -q -m '{expression}' --tito-complete -o tito_notebook_check=false")
        if self.status:
            raise WrongPage(f"{self.name}: modules {numbers} can't be completed:\n{printed}")

    def use_temporary_folder(self) -> None:
        """Give what follows a temporary folder of its own, without what others have left in the machine's."""
        (self.home / "temporary").mkdir()
        self.variables["TMPDIR"] = str(self.home / "temporary")

    def answer(self, text: str) -> None:
        self.typed = text

    def write(self, path: str, text: str) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text, "utf-8")

    def replace(self, path: str, old: str, new: str) -> None:
        """Change the first `old` in a file to `new`."""
        text = (self.folder / path).read_text("utf-8")
        (self.folder / path).write_text(text.replace(old, new, 1), "utf-8")

    # --- places that aren't here -----------------------------------------------------------------------------------

    def find_host(self, name: str) -> None:
        """A host that ssh knows by this name."""
        self.programs.append(str(self.places.enter_context(places.host(name, self.home / name))))

    def open_account(self) -> None:
        """An empty account at AWS."""
        self.account = self.places.enter_context(Account())
        self.account.reset()  # moto keeps one for all of a process
        self.variables |= {
            "AWS_ENDPOINT_URL": self.account.client("ec2").meta.endpoint_url, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
        }  # fmt: skip

    @property
    def at_aws(self) -> Account:
        if self.account is None:
            raise WrongPage(f"{self.name}: there is no account yet")
        return self.account

    def rent_instance(self, type: str, zone: str) -> None:
        """`aws ec2 run-instances`, with the project's tag."""
        self.at_aws.instance({"tinytorch": self.folder.name}, InstanceType=type, Placement={"AvailabilityZone": zone})

    def volume(self, name: str) -> str:
        (found,) = self.at_aws.client("ec2").describe_volumes(Filters=[{"Name": "tag:Name", "Values": [name]}])["Volumes"]
        return str(found["VolumeId"])

    def protect(self, name: str) -> None:
        """`aws ec2 create-tags`, with the tag that protects a volume."""
        self.at_aws.client("ec2").create_tags(Resources=[self.volume(name)], Tags=[{"Key": "tinytorch:protected", "Value": ""}])

    def attach(self, name: str) -> None:
        """`aws ec2 attach-volume`, of the volume of that name, to the project's instance."""
        ec2 = self.at_aws.client("ec2")
        ours = [{"Name": "tag:tinytorch", "Values": [self.folder.name]}]
        (reservation,) = ec2.describe_instances(Filters=ours)["Reservations"]
        ec2.attach_volume(VolumeId=self.volume(name), InstanceId=reservation["Instances"][0]["InstanceId"], Device="/dev/sdf")

    def make_bucket(self, name: str) -> None:
        """`aws s3 mb` and `aws s3api put-bucket-tagging`, with the project's tag."""
        s3 = self.at_aws.client("s3")
        s3.create_bucket(Bucket=name)
        s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": [{"Key": "tinytorch", "Value": self.folder.name}]})

    def remove_bucket(self, name: str) -> None:
        """`aws s3 rb`, which refuses one that isn't empty."""
        self.at_aws.client("s3").delete_bucket(Bucket=name)
