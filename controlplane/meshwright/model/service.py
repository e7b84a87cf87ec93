"""botocore's `appmesh` 2019-01-25 service model, the one definition of requests and responses."""

from __future__ import annotations

from functools import cache

from botocore.loaders import Loader
from botocore.model import ServiceModel

API_VERSION = "2019-01-25"


@cache
def load_service_model() -> ServiceModel:
    """Load the App Mesh service model that the installed botocore ships.

    Returns:
        The model: operations, shapes, bounds and documentation. It is loaded once per process
        and never written to.
    """
    loader = Loader()
    return ServiceModel(
        loader.load_service_model("appmesh", "service-2", API_VERSION), service_name="appmesh"
    )
