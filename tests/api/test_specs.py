"""The documents for programs say what the program does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rebalancer.api.messages import ALL_NAVS
from rebalancer.api.specs import (
    SSE_MODELS,
    STREAM_MODELS,
    asyncapi,
    main,
    openapi,
    written,
)

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize(("name", "make"), [("openapi", openapi), ("asyncapi", asyncapi)])
def test_the_file_is_what_the_command_writes(name: str, make: Any) -> None:
    kept = (DOCS / f"{name}.json").read_text(encoding="utf-8")
    assert kept == written(make()), "run: make specs"


def test_the_command_writes_both(tmp_path: Path) -> None:
    main([str(tmp_path)])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("asyncapi.json", "config.schema.json", "openapi.json")
    ]


def test_openapi_is_3_1_and_names_no_other_host() -> None:
    document = openapi()
    assert document["openapi"].startswith("3.1")
    assert "://" not in json.dumps(document)
    for path in document["paths"].values():
        for operation in path.values():
            assert "application/problem+json" in operation["responses"]["default"]["content"]


def test_only_posts_change_anything() -> None:
    methods = {method for path in openapi()["paths"].values() for method in path}
    assert methods == {"get", "post"}


def test_every_message_is_described_as_its_model() -> None:
    messages = asyncapi()["components"]["messages"]
    assert set(messages) == {*STREAM_MODELS, *SSE_MODELS, "tokenNavs"}
    for name, model in {**STREAM_MODELS, **SSE_MODELS}.items():
        described = messages[name]["payload"]
        assert set(described["properties"]) == set(model.model_fields)
        assert described["additionalProperties"] is False


def test_every_reference_leads_somewhere() -> None:
    for document in (openapi(), asyncapi()):
        for reference in references(document):
            place: Any = document
            for part in reference.removeprefix("#/").split("/"):
                place = place[part.replace("~1", "/")]
            assert place


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        here = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return here + [found for value in node.values() for found in references(value)]
    if isinstance(node, list):
        return [found for value in node for found in references(value)]
    return []


def test_every_stream_has_a_channel() -> None:
    addresses = [channel["address"] for channel in asyncapi()["channels"].values()]
    assert f"/ws/{ALL_NAVS}" in addresses
    assert "/api/v1/events" in addresses
