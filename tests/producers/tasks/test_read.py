"""A task file is read strictly: every problem names the file, and the line or the key."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightstream.producers.errors import TaskError
from sightstream.producers.tasks.read import find_task, read_task, ready_tasks
from sightstream.schemas.wire.response_format import ChoiceFormat, JsonSchemaFormat, SectionsFormat
from tests.producers.tasks.files import TWO_STAGES, one_question, task, write_task


def test_a_file_becomes_the_wires_questions(tmp_path: Path) -> None:
    read = task(tmp_path)
    category, shirt = read.questions
    assert (read.name, read.detail, read.options.max_tokens) == ("two-stages", "low", 64)
    assert read.columns == ("title",)
    assert category.response_format == ChoiceFormat(choices=("shirt", "mug"))
    assert isinstance(shirt.response_format, JsonSchemaFormat)
    assert list(shirt.response_format.json_schema.schema_) == ["type", "properties", "required"]
    assert shirt.when is not None
    assert (shirt.when.question, shirt.when.in_) == ("category", ("shirt",))


def test_a_question_without_a_format_has_sections(tmp_path: Path) -> None:
    (question,) = task(tmp_path, one_question('text = "Why?"\nreasoning = false\nseed = 3')).questions
    assert isinstance(question.response_format, SectionsFormat)
    assert (question.reasoning, question.seed) == (False, 3)


@pytest.mark.parametrize("way", ["schema = '''{}'''", "schema_file = 'a/schema.json'"])
def test_a_schema_may_be_json_in_a_string_or_in_a_file(tmp_path: Path, way: str) -> None:
    schema = '{"type": "object", "properties": {"b": {"const": null}, "a": {"type": "integer"}}}'
    (tmp_path / "a").mkdir()
    (tmp_path / "a/schema.json").write_text(schema)
    (question,) = task(tmp_path, one_question('text = "Why?"\n' + way.replace("{}", schema))).questions
    assert isinstance(question.response_format, JsonSchemaFormat)
    properties = question.response_format.json_schema.schema_["properties"]
    assert list(properties.items()) == [("b", {"const": None}), ("a", {"type": "integer"})]


QUESTION = 'text = "Why?"\n'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name = x", r"at line 1, column 8"),
        ('name = "t"', r"questions: Field required"),
        ('name = "t"\nquestions = []', r"questions: Tuple should have at least 1 item"),
        ('name = "no spaces"\n' + one_question(QUESTION).partition("\n")[2], r"name: String should match"),
        ("colour = 1\n" + one_question(QUESTION), r"colour: Extra inputs are not permitted"),
        (one_question(QUESTION + "max_token = 3"), r"questions\.0\.max_token: Extra inputs"),
        (one_question(QUESTION + 'max_tokens = "3"'), r"questions\.0\.max_tokens: Input should be a valid integer"),
        (one_question(QUESTION + "max_tokens = 0"), r"questions\.0\.max_tokens: Input should be greater"),
        (one_question(QUESTION + "temperature = nan"), r"questions\.0\.temperature: nan has no form in JSON"),
        (one_question('text = "{"'), r"questions\.0\.text: the { at character 1"),
        (one_question(QUESTION + 'choices = ["a"]'), r"questions\.0\.choices: Tuple should have at least 2 items"),
        (one_question(QUESTION + 'choices = ["a", "a"]'), r"questions\.0\.choices: .*a choice occurs twice"),
        (
            one_question(QUESTION + 'choices = ["a", "b"]\nschema = {}'),
            r"questions\.0: .*only one of choices and schema",
        ),
        (one_question(QUESTION + "schema = '[]'"), r"questions\.0\.schema: a JSON Schema is an object"),
        (one_question(QUESTION + "schema = '{'"), r"questions\.0\.schema: not valid JSON: .* line 1 column 2"),
        (one_question(QUESTION + """schema = '{"a": 1, "a": 2}'"""), r"questions\.0\.schema: .*a key occurs twice"),
        (one_question(QUESTION + "schema = { const = 2026-01-02 }"), r"questions\.0\.schema\.const: 2026-01-02 has no"),
        (
            one_question(QUESTION + 'schema_file = "none.json"'),
            r"questions\.0\.schema_file: .*none\.json can't be read",
        ),
        (one_question(QUESTION + 'schema_file = "."'), r"questions\.0\.schema_file: .* can't be read: Is a directory"),
        (
            one_question(QUESTION + 'when = { question = "r", in = [1] }'),
            r"questions: q: when\.question names no earlier",
        ),
        (one_question(QUESTION) + '[[questions]]\nid = "q"\ntext = "?"', r"questions: the id q occurs twice"),
        (
            TWO_STAGES.replace('in = ["shirt"]', 'in = ["shrit"]'),
            r'when\.in: "shrit" is no answer of category; .*"shirt"',
        ),
        ("a = " + "[" * 5000, r"nested too deep"),
    ],
)
def test_a_problem_names_the_file_and_the_line_or_the_key(tmp_path: Path, text: str, problem: str) -> None:
    file = write_task(tmp_path, text)
    with pytest.raises(TaskError, match=problem) as caught:
        read_task(file)
    assert str(caught.value).startswith(f"{file}: ")


def test_a_file_that_is_missing_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"none\.toml: it can't be read: No such file"):
        read_task(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TaskError, match=r"bytes\.toml: .*can't decode"):
        read_task(tmp_path / "bytes.toml")
    (tmp_path / "large.toml").write_bytes(b"#" * (1024**2 + 1))
    with pytest.raises(TaskError, match=r"large\.toml: it is larger than 1048576 bytes"):
        read_task(tmp_path / "large.toml")


def test_a_task_is_found_by_its_name_or_its_file(tmp_path: Path) -> None:
    assert find_task("product-basics").name == "product-basics"
    assert find_task(str(write_task(tmp_path))).name == "two-stages"
    with pytest.raises(TaskError, match=r"there is no ready task product; known: .*product-basics.*ends with \.toml"):
        find_task("product")
    assert "product-basics" in [path.stem for path in ready_tasks()]


@given(st.lists(st.tuples(st.integers(0, len(TWO_STAGES)), st.integers(0, 12), st.text(max_size=3)), max_size=4))
@settings(deadline=None)
def test_a_damaged_file_is_read_or_named(edits: list[tuple[int, int, str]]) -> None:
    text = TWO_STAGES
    for start, length, inserted in edits:
        text = text[:start] + inserted + text[start + length :]
    with TemporaryDirectory() as folder:
        file = Path(folder) / "task.toml"
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            read = read_task(file)
        except TaskError as error:
            assert str(error).startswith(f"{file}: ")  # noqa: PT017
        else:
            assert 1 <= len(read.questions) <= 2
