"""The containers are those of the code: images, settings, topology, files. No engine is needed."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from app.local.docker_engine import IMAGES
from app.local.kafka_jars import POM
from app.queue import topology
from app.queue.roles import ROLES
from app.settings import Settings

ROOT = Path(__file__).parents[3]
DOCKER = ROOT / "docker"


@pytest.fixture(scope="module")
def compose():
    return YAML(typ="safe", pure=True).load((DOCKER / "compose.yaml").read_text())


@pytest.fixture(scope="module")
def definitions():
    return json.loads((DOCKER / "rabbitmq" / "definitions.json").read_text())


def test_images_are_the_same_as_those_of_local_containers(compose):
    assert {name: compose["services"][name]["image"] for name in IMAGES} == IMAGES


def test_kafka_is_the_version_of_the_jars(compose):
    version = re.search(r"<kafka.version>(.+)</kafka.version>", POM.read_text())[1]
    assert compose["services"]["kafka"]["image"] == f"apache/kafka:{version}"


@pytest.mark.parametrize("service", ["init", "app", "worker", "gateway"])
def test_settings_are_settings_of_the_product(compose, service):
    known = {f"HEADRACE_{field.upper()}" for field in Settings.model_fields}
    assert set(compose["services"][service]["environment"]) <= known
    assert {"HEADRACE_KAFKA_URL", "HEADRACE_RABBITMQ_URL", "HEADRACE_REDIS_URL"} <= set(
        compose["services"][service]["environment"]
    )


def test_the_topology_is_that_of_the_code(definitions):
    for part, expected in topology.definitions("headrace").items():
        assert definitions[part] == expected


def test_the_password_is_the_one_in_the_address(compose, definitions):
    url = compose["services"]["init"]["environment"]["HEADRACE_RABBITMQ_URL"]
    user, password = re.search(r"//(.+):(.+)@", url).groups()
    known = definitions["users"][0]
    raw = base64.b64decode(known["password_hash"])
    assert known["name"] == user
    assert raw[4:] == hashlib.sha256(raw[:4] + password.encode()).digest()


@pytest.mark.parametrize(("service", "role"), [("app", "router"), ("worker", "worker"), ("gateway", "gateway")])
def test_each_service_has_the_user_of_its_role_with_the_password_that_it_is_made_with(compose, service, role):
    url = compose["services"][service]["environment"]["HEADRACE_RABBITMQ_URL"]
    user, password = re.search(r"//([^:]+):(.+)@rabbitmq:", url).groups()
    assert user == ROLES[role].user
    assert password == compose["services"]["init"]["environment"][f"HEADRACE_RABBITMQ_{role.upper()}_PASSWORD"]


def test_mounted_files_and_dockerfiles_exist(compose):
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in compose["volumes"] or (DOCKER / source).is_file()
        if "build" in service:
            assert (ROOT / service["build"]["dockerfile"]).is_file()


def test_nothing_is_published_beyond_loopback(compose):
    for service in compose["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_kafka_advertises_the_address_that_the_containers_use(compose):
    text = (DOCKER / "kafka" / "server.properties").read_text()
    url = compose["services"]["app"]["environment"]["HEADRACE_KAFKA_URL"]
    assert f"INTERNAL://{url.removeprefix('kafka://')}" in text


@pytest.mark.parametrize("name", ["app", "tasks"])
def test_images_are_locked_and_run_as_nobody_special(name):
    text = (DOCKER / f"{name}.Dockerfile").read_text()
    assert "--require-hashes -r requirements.lock" in text
    assert re.search(r"^USER 10001$", text, re.MULTILINE)
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        assert all((ROOT / part).exists() for part in source.split())
        ignored = (ROOT / ".dockerignore").read_text().splitlines()
        assert all(f"!{part}" in ignored for part in source.split())


@pytest.mark.parametrize("name", ["app", "tasks"])
def test_the_package_can_be_built_from_what_an_image_copies(name, tmp_path):
    text = (DOCKER / f"{name}.Dockerfile").read_text()
    for sources, target in re.findall(r"^COPY (?!--from)(.+) (\S+)$", text, re.MULTILINE):
        for source in sources.split():
            there = tmp_path / (source if target == "./" else target)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, there, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, there)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel"]
    done = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "dist").glob("headrace-*.whl"))) == 1
