"""Pure translation: a mesh's graph and one proxy become that proxy's Envoy resources."""

from meshwright.translate.proxies import Interception, Proxy, parse_proxy
from meshwright.translate.translation import ProxyResources, Translator, translate

__all__ = [
    "Interception",
    "Proxy",
    "ProxyResources",
    "Translator",
    "parse_proxy",
    "translate",
]
