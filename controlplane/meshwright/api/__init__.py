"""The App Mesh API over HTTP: routed, parsed, validated and serialized from botocore's model."""
