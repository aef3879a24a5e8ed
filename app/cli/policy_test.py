"""`headrace policy test`: timelines that say what policies have to decide, without a server.

Registered by `app.cli.policy`. `app.history.scenario` runs them; this reads the files and tells the result.
"""

from pathlib import Path
from xml.etree import ElementTree as ET

import typer
from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from app.cli.errors import FINDINGS, Failure
from app.cli.reading import files_in
from app.history.case import TestFile
from app.history.scenario import run
from app.policy import files
from app.policy.facts import PolicyDocument

Result = tuple[str, str, list[str]]
"""File, name of the test, and what was not as expected."""


def run_tests(
    paths: list[Path] = typer.Argument(
        help="Files of timelines, or directories of them; docs/policies.md has the form."
    ),
    junit: Path | None = typer.Option(None, help="Write the results here too, as JUnit's XML."),
) -> None:
    """Run timelines against policies; exit code 1 if one of them is not decided as expected."""
    found = [file for path in paths for file in files_in(path)]
    if not found:
        raise Failure(f"there is no file of timelines in {', '.join(map(str, paths))}")
    results = [result for file, read, policies in _all(found) for result in _results(file, read, policies)]
    failed = [result for result in results if result[2]]
    for file, name, wrong in results:
        typer.echo(f"{'FAILED' if wrong else 'ok':<7} {file}: {name}")
        for line in "\n".join(wrong).splitlines():
            typer.echo(f"        {line}")
    typer.echo(f"{len(results) - len(failed)} of {len(results)} as expected")
    if junit is not None:
        junit.write_bytes(_junit(results))
    if failed:
        raise typer.Exit(FINDINGS)


def _all(paths: list[Path]) -> list[tuple[Path, TestFile, list[PolicyDocument]]]:
    """Every file with the policies that it tests; raises PolicyError with the mistakes of all of them."""
    read: list[tuple[Path, TestFile, list[PolicyDocument]]] = []
    problems: list[files.Problem] = []
    for path in paths:
        try:
            file = _read(path)
            read.append((path, file, _policies(path, file)))
        except files.PolicyError as error:
            problems += error.problems
    if problems:
        raise files.PolicyError(list(dict.fromkeys(problems)))  # two files may test one policy
    return read


def _results(path: Path, file: TestFile, policies: list[PolicyDocument]) -> list[Result]:
    """A timeline that cannot be run is one that is not as expected, so that the others are told of too."""
    results: list[Result] = []
    for case in file.tests:
        try:
            wrong = run(case, policies)
        except ValueError as error:
            wrong = [f"it cannot be run: {error}"]
        results.append((str(path), case.name, wrong))
    return results


def _read(path: Path) -> TestFile:
    """A file of timelines; raises Failure, or PolicyError with every mistake and its line."""
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        document = YAML(typ="rt").load(text)
    except YAMLError as error:
        raise files.PolicyError([files.no_yaml(str(path), error)]) from error
    if not isinstance(document, CommentedMap):
        raise Failure(f"{path} is no file of timelines; it has `policies` and `tests`, as docs/policies.md shows")
    try:
        return TestFile.model_validate(YAML(typ="safe", pure=True).load(text))
    except ValidationError as error:
        raise files.PolicyError(files.wrong(str(path), document, error, TestFile)) from error


def _policies(path: Path, file: TestFile) -> list[PolicyDocument]:
    texts = {}
    for name in file.policies:
        place = path.parent / name
        if not place.is_file():
            raise Failure(f"{path} names {name}, which is not beside it")
        texts[str(place)] = place.read_text(encoding="utf-8", errors="replace")
    return files.load(texts)


def _junit(results: list[Result]) -> bytes:
    failures = sum(bool(wrong) for _, _, wrong in results)
    suite = ET.Element("testsuite", name="headrace policy test", tests=str(len(results)), failures=str(failures))
    for file, name, wrong in results:
        case = ET.SubElement(suite, "testcase", classname=file, name=name)
        if wrong:
            ET.SubElement(case, "failure", message=wrong[0].partition("\n")[0]).text = "\n".join(wrong)
    return bytes(ET.tostring(suite, encoding="utf-8", xml_declaration=True))
