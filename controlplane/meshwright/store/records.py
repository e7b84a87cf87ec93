"""Stored resources as JSON text and back, the same for every engine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from meshwright.model.resources import Resource, ResourceKey


def render_record(resource: Resource) -> str:
    """A resource as compact JSON text; its key is kept beside it by the engine."""
    record: dict[str, Any] = {
        "arn": resource.arn,
        "spec": resource.spec,
        "uid": resource.uid,
        "version": resource.version,
        "createdAt": resource.created_at,
        "lastUpdatedAt": resource.last_updated_at,
        "resourceOwner": resource.resource_owner,
        "tags": resource.tags,
    }
    if resource.shared_with:
        record["sharedWith"] = resource.shared_with
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False)


def parse_record(key: ResourceKey, text: str) -> Resource:
    """The resource that `render_record` made the text from."""
    return parse_record_object(key, json.loads(text))


def parse_record_object(key: ResourceKey, record: Mapping[str, Any]) -> Resource:
    """The resource of a record that is part of a larger JSON text."""
    resource = Resource(
        key=key,
        arn=record["arn"],
        spec=record["spec"],
        uid=record["uid"],
        version=record["version"],
        created_at=record["createdAt"],
        last_updated_at=record["lastUpdatedAt"],
        resource_owner=record["resourceOwner"],
    )
    tags, shared_with = record["tags"], record.get("sharedWith")
    if tags:
        resource = replace(resource, tags=tuple((tag[0], tag[1]) for tag in tags))
    return replace(resource, shared_with=tuple(shared_with)) if shared_with else resource
