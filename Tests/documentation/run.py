#!/usr/bin/env python3
"""Runs what the documentation shows.

Every fenced block of the kind `console` in README.md and docs/ is a session, and is run as a reader
would run it:

    $ COMMAND       a shell's command; it must exit with status 0
    $ COMMAND &     the same in the background; `$ wait` waits for all of them
    (qemu) LINE     typed into the monitor that the last command opened
    {"execute" ...  sent over the connection that the last command opened
    # ...           a comment
    anything else   a line of output that must come; `...` in it stands for anything

What must come is looked for in the output since the last line that was sent, in any order; lines that
the page leaves out don't matter. A question (`info`, `query-`) is asked again until the answer is as
shown: a reader types slower than a guest is loaded.

A page's blocks run in order, in a new folder that takes the place of /tmp. BERTH_BINARY and BERTH_QEMU
name the programs. Without QEMU, blocks that need it are skipped; BERTH_REQUIRE_PEERS=1 makes that a
failure.
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMIT = 30.0  # seconds until one line of a page must have come true
PROMPT = "(qemu) "
ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Mismatch(Exception):
    """The page promises something that didn't happen."""


class Process:
    """A running command of a page."""

    def __init__(self, command, folder, environment):
        self.command = command
        self.text = ""
        self.condition = threading.Condition()
        self.process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while data := os.read(self.process.stdout.fileno(), 65536):
            with self.condition:
                self.text += ESCAPE.sub("", data.decode(errors="replace")).replace("\r", "")
                self.condition.notify_all()

    def wait_for(self, condition, seconds):
        """Waits until condition(text) is true; says whether it became so."""
        with self.condition:
            return self.condition.wait_for(lambda: condition(self.text), seconds)

    def send(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def finish(self):
        """Waits for the end and checks the exit status.

        Standard input stays open for a while: socat ends when that does, before it has the answers.
        """
        try:
            status = self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            raise Mismatch(f"'{self.command}' doesn't end; so far:\n{self.text}") from None
        if status != 0:
            raise Mismatch(f"'{self.command}' ended with status {status}:\n{self.text}")

    def kill(self):
        try:
            os.killpg(self.process.pid, 9)
        except ProcessLookupError:
            pass
        self.process.wait()


class Page:
    """One page's sessions, in one folder."""

    def __init__(self, path, programs):
        self.path = path
        self.folder = tempfile.mkdtemp(prefix="berth-docs-")
        self.background = []
        programs_folder = os.path.join(self.folder, "programs")
        os.mkdir(programs_folder)
        for name, program in programs.items():
            # Not a link: what a program is called decides what it does.
            script = pathlib.Path(programs_folder, name)
            script.write_text(f"#!/bin/sh\nexec '{program}' \"$@\"\n")
            script.chmod(0o755)
        self.environment = dict(os.environ, PATH=f"{programs_folder}:{os.environ['PATH']}")

    def local(self, line):
        return re.sub(r"(?<![\w.])/tmp/", self.folder + "/", line)

    def run(self, block):
        steps = parse(block)
        current = None
        try:
            for index, (kind, line, expected) in enumerate(steps):
                line = self.local(line)
                expected = [self.local(text) for text in expected]
                if kind == "shell":
                    current = self.shell(line, expected, steps[index + 1 : index + 2])
                else:
                    self.ask(current, kind, line, expected)
        finally:
            if current:
                current.kill()

    def shell(self, command, expected, following):
        if command == "wait":
            while self.background:
                self.background.pop(0).finish()
            return None
        is_background = command.endswith(" &")
        process = Process(command.removesuffix(" &"), self.folder, self.environment)
        if is_background:
            self.background.append(process)
            if match := re.search(r" -l unix:(\S+)", command):
                wait_until(lambda: os.path.exists(match[1]), f"'{command}' doesn't listen")
            return None
        if following and following[0][0] != "shell":
            if following[0][0] == "hmp":
                process.wait_for(lambda text: text.endswith(PROMPT), LIMIT)
            expect(process, 0, expected, LIMIT)
            return process
        process.process.stdin.close()
        process.finish()
        expect(process, 0, expected, LIMIT)
        return None

    def ask(self, process, kind, line, expected):
        start = len(process.text)
        is_question = re.search(r"^info |\"query-", line) is not None
        deadline = time.monotonic() + LIMIT
        while True:
            process.send(line)
            if re.search(r"^quit$|\"quit\"", line):
                expect(process, start, expected, LIMIT)
                return process.finish()
            if kind == "hmp" and not process.wait_for(
                lambda text: len(text) > start and text.endswith(PROMPT), LIMIT
            ):
                raise Mismatch(f"no prompt after '{line}':\n{process.text[start:]}")
            try:
                return expect(process, start, expected, 0.3 if is_question else LIMIT)
            except Mismatch:
                if not is_question or time.monotonic() > deadline:
                    raise
                start = len(process.text)

    def close(self):
        for process in self.background:
            process.kill()
        # Daemons of a session that failed: nobody else's command line names this folder.
        for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if self.folder.encode() in entry.read_bytes():
                    os.kill(int(entry.parent.name), signal.SIGKILL)
            except (OSError, ProcessLookupError):
                pass
        shutil.rmtree(self.folder, ignore_errors=True)


def wait_until(condition, complaint):
    deadline = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > deadline:
            raise Mismatch(complaint)
        time.sleep(0.01)


def expect(process, start, lines, seconds):
    """Waits until all lines are in the process's output after `start`."""
    for line in lines:
        pattern = ".*".join(re.escape(part) for part in line.split("..."))
        found = re.compile(rf"^(\(qemu\) )?{pattern}$", re.MULTILINE)
        if not process.wait_for(lambda text: found.search(text[start:]), seconds):
            raise Mismatch(f"expected: {line}\nfound:\n{process.text[start:]}")


def parse(block):
    """Steps of a block: kind (shell, hmp, qmp), what is typed, lines that must come."""
    steps = []
    for line in block:
        if line.startswith("$ "):
            steps.append(("shell", line[2:], []))
        elif line.startswith(PROMPT):
            steps.append(("hmp", line[len(PROMPT) :], []))
        elif line.startswith('{"execute"'):
            steps.append(("qmp", line, []))
        elif line and not line.startswith("#"):
            steps[-1][2].append(line)
    return steps


def sessions(path):
    """The `console` blocks of a page: number of the first line, lines."""
    block, first = None, 0
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.strip() == "```console":
            block, first = [], number + 1
        elif line.strip() == "```" and block is not None:
            # A backslash at a line's end continues it, for a reader as for a shell.
            text = re.sub(r"\\\n\s*", "", "\n".join(block))
            yield first, text.splitlines()
            block = None
        elif block is not None:
            block.append(line)


def main():
    programs = {"berth": os.environ.get("BERTH_BINARY", "")}
    if not programs["berth"]:
        print("BERTH_BINARY is not set: the path of berth", file=sys.stderr)
        return 1
    if qemu := os.environ.get("BERTH_QEMU"):
        programs["qemu-system-x86_64"] = qemu
    passed = failed = skipped = 0
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        page = Page(path, programs)
        try:
            for number, block in sessions(path):
                place = f"{path.relative_to(ROOT)}:{number}"
                missing = missing_program(block, programs)
                if missing:
                    skipped += 1
                    print(f"skipped  {place} ({missing})", flush=True)
                    continue
                try:
                    page.run(block)
                except (Mismatch, OSError) as error:
                    failed += 1
                    print(f"FAILED   {place}\n         " + str(error).replace("\n", "\n         "))
                else:
                    passed += 1
                    print(f"passed   {place}: {block[0]}", flush=True)
        finally:
            page.close()
    summary = f"{passed} passed, {failed} failed"
    if skipped:
        summary += f", {skipped} skipped"
    print(f"Documentation: {summary}")
    required = os.environ.get("BERTH_REQUIRE_PEERS") == "1"
    return 1 if failed or passed == 0 or (required and skipped) else 0


def missing_program(block, programs):
    text = "\n".join(block)
    if "qemu-system-" in text and "qemu-system-x86_64" not in programs:
        return os.environ.get("BERTH_QEMU_WHY") or "needs QEMU 10.0 or later in BERTH_QEMU"
    if "socat" in text and not shutil.which("socat"):
        return "needs socat"
    return None


if __name__ == "__main__":
    sys.exit(main())
