"""The image and the compose example: what they name exists, and what they promise is written in."""

from __future__ import annotations

import http.server
import json
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rebalancer.api.access import ALWAYS_OPEN
from rebalancer.settings import load
from rebalancer.settings.config import Address

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
README = (DEPLOY / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def instructions() -> list[tuple[str, str]]:
    """Return each instruction of the Dockerfile and its arguments, comments left out."""
    lines = [line for line in DOCKERFILE.splitlines() if not line.lstrip().startswith("#")]
    whole = "\n".join(lines).replace("\\\n", " ")
    found = [line.split(None, 1) for line in whole.splitlines() if line.strip()]
    return [(name, " ".join(rest.split())) for name, rest in found]


def last(name: str) -> str:
    return [rest for each, rest in instructions() if each == name][-1]


class TestImage:
    def test_its_user_has_no_rights_and_is_known_by_number(self) -> None:
        user, _, group = last("USER").partition(":")
        assert int(user) == int(group) > 0
        names = [name for name, _ in instructions()]
        assert names.index("USER") < names.index("ENTRYPOINT")
        after = names[names.index("USER") :]
        assert "RUN" not in after
        assert "COPY" not in after

    def test_all_that_is_copied_exists_and_is_let_in(self) -> None:
        copied = [
            source
            for name, rest in instructions()
            if name == "COPY" and not rest.startswith("--from")
            for source in rest.split()[:-1]
        ]
        assert copied
        ignore = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
        let_in = [line[1:] for line in ignore if line.startswith("!")]
        assert "*" in ignore
        assert sorted(copied) == sorted(let_in)
        assert [name for name in copied if not (ROOT / name).exists()] == []
        assert not [name for name in ("config.toml", "deploy") if name in let_in]

    def test_everything_that_is_installed_is_in_the_lock(self) -> None:
        installs = [rest for name, rest in instructions() if "pip install" in rest]
        assert len(installs) == 2
        for line in installs:
            assert "--require-hashes -r requirements.lock" in line or "--no-deps" in line
        lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
        for needed in ("hatchling", "psycopg-binary", *PROJECT["optional-dependencies"]["service"]):
            name = re.split(r"[\[<>=]", needed)[0]
            assert name == "rebalancer" or f"\n{name}==" in lock

    def test_its_python_is_one_that_the_program_runs_on(self) -> None:
        (version,) = re.findall(r"python:(3\.\d+)-slim", DOCKERFILE)
        assert PROJECT["requires-python"] == f">={version}"

    def test_it_starts_the_program_and_stops_it_as_the_desk_expects(self) -> None:
        (entry,) = json.loads(last("ENTRYPOINT"))
        assert entry in PROJECT["scripts"]
        assert json.loads(last("CMD")) == ["run"]
        assert last("STOPSIGNAL") == "SIGTERM"

    def test_what_it_sets_is_understood(self, tmp_path: Path) -> None:
        (told,) = [rest for name, rest in instructions() if name == "ENV"]
        environ = dict(each.split("=", 1) for each in told.split())
        del environ["REBALANCER_CONFIG"]
        (tmp_path / "config.toml").write_bytes((ROOT / "config.example.toml").read_bytes())
        config = load(tmp_path / "config.toml", environ)
        assert config.api.listen == Address("127.0.0.1", 8765)


class Answering(http.server.BaseHTTPRequestHandler):
    """A desk that says whether it is ready."""

    code = 200
    port = 0

    def do_GET(self) -> None:
        self.send_response(self.code if self.path == "/readyz" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def desk() -> Iterator[type[Answering]]:
    class Here(Answering):
        """Of this test alone."""

    with http.server.HTTPServer(("127.0.0.1", 0), Here) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        Here.port = server.server_port
        yield Here
        server.shutdown()
        serving.join()


@pytest.mark.parametrize(("code", "healthy"), [(200, True), (503, False)])
def test_the_health_check_is_what_the_desk_says_of_itself(
    desk: Any, code: int, healthy: bool
) -> None:
    desk.code = code
    _python, dash_c, program = json.loads(last("HEALTHCHECK").split(" CMD ")[1])
    assert dash_c == "-c"
    assert "/readyz" in ALWAYS_OPEN
    done = subprocess.run(
        [sys.executable, "-c", program.replace(":8765", f":{desk.port}")],
        capture_output=True,
        check=False,
    )
    assert (done.returncode == 0) is healthy


class TestCompose:
    desk: dict[str, Any] = COMPOSE["services"]["desk"]

    def test_the_desk_may_write_to_its_volume_and_nothing_else(self) -> None:
        assert self.desk["read_only"] is True
        assert self.desk["cap_drop"] == ["ALL"]
        assert "cap_add" not in self.desk
        assert "no-new-privileges:true" in self.desk["security_opt"]
        writable = [each for each in self.desk["volumes"] if not each.endswith(":ro")]
        assert writable == ["desk:/var/lib/rebalancer"]
        assert last("WORKDIR") == last("VOLUME") == "/var/lib/rebalancer"

    def test_a_stop_leaves_time_for_what_is_on_its_way(self) -> None:
        from rebalancer.desk.daemon import STOP_WITHIN_SECONDS  # noqa: PLC0415 - heavy

        assert int(self.desk["stop_grace_period"].removesuffix("s")) > 3 * STOP_WITHIN_SECONDS

    def test_all_that_is_named_is_declared(self) -> None:
        for service in COMPOSE["services"].values():
            assert set(service.get("secrets", [])) <= COMPOSE["secrets"].keys()
            named = {each.split(":")[0] for each in service["volumes"]}
            assert {name for name in named if "/" not in name} <= COMPOSE["volumes"].keys()
        build = self.desk["build"]
        assert (DEPLOY / build["context"] / build["dockerfile"]).resolve() == DEPLOY / "Dockerfile"
        condition = self.desk["depends_on"]["postgres"]["condition"]
        assert condition == "service_healthy"
        assert COMPOSE["services"]["postgres"]["healthcheck"]["test"][1] == "pg_isready"

    def test_no_password_stands_in_it_and_the_steps_make_what_it_mounts(self) -> None:
        text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
        assert not re.search(r"PASSWORD: |://\w+:\w+@", text)
        for secret in COMPOSE["secrets"].values():
            made = f"> deploy/{secret['file'].removeprefix('./')}"
            assert made in README
        ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
        assert "/deploy/secrets/" in ignored
        assert "config.toml" in ignored

    def test_the_address_of_the_store_is_read_as_a_credential(self, tmp_path: Path) -> None:
        (step,) = re.findall(r"^    (printf .*) > deploy/secrets/store__url$", README, re.MULTILINE)
        written = subprocess.run(
            ["sh", "-c", step.replace("$(cat deploy/secrets/postgres_password)", "s3cret")],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        (tmp_path / "store__url").write_text(written, encoding="utf-8")
        (tmp_path / "config.toml").write_bytes((ROOT / "config.example.toml").read_bytes())
        environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
        config = load(tmp_path / "config.toml", environ)
        assert config.store_url == "postgresql://rebalancer:s3cret@postgres/rebalancer"
        postgres = COMPOSE["services"]["postgres"]["environment"]
        assert postgres["POSTGRES_USER"] == postgres["POSTGRES_DB"] == "rebalancer"
