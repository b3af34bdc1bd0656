"""`sightstream publish` on a real broker and a real object store."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sightstream.infra.runtime.local import LocalRuntime
from sightstream.schemas.wire.topics import TopicSettings
from tests.producers.reading import requests_on

pytestmark = pytest.mark.real

Publish = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def publish(config_file: Path) -> Publish:
    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sightstream", "--config", config_file, "publish", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    return run


def write_csv(path: Path, count: int, tail: str = "") -> Path:
    rows = "".join(f"p{n % 9},s3://shop/{n}.jpg\n" for n in range(count))
    path.write_text("product_id,uri\n" + rows + tail)
    return path


def counts(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return {name: found[name] for name in ("delivered", "failed", "delivered_earlier", "failed_earlier")}


def test_a_csv_file_is_published_once_and_growth_is_new(
    publish: Publish, runtime: LocalRuntime, topics: TopicSettings, tmp_path: Path
) -> None:
    source = write_csv(tmp_path / "a.csv", 50)
    first = publish(source, "--json", "--question", "What colour?", "--max-tokens", "77")
    assert first.returncode == 0, first.stderr
    assert counts(first) == {"delivered": 50, "failed": 0, "delivered_earlier": 0, "failed_earlier": 0}
    assert json.loads(first.stdout)["topic"] == topics.requests
    write_csv(source, 60)
    again = publish(source, "--json", "--question", "What colour?", "--max-tokens", "77")
    assert counts(again) == {"delivered": 60, "failed": 0, "delivered_earlier": 50, "failed_earlier": 0}
    found = requests_on(runtime.kafka_settings, topics.requests)
    assert Counter(request.all_images[0].uri for request in found) == Counter(f"s3://shop/{n}.jpg" for n in range(60))
    assert len({request.request_id for request in found}) == 60
    assert {(request.question, request.options.max_tokens) for request in found} == {("What colour?", 77)}


def test_failed_rows_are_named_counted_and_make_the_exit_code_1(publish: Publish, tmp_path: Path) -> None:
    source = write_csv(tmp_path / "a.csv", 3, tail="p1\n,s3://shop/x.jpg\n")
    done = publish(source)
    assert done.returncode == 1
    assert "line 5: 1 cells under 2 columns" in done.stderr
    assert "line 6: product_id" in done.stderr
    assert "3 delivered, 2 failed" in done.stdout
    again = publish(source, "--json")
    assert again.returncode == 1
    assert counts(again) == {"delivered": 3, "failed": 2, "delivered_earlier": 3, "failed_earlier": 2}


def test_a_changed_source_is_refused_and_no_resume_starts_over(
    publish: Publish, runtime: LocalRuntime, topics: TopicSettings, tmp_path: Path
) -> None:
    source = write_csv(tmp_path / "a.csv", 5)
    assert publish(source).returncode == 0
    source.write_text(source.read_text().replace("2.jpg", "3.jpg"))
    refused = publish(source)
    assert refused.returncode == 1
    assert "--no-resume" in refused.stderr
    assert len(requests_on(runtime.kafka_settings, topics.requests)) == 5
    assert publish(source, "--no-resume").returncode == 0
    assert len(requests_on(runtime.kafka_settings, topics.requests)) == 10


def test_jsonl_and_another_topic(
    publish: Publish, runtime: LocalRuntime, topics: TopicSettings, tmp_path: Path
) -> None:
    source = tmp_path / "a.jsonl"
    source.write_text('{"sku": "p1", "uri": "s3://b/1"}\n{"sku": "p2", "uri": "s3://b/2", "question": "Why?"}\n')
    done = publish(source, "--product-column", "sku", "--topic", topics.results)
    assert done.returncode == 0, done.stderr
    found = requests_on(runtime.kafka_settings, topics.results)
    assert {(request.product_id, request.question) for request in found} == {
        ("p1", "What is shown in this image?"),
        ("p2", "Why?"),
    }


def test_a_folder(publish: Publish, runtime: LocalRuntime, topics: TopicSettings, tmp_path: Path) -> None:
    for name in ("p1/a.jpg", "p1/b.png", "p2/c 1.webp"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"image")
    (tmp_path / "in" / "p1" / "notes.txt").touch()
    done = publish(tmp_path / "in")
    assert done.returncode == 0
    assert "skipped: 1 .txt (p1/notes.txt)" in done.stderr
    found = requests_on(runtime.kafka_settings, topics.requests)
    assert {(request.product_id, request.all_images[0].uri) for request in found} == {
        ("p1", (tmp_path / "in/p1/a.jpg").as_uri()),
        ("p1", (tmp_path / "in/p1/b.png").as_uri()),
        ("p2", (tmp_path / "in/p2/c 1.webp").as_uri()),
    }


def test_a_folder_without_images_ends_with_1_and_says_so(publish: Publish, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.psd").touch()
    done = publish(tmp_path / "in", "--json")
    assert done.returncode == 1
    assert "there is nothing to publish in" in done.stderr
    assert json.loads(done.stdout)["skipped"] == {".psd": 1}


def test_an_s3_prefix(
    publish: Publish, runtime: LocalRuntime, topics: TopicSettings, s3_client: Any, bucket: str
) -> None:
    for key in ("in/p1/a.jpg", "in/p2/b é.png", "in/p2/notes.txt", "in/p2/text", "elsewhere/c.jpg"):
        s3_client.put_object(Bucket=bucket, Key=key, Body=b"image")
    s3_client.put_object(Bucket=bucket, Key="in/p3/picture", Body=b"GIF89a" + bytes(1000))
    done = publish(f"s3://{bucket}/in/")
    assert done.returncode == 0, done.stderr
    assert "skipped: 1 .txt (in/p2/notes.txt); 1 without an ending (in/p2/text)" in done.stderr
    found = requests_on(runtime.kafka_settings, topics.requests)
    assert {(request.product_id, request.all_images[0].uri) for request in found} == {
        ("p1", f"s3://{bucket}/in/p1/a.jpg"),
        ("p2", f"s3://{bucket}/in/p2/b é.png"),
        ("p3", f"s3://{bucket}/in/p3/picture"),
    }
    missing = publish(f"s3://{bucket}-none/")
    assert missing.returncode == 1
    assert "NoSuchBucket" in missing.stderr


def test_a_dry_run_shows_the_first_requests_and_publishes_nothing(
    publish: Publish, runtime: LocalRuntime, topics: TopicSettings, tmp_path: Path
) -> None:
    source = tmp_path / "shop.csv"
    source.write_text("sku;image_url;title\n" + "".join(f"{n};s3://b/{n};shoe\n" for n in range(9)))
    meant = ("--product-column", "sku", "--image-column", "image_url", "--attributes", "rest")
    done = publish(source, "--dry-run", *meant)
    assert done.returncode == 0, done.stderr
    requests = [json.loads(line) for line in done.stdout.splitlines()]
    assert [request["product_id"] for request in requests] == ["0", "1", "2", "3", "4"]
    assert requests[0]["attributes"] == {"title": "shoe"}
    assert requests_on(runtime.kafka_settings, topics.requests) == []
    refused = publish(source)
    assert refused.returncode == 1
    assert " ".join(meant) in refused.stderr


def test_wrong_use_ends_with_2(publish: Publish, tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    source = write_csv(tmp_path / "a.csv", 1)
    for arguments in ([tmp_path / "a.txt"], [tmp_path / "none.csv"], [source, "--max-tokens", "0"], []):
        done = publish(*arguments)
        assert done.returncode == 2, done.stderr
        assert "Traceback" not in done.stderr


def test_a_missing_topic_ends_with_1_and_what_to_do(publish: Publish, tmp_path: Path) -> None:
    done = publish(write_csv(tmp_path / "a.csv", 1), "--topic", "not-there")
    assert done.returncode == 1
    assert "the topic not-there does not exist" in done.stderr


def test_failed_only_publishes_what_was_corrected_and_nothing_else(
    publish: Publish, runtime: LocalRuntime, topics: TopicSettings, tmp_path: Path
) -> None:
    source = write_csv(tmp_path / "a.csv", 3, tail=",s3://shop/x.jpg\n")
    assert publish(source).returncode == 1
    source.write_text(source.read_text().replace("\n,s3", "\np9,s3"))
    again = publish(source, "--failed-only", "--json")
    assert again.returncode == 0, again.stderr
    assert counts(again) == {"delivered": 4, "failed": 0, "delivered_earlier": 3, "failed_earlier": 0}
    found = requests_on(runtime.kafka_settings, topics.requests)
    assert Counter(request.product_id for request in found) == {"p0": 1, "p1": 1, "p2": 1, "p9": 1}
