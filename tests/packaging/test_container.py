"""The container file, and the compose file beside it: what they promise, and that their steps and commands work.

No container engine is asked: the steps of the Dockerfile run as a script, in a folder of their own.
"""

from __future__ import annotations

import json
import re
import shutil
import site
import subprocess
import sys
import sysconfig
import urllib.request
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from fauxvider import cli

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))
NGINX = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
EMULATORS = ("emulator-1", "emulator-2")


def _steps() -> list[tuple[str, str]]:
    """Give (instruction, rest) of the Dockerfile, its continued lines joined."""
    text = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in text.splitlines() if line.strip())]


def _stages() -> list[list[tuple[str, str]]]:
    stages: list[list[tuple[str, str]]] = []
    for step in _steps():
        if step[0] == "FROM":
            stages.append([])
        stages[-1].append(step)
    return stages


def _one(name: str) -> str:
    (rest,) = [rest for known, rest in _stages()[-1] if known == name]
    return rest


def test_the_image_is_slim_and_runs_as_nobody() -> None:
    build, final = _stages()
    assert all(re.fullmatch(r"python:3\.\d+-slim( AS build)?", stage[0][1]) for stage in (build, final))
    assert (
        build[0][1].removesuffix(" AS build") == final[0][1]
    )  # the environment's Python is the one that it was made with
    user, group = _one("USER").split(":")
    assert int(user) > 0
    assert int(group) > 0
    names = [name for name, _ in final]
    assert "RUN" not in names  # nothing is made there
    assert "ADD" not in {name for name, _ in _steps()}
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert set(_one("EXPOSE").split()) == {"8900", "8901"}


def test_what_is_copied_is_there_and_not_ignored() -> None:
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    kept = {line[1:] for line in ignore if line.startswith("!")}
    copied = {name for known, rest in _stages()[0] if known == "COPY" for name in rest.split()[:-1]}
    assert "*" in ignore
    assert kept == copied
    assert [name for name in copied if not (ROOT / name).exists()] == []


def _environment(root: Path) -> dict[str, str]:
    """Give an environment without a home or a folder to write to, where `python` is the one of this test."""
    (root / "bin").mkdir()
    (root / "bin" / "python").symlink_to(sys.executable)
    return {
        "PATH": f"{root}/bin:/usr/bin:/bin",
        "PIP_NO_DEPS": "1",  # those that this test runs with serve
        "PIP_NO_BUILD_ISOLATION": "0",  # pip's spelling of: do not isolate
        "PIP_NO_INDEX": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "HOME": "/nonexistent",
        "TMPDIR": str(root),
    }


def _copy(what: Path, where: Path) -> None:
    if what.is_dir():
        shutil.copytree(what, where, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(what, where)


def _built(root: Path) -> dict[str, str]:
    """Run the steps of the first stage below `root`; give the environment of the second one."""
    env, source = _environment(root), root / "src"
    source.mkdir()
    own = [site.getsitepackages()[0], sysconfig.get_path("purelib")]
    for name, rest in _stages()[0]:
        if name == "COPY":
            *names, target = rest.split()
            for one in names:
                _copy(ROOT / one, source / target / (one if target == "./" else ""))
        elif name == "RUN":
            first, *others = rest.replace("/opt/fauxvider", f"{root}/opt/fauxvider").split(" && ")
            subprocess.run(["sh", "-ec", first], cwd=source, env=env, check=True, capture_output=True, timeout=120)
            (packages,) = (root / "opt/fauxvider/lib").glob("python3*/site-packages")
            (packages / "those_of_the_test.pth").write_text("\n".join(own) + "\n", encoding="utf-8")
            for step in others:
                done = subprocess.run(
                    ["sh", "-ec", step], cwd=source, env=env, capture_output=True, text=True, timeout=120
                )
                assert done.returncode == 0, done.stderr
    found = dict(one.split("=", 1) for one in _one("ENV").split())
    path = found["PATH"].replace("/opt/fauxvider", f"{root}/opt/fauxvider").replace("$PATH", env["PATH"])
    return {**env, **found, "PATH": path}


def test_its_steps_and_commands_run(tmp_path: Path) -> None:
    env = _built(tmp_path)
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir(mode=0o555)
    command = [*json.loads(_one("ENTRYPOINT")), *json.loads(_one("CMD"))]
    assert command[2:4] == ["--host", "0.0.0.0"]
    options = ["--port", "0", "--control-port", "0", "--json"]
    with subprocess.Popen(
        [*command, *options], cwd=nowhere, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            assert line, server.stderr and server.stderr.read()
            places = json.loads(line)
            port = places["control"]["url"].rpartition(":")[2]
            check = json.loads(_one("HEALTHCHECK").partition(" CMD ")[2])
            assert ":8901/" in check[-1]
            check[-1] = check[-1].replace(":8901/", f":{port}/")
            assert subprocess.run(check, env=env, cwd=nowhere, timeout=60).returncode == 0
            root = next(iter(places["providers"].values()))["base_url"].rpartition("/")[0]
            with urllib.request.urlopen(f"{root}/-/ready", timeout=60) as answer:
                assert json.load(answer) == {"status": "ready"}
            where = subprocess.run(
                ["python", "-c", "import fauxvider; print(fauxvider.__file__)"], env=env, capture_output=True, text=True
            ).stdout
            assert where.startswith(f"{tmp_path}/opt/fauxvider/")  # what was built is what serves
            server.terminate()
            _, err = server.communicate(timeout=60)
        finally:
            server.kill()
    assert server.returncode == 0
    assert [json.loads(line)["event"] for line in err.splitlines()] == ["ready", "draining", "stopped"]
    check_again = subprocess.run(check, env=env, cwd=nowhere, timeout=60, capture_output=True)
    assert check_again.returncode != 0  # a server that is gone is not healthy
    assert list(nowhere.iterdir()) == []


# --- the compose file


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_every_service_runs_with_as_little_as_it_can(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(mount.startswith("/tmp:") for mount in service["tmpfs"])
    assert not re.search(r":latest$", service.get("image", "built:1"))
    if "build" in service:
        assert (ROOT / "deploy" / service["build"]["context"] / "Dockerfile").exists()
    else:
        assert re.fullmatch(r"(valkey/valkey|nginxinc/nginx-unprivileged):\d[\w.-]*", service["image"])
    for port in service.get("ports", ()):
        assert port.startswith("${LISTEN:-127.0.0.1}:")


def _arguments(name: str) -> list[str]:
    """Give an emulator's arguments as they are without any setting."""
    return [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", one) for one in COMPOSE["services"][name]["command"]]


def test_the_emulators_are_alike_and_their_commands_are_understood() -> None:
    seen = []
    for name in EMULATORS:
        command, *arguments = _arguments(name)
        found = cli._root.get_command(click.Context(cli._root), command)
        assert found is not None
        given = found.make_context(command, list(arguments)).params
        assert given["store"] == "redis://valkey:6379/0"
        assert given["node_address"] == f"{name}:8902"
        assert f"{name}:8901" in given["control_names"]
        assert given["base_url"] == "http://localhost:8900"
        assert (given["host"], given["control_host"], given["expose"]) == ("0.0.0.0", "0.0.0.0", True)
        assert given["grace"] < int(COMPOSE["services"][name]["stop_grace_period"].removesuffix("s"))
        seen.append([one.replace(name, "NAME") for one in arguments])
        environment = COMPOSE["services"][name]["environment"]
        assert environment["FAUXVIDER_CONTROL_TOKEN"].startswith("${FAUXVIDER_CONTROL_TOKEN:?")
    assert seen[0] == seen[1]
    assert "ports" not in str([COMPOSE["services"][name].keys() for name in EMULATORS])


def test_valkey_keeps_what_it_is_given() -> None:
    command = COMPOSE["services"]["valkey"]["command"]
    settings = dict(zip(command[1::2], command[2::2], strict=True))
    assert settings["--maxmemory-policy"] == "noeviction"
    assert settings["--appendonly"] == "yes"
    assert COMPOSE["services"]["valkey"]["volumes"] == ["valkey:/data"]
    assert "ports" not in COMPOSE["services"]["valkey"]


def test_the_proxy_knows_both_emulators() -> None:
    for port in (8900, 8901):
        servers = re.findall(rf"server ([\w-]+):{port}\b", NGINX)
        assert servers == list(EMULATORS)
        assert f"listen {port} " in NGINX
    assert "./nginx.conf:/etc/nginx/nginx.conf:ro" in COMPOSE["services"]["proxy"]["volumes"]
    writes = re.findall(r"(?:_temp_path|^pid) (\S+);", NGINX, re.MULTILINE)
    assert len(writes) == 6
    assert all(path.startswith("/tmp/") for path in writes)
