"""The shapes that every part shares: botocore's App Mesh model and the resources made from it."""
