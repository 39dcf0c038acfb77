"""One endpoint and the clients that people use: qemu.qmp, qmp-shell, socat, a few lines of script."""

import asyncio
import json
import os
import socket
import sys

from endpoint import LIMIT, Directory, Endpoint, disconnect, run_program
from qemu.qmp import ExecuteError, QMPClient


def single(command, directory, *options, memory=None):
    return Endpoint(command, directory, "endpoint", options=options, memory=memory)


async def refuse(end, error_class, command, **arguments):
    try:
        answer = await end.execute(command, **arguments)
    except ExecuteError as error:
        assert error.error_class == error_class, error.error_class
        assert str(error).strip(), "an error without words"
    else:
        raise AssertionError(f"{command} {arguments} was accepted: {answer}")


async def errors_have_qemus_classes(command):
    with Directory() as path:
        async with single(command, path) as end:
            await refuse(end, "CommandNotFound", "no-such-command")
            await refuse(end, "GenericError", "migrate")
            await refuse(end, "GenericError", "migrate", uri="bogus:x")
            await refuse(end, "GenericError", "migrate", uri="tcp:127.0.0.1:1", bogus=1)
            await refuse(end, "GenericError", "migrate-set-parameters", downtime_limit="soon")
            await refuse(end, "GenericError", "migrate-set-parameters", max_cpu_throttle=100)
            await refuse(end, "GenericError", "migrate-incoming", uri="tcp:127.0.0.1:0")
            await refuse(end, "GenericError", "migrate-continue", state="pre-switchover")
            await refuse(end, "GenericError", "closefd", fdname="nobody")
            assert await end.execute("query-migrate") == {}
            assert await end.run_state() == "running"


async def a_refused_connection_fails_later(command):
    with Directory() as path:
        async with single(command, path) as end:
            await end.execute("migrate", uri=f"unix:{path}/nobody")
            assert await end.wait_for_status("failed", "completed") == "failed"
            assert end.history() == ["setup", "failed"], end.history()
            info = await end.execute("query-migrate")
            assert info["status"] == "failed" and info["error-desc"], info
            assert await end.run_state() == "running"


async def the_schema_describes_every_command(command):
    with Directory() as path:
        async with single(command, path) as end:
            entities = await end.execute("query-qmp-schema")
            names = {entity["name"]: entity for entity in entities}
            for command_info in await end.execute("query-commands"):
                assert command_info["name"] in names, command_info
            for entity in entities:
                for key in ("arg-type", "ret-type", "element-type"):
                    assert entity.get(key, entity["name"]) in names, entity
                for member in entity.get("members", []):
                    kind = entity["meta-type"]
                    assert kind == "enum" or member["type"] in names, entity
            incoming = names[names["migrate-incoming"]["arg-type"]]
            assert "exit-on-error" in [m["name"] for m in incoming["members"]], incoming


async def every_capability_and_parameter_reads_back(command):
    with Directory() as path:
        async with single(command, path) as end:
            known = await end.execute("query-migrate-capabilities")
            names = [c["capability"] for c in known]
            for name in ("events", "return-path", "mapped-ram", "pause-before-switchover"):
                assert name in names, names
            await end.set_capabilities(mapped_ram=True)
            known = await end.execute("query-migrate-capabilities")
            assert {"capability": "mapped-ram", "state": True} in known, known
            before = await end.execute("query-migrate-parameters")
            await end.set_parameters(max_bandwidth=5 << 20, downtime_limit=10)
            after = await end.execute("query-migrate-parameters")
            changed = {k: v for k, v in after.items() if before.get(k) != v}
            assert changed == {"max-bandwidth": 5 << 20, "downtime-limit": 10}, changed


async def out_of_band_commands_are_answered(command):
    with Directory() as path:
        async with single(command, path) as end:
            assert "oob" in end.client.greeting.QMP.capabilities
            message = QMPClient.make_execute_msg("query-yank", oob=True)
            answer = await asyncio.wait_for(end.client.execute_msg(message), LIMIT)
            assert isinstance(answer, list), answer


async def two_clients_see_the_same_events(command):
    with Directory() as path:
        second_socket = os.path.join(path, "second")
        async with single(
            command, path, "-qmp", f"unix:{second_socket},server=on,wait=off"
        ) as end:
            second = QMPClient("second")
            await asyncio.wait_for(second.connect(second_socket), LIMIT)
            try:
                with second.listener() as seen:
                    await end.execute("stop")
                    event = await asyncio.wait_for(seen.get(), LIMIT)
                    assert event["event"] == "STOP", event
                    await second.execute("cont")
                    event = await asyncio.wait_for(seen.get(), LIMIT)
                    assert event["event"] == "RESUME", event
                assert end.history() == ["STOP", "RESUME"], end.history()
            finally:
                await disconnect(second)


async def a_client_comes_back_after_an_abrupt_end(command):
    with Directory() as path:
        async with single(command, path) as end:
            end.reader.cancel()
            await disconnect(end.client)
            # One that goes without a word, in the middle of a command.
            rude = socket.socket(socket.AF_UNIX)
            rude.connect(end.socket)
            rude.sendall(b'{"execute":"qmp_capabi')
            rude.close()
            end.client = QMPClient("again")
            await asyncio.wait_for(end.connect(), LIMIT)
            assert await end.run_state() == "running"


async def qmp_shell_runs_a_script(command):
    shell = os.path.join(os.path.dirname(sys.executable), "qmp-shell")
    script = "\n".join(
        [
            "query-status",
            'migrate-set-capabilities capabilities=[{"capability":"mapped-ram","state":true}]',
            "migrate-set-parameters downtime-limit=123",
            "query-migrate-parameters",
            "stop",
            "query-status",
            "no-such-command",
        ]
    )
    with Directory() as path:
        async with single(command, path) as end:
            end.reader.cancel()
            await disconnect(end.client)  # a monitor serves one client at a time
            output = await run_program(shell, end.socket, input=script + "\n")
            assert '{"return": {"status": "running", "running": true}}' in output, output
            assert '"downtime-limit": 123' in output, output
            assert '"status": "paused"' in output, output
            assert '"CommandNotFound"' in output, output


async def qmp_shell_runs_an_endpoint_of_its_own(command):
    """qmp-shell-wrap listens itself, and the endpoint connects to it."""
    wrap = os.path.join(os.path.dirname(sys.executable), "qmp-shell-wrap")
    output = await run_program(
        wrap, "--", *command, "-machine", "none", "-m", "16", "-display", "none",
        input="query-status\nquit\n",
    )
    assert '"status": "running"' in output, output


async def socat_sends_a_batch(command):
    with Directory() as path:
        async with single(command, path) as end:
            end.reader.cancel()
            await disconnect(end.client)
            output = await run_program(
                "socat", "-t", "10", "-", f"UNIX-CONNECT:{end.socket}",
                input='{"execute":"qmp_capabilities"}{"execute":"query-status","id":[1]}'
                '{"execute":"query-name"}\n',
            )
            lines = [json.loads(line) for line in output.splitlines()]
            assert lines[0]["QMP"]["version"]["qemu"]["major"] == 10, lines
            assert lines[1] == {"return": {}}, lines
            assert lines[2] == {
                "return": {"status": "running", "running": True}, "id": [1]
            }, lines
            assert lines[3] == {"return": {"name": "endpoint"}}, lines


async def socat_types_into_the_human_monitor(command):
    with Directory() as path:
        console = os.path.join(path, "console")
        async with single(
            command, path, "-monitor", f"unix:{console},server=on,wait=off"
        ) as end:
            output = await run_program(
                "socat", "-t", "2", "-", f"UNIX-CONNECT:{console}", input="info status\nstop\n"
            )
            assert "VM status: running" in output, output
            assert "(qemu) " in output, output
            await end.eventually(end.run_state, "paused")
            text = await end.execute("human-monitor-command", command_line="info status")
            assert text == "VM status: paused\r\n", text


def plain_session(path):
    """The client that everybody has written once: a socket, lines, the json module."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(LIMIT)
    connection.connect(path)
    lines = connection.makefile("rw", encoding="utf-8", newline="\n")
    assert "QMP" in json.loads(lines.readline())

    def execute(name, **arguments):
        json.dump({"execute": name, "arguments": arguments, "id": name}, lines)
        lines.flush()
        while True:
            answer = json.loads(lines.readline())
            if "event" not in answer:
                assert answer["id"] == name, answer
                return answer["return"]

    execute("qmp_capabilities")
    image = path + ".image"
    execute("migrate", uri=f"file:{image}")
    while (status := execute("query-migrate")["status"]) not in ("completed", "failed"):
        pass
    assert status == "completed", execute("query-migrate")
    while execute("query-status")["status"] == "finish-migrate":
        pass
    assert execute("query-status") == {"status": "postmigrate", "running": False}
    execute("cont")
    assert execute("query-status")["running"]
    execute("quit")
    connection.close()


async def a_plain_script_saves_the_guest(command):
    with Directory() as path:
        async with single(command, path) as end:
            end.reader.cancel()
            await disconnect(end.client)
            await asyncio.get_running_loop().run_in_executor(None, plain_session, end.socket)
            assert await asyncio.wait_for(end.process.wait(), LIMIT) == 0


SCENARIOS = [
    errors_have_qemus_classes,
    a_refused_connection_fails_later,
    the_schema_describes_every_command,
    every_capability_and_parameter_reads_back,
    out_of_band_commands_are_answered,
    two_clients_see_the_same_events,
    a_client_comes_back_after_an_abrupt_end,
    qmp_shell_runs_a_script,
    qmp_shell_runs_an_endpoint_of_its_own,
    socat_sends_a_batch,
    socat_types_into_the_human_monitor,
    a_plain_script_saves_the_guest,
]
