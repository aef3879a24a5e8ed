"""`headrace policy test`: timelines that say what policies have to decide, without a server.

Registered by `app.cli.policy`. `app.history.scenario` runs them; this reads the files and tells the result.
"""

from pathlib import Path
from xml.etree import ElementTree as ET

import typer
from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from app.cli.errors import FINDINGS, Failure
from app.history.scenario import TestFile, run
from app.policy import files
from app.policy.facts import PolicyDocument

Result = tuple[str, str, list[str]]
"""File, name of the test, and what was not as expected."""


def run_tests(
    paths: list[Path] = typer.Argument(help="Files of timelines; docs/policies.md has their form."),
    junit: Path | None = typer.Option(None, help="Write the results here too, as JUnit's XML."),
) -> None:
    """Run timelines against policies; exit code 1 if one of them is not decided as expected."""
    results = [result for path in paths for result in _results(path)]
    failed = [result for result in results if result[2]]
    for file, name, wrong in results:
        typer.echo(f"{'FAILED' if wrong else 'ok':<7} {file}: {name}")
        for sentence in wrong:
            typer.echo(f"        {sentence}")
    typer.echo(f"{len(results) - len(failed)} of {len(results)} as expected")
    if junit is not None:
        junit.write_bytes(_junit(results))
    if failed:
        raise typer.Exit(FINDINGS)


def _results(path: Path) -> list[Result]:
    file = _read(path)
    policies = _policies(path, file)
    results = []
    for case in file.tests:
        try:
            results.append((str(path), case.name, run(case, policies)))
        except ValueError as error:
            raise Failure(f"{path}: {case.name}: {error}") from error
    return results


def _read(path: Path) -> TestFile:
    try:
        plain = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        return TestFile.model_validate(plain)
    except (OSError, YAMLError) as error:
        raise Failure(f"{path} cannot be read: {error}") from error
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_url=False))
        raise Failure(f"{path} is no file of timelines: {told}") from error


def _policies(path: Path, file: TestFile) -> list[PolicyDocument]:
    texts = {}
    for name in file.policies:
        place = path.parent / name
        if not place.is_file():
            raise Failure(f"{path} names {name}, which is not beside it")
        texts[str(place)] = place.read_text(encoding="utf-8")
    return files.load(texts)


def _junit(results: list[Result]) -> bytes:
    failures = sum(bool(wrong) for _, _, wrong in results)
    suite = ET.Element("testsuite", name="headrace policy test", tests=str(len(results)), failures=str(failures))
    for file, name, wrong in results:
        case = ET.SubElement(suite, "testcase", classname=file, name=name)
        if wrong:
            ET.SubElement(case, "failure", message=wrong[0]).text = "\n".join(wrong)
    return bytes(ET.tostring(suite, encoding="utf-8", xml_declaration=True))
