"""Pure translation: a mesh's graph and one proxy become that proxy's Envoy resources."""

from meshwright.translate.proxies import Interception, Proxy, parse_proxy
from meshwright.translate.translation import ProxyResources, translate

__all__ = ["Interception", "Proxy", "ProxyResources", "parse_proxy", "translate"]
