# pyright: basic, reportArgumentType=false
"""A program as people wrote it for AWS App Mesh: all seven types, every field that AWS's has.

A test runs it against AWS's SDK as it is, and against Meshwright with another import.
"""

from typing import Any

import pulumi
from pulumi_aws import appmesh

tags = {"team": "paint"}

mesh = appmesh.Mesh(
    "demo",
    name="demo",
    spec=appmesh.MeshSpecArgs(
        egress_filter=appmesh.MeshSpecEgressFilterArgs(type="ALLOW_ALL"),
        service_discovery=appmesh.MeshSpecServiceDiscoveryArgs(ip_preference="IPv4_PREFERRED"),
    ),
    region="us-east-1",
    tags=tags,
)
bare = appmesh.Mesh("bare", name="bare", spec={"egress_filter": {}})


def client_policy() -> appmesh.VirtualNodeSpecBackendVirtualServiceClientPolicyArgs:
    """The policy of a backend, in the classes that are named after their place."""
    return appmesh.VirtualNodeSpecBackendVirtualServiceClientPolicyArgs(
        tls=appmesh.VirtualNodeSpecBackendVirtualServiceClientPolicyTlsArgs(
            enforce=True,
            ports=[8443],
            certificate=appmesh.VirtualNodeSpecBackendVirtualServiceClientPolicyTlsCertificateArgs(
                file=appmesh.VirtualNodeSpecBackendVirtualServiceClientPolicyTlsCertificateFileArgs(
                    certificate_chain="/certs/chain.pem", private_key="/certs/key.pem"
                )
            ),
            validation=appmesh.VirtualNodeSpecBackendVirtualServiceClientPolicyTlsValidationArgs(
                trust=appmesh.VirtualNodeSpecBackendVirtualServiceClientPolicyTlsValidationTrustArgs(
                    file=appmesh.VirtualNodeSpecBackendVirtualServiceClientPolicyTlsValidationTrustFileArgs(
                        certificate_chain="/certs/ca.pem"
                    )
                ),
                subject_alternative_names=appmesh.VirtualNodeSpecBackendVirtualServiceClientPolicyTlsValidationSubjectAlternativeNamesArgs(
                    match=appmesh.VirtualNodeSpecBackendVirtualServiceClientPolicyTlsValidationSubjectAlternativeNamesMatchArgs(
                        exacts=["blue.demo.local"]
                    )
                ),
            ),
        )
    )


ACM_TRUST: Any = {
    "trust": {"acm": {"certificate_authority_arns": ["arn:aws:acm-pca:us-east-1:1:ca/1"]}}
}
SDS_TRUST: Any = {
    "trust": {"sds": {"secret_name": "ca"}},
    "subject_alternative_names": {"match": {"exacts": ["a.demo.local", "b.demo.local"]}},
}
FILE_TRUST: Any = {
    "trust": {"file": {"certificate_chain": "/certs/ca.pem"}},
    "subject_alternative_names": {"match": {"exacts": ["client"]}},
}
CERTIFICATES: Any = {
    "file": {"file": {"certificate_chain": "/certs/chain.pem", "private_key": "/certs/key.pem"}},
    "sds": {"sds": {"secret_name": "own"}},
    "acm": {"acm": {"certificate_arn": "arn:aws:acm:us-east-1:1:certificate/1"}},
}
SECOND: Any = {"unit": "s", "value": 1}
BOTH: Any = {"idle": {"unit": "s", "value": 60}, "per_request": {"unit": "ms", "value": 900}}
POOLS: Any = {
    "grpc": {"grpc": {"max_requests": 10}},
    "http2": {"http2s": [{"max_requests": 20}]},
    "http": {"https": [{"max_connections": 30, "max_pending_requests": 40}]},
    "tcp": {"tcps": [{"max_connections": 50}]},
}

nodes: dict[str, appmesh.VirtualNode] = {}
for protocol, trust in (("http", SDS_TRUST), ("http2", FILE_TRUST), ("grpc", SDS_TRUST)):
    nodes[protocol] = appmesh.VirtualNode(
        f"node-{protocol}",
        name=f"node-{protocol}",
        mesh_name=mesh.id.apply(lambda _: "demo"),
        mesh_owner=mesh.mesh_owner,
        region="us-east-1",
        spec={
            "listeners": [
                {
                    "port_mapping": {"port": 8080, "protocol": protocol},
                    "connection_pool": POOLS[protocol],
                    "timeout": {protocol: BOTH},
                    "health_check": {
                        "healthy_threshold": 2,
                        "interval_millis": 5000,
                        "protocol": protocol,
                        "timeout_millis": 2000,
                        "unhealthy_threshold": 3,
                        "port": 8080,
                        **({} if protocol == "grpc" else {"path": "/ping"}),
                    },
                    "outlier_detection": {
                        "base_ejection_duration": SECOND,
                        "interval": SECOND,
                        "max_ejection_percent": 50,
                        "max_server_errors": 5,
                    },
                    "tls": {
                        "mode": "STRICT",
                        "certificate": CERTIFICATES[
                            {"http": "file", "http2": "sds", "grpc": "acm"}[protocol]
                        ],
                        "validation": trust,
                    },
                }
            ],
            "service_discovery": {
                "dns": {
                    "hostname": f"{protocol}.demo.local",
                    "ip_preference": "IPv6_ONLY",
                    "response_type": "ENDPOINTS",
                }
            },
            "logging": {
                "access_log": {
                    "file": {
                        "path": "/dev/stdout",
                        "format": {"jsons": [{"key": "m", "value": "%REQ(:METHOD)%"}]},
                    }
                }
            },
            "backend_defaults": {
                "client_policy": {
                    "tls": {
                        "enforce": False,
                        "ports": [443],
                        "certificate": CERTIFICATES["sds" if protocol == "http" else "file"],
                        "validation": {"http2": ACM_TRUST, "http": SDS_TRUST, "grpc": FILE_TRUST}[
                            protocol
                        ],
                    }
                }
            },
        },
        tags=tags,
    )

blue = appmesh.VirtualNode(
    "blue",
    name="blue",
    mesh_name=mesh.name,
    spec=appmesh.VirtualNodeSpecArgs(
        backends=[
            appmesh.VirtualNodeSpecBackendArgs(
                virtual_service=appmesh.VirtualNodeSpecBackendVirtualServiceArgs(
                    virtual_service_name="color.demo.local", client_policy=client_policy()
                )
            ),
            {
                "virtual_service": {
                    "virtual_service_name": "sds.demo.local",
                    "client_policy": {
                        "tls": {"certificate": CERTIFICATES["sds"], "validation": SDS_TRUST}
                    },
                }
            },
            {
                "virtual_service": {
                    "virtual_service_name": "acm.demo.local",
                    "client_policy": {"tls": {"validation": ACM_TRUST}},
                }
            },
        ],
        listeners=[
            appmesh.VirtualNodeSpecListenerArgs(
                port_mapping=appmesh.VirtualNodeSpecListenerPortMappingArgs(
                    port=9000, protocol="tcp"
                ),
                connection_pool=appmesh.VirtualNodeSpecListenerConnectionPoolArgs(
                    tcps=[appmesh.VirtualNodeSpecListenerConnectionPoolTcpArgs(max_connections=50)]
                ),
                timeout=appmesh.VirtualNodeSpecListenerTimeoutArgs(
                    tcp=appmesh.VirtualNodeSpecListenerTimeoutTcpArgs(
                        idle=appmesh.VirtualNodeSpecListenerTimeoutTcpIdleArgs(unit="s", value=9)
                    )
                ),
            )
        ],
        logging=appmesh.VirtualNodeSpecLoggingArgs(
            access_log=appmesh.VirtualNodeSpecLoggingAccessLogArgs(
                file=appmesh.VirtualNodeSpecLoggingAccessLogFileArgs(
                    path="/dev/stdout",
                    format=appmesh.VirtualNodeSpecLoggingAccessLogFileFormatArgs(text="%PROTOCOL%"),
                )
            )
        ),
        service_discovery=appmesh.VirtualNodeSpecServiceDiscoveryArgs(
            aws_cloud_map=appmesh.VirtualNodeSpecServiceDiscoveryAwsCloudMapArgs(
                namespace_name="demo.local",
                service_name="blue",
                attributes={"stage": "prod", "a-b": "c"},
            )
        ),
    ),
)

routers = {
    protocol: appmesh.VirtualRouter(
        f"router-{protocol}",
        name=f"router-{protocol}",
        mesh_name=mesh.name,
        mesh_owner=mesh.mesh_owner,
        region="us-east-1",
        spec=appmesh.VirtualRouterSpecArgs(
            listeners=[
                appmesh.VirtualRouterSpecListenerArgs(
                    port_mapping={"port": 8080, "protocol": protocol}
                )
            ]
        ),
        tags=tags,
    )
    for protocol in ("http", "http2", "grpc", "tcp")
}

WAYS: Any = [
    {"exact": "a"},
    {"prefix": "b"},
    {"suffix": "c"},
    {"regex": "d.*"},
    {"range": {"start": 1, "end": 9}},
]
NAMED: Any = [
    {"name": f"x-{next(iter(way))}", "invert": way == WAYS[0], "match": way} for way in WAYS
]
ROUTED: Any = {
    protocol: {"weighted_targets": [{"virtual_node": node.name, "weight": 100, "port": 8080}]}
    for protocol, node in nodes.items()
}
RETRIES: Any = {
    "max_retries": 3,
    "per_retry_timeout": SECOND,
    "http_retry_events": ["gateway-error", "stream-error"],
    "tcp_retry_events": ["connection-error"],
}


def route(name: str, protocol: str, spec: Any) -> None:
    """Declare a route of one of the routers."""
    appmesh.Route(
        name,
        name=name,
        mesh_name=mesh.name,
        mesh_owner=mesh.mesh_owner,
        region="us-east-1",
        virtual_router_name=routers[protocol].name,
        spec=spec,
        tags=tags,
    )


for protocol in ("http", "http2"):
    ours = {
        "match": {
            "headers": NAMED,
            "method": "GET",
            "path": {"exact": "/a"},
            "port": 8080,
            "query_parameters": [{"name": "q", "match": {"exact": "1"}}],
            "scheme": "http",
        },
        "action": ROUTED[protocol],
        "retry_policy": RETRIES,
        "timeout": BOTH,
    }
    route(f"{protocol}-all", protocol, {f"{protocol}_route": ours, "priority": 1})
    for name, match in (("regex", {"path": {"regex": "/b.*"}}), ("prefix", {"prefix": "/"})):
        spec = {f"{protocol}_route": {"match": match, "action": ROUTED[protocol]}}
        route(f"{protocol}-{name}", protocol, spec)

route(
    "grpc-all",
    "grpc",
    {
        "grpc_route": {
            "match": {
                "metadatas": NAMED,
                "service_name": "demo.Color",
                "method_name": "Get",
                "port": 8080,
                "prefix": "/ignored",
            },
            "action": ROUTED["grpc"],
            "retry_policy": {**RETRIES, "grpc_retry_events": ["cancelled", "unavailable"]},
            "timeout": BOTH,
        }
    },
)
route("grpc-any", "grpc", {"grpc_route": {"action": ROUTED["grpc"]}})
appmesh.Route(
    "tcp",
    appmesh.RouteArgs(
        name="tcp",
        mesh_name=mesh.name,
        virtual_router_name=routers["tcp"].name,
        spec=appmesh.RouteSpecArgs(
            tcp_route=appmesh.RouteSpecTcpRouteArgs(
                match=appmesh.RouteSpecTcpRouteMatchArgs(port=8080),
                action=appmesh.RouteSpecTcpRouteActionArgs(
                    weighted_targets=[
                        appmesh.RouteSpecTcpRouteActionWeightedTargetArgs(
                            virtual_node=blue.name, weight=1, port=9000
                        )
                    ]
                ),
                timeout=appmesh.RouteSpecTcpRouteTimeoutArgs(
                    idle=appmesh.RouteSpecTcpRouteTimeoutIdleArgs(unit="s", value=5)
                ),
            )
        ),
    ),
    pulumi.ResourceOptions(depends_on=[blue]),
)

PROVIDERS: Any = {
    "color.demo.local": {"virtual_router": {"virtual_router_name": routers["http"].name}},
    "blue.demo.local": {"virtual_node": {"virtual_node_name": blue.name}},
}
services: dict[str, appmesh.VirtualService] = {}
for name, provider in PROVIDERS.items():
    services[name] = appmesh.VirtualService(
        name,
        name=name,
        mesh_name=mesh.name,
        mesh_owner=mesh.mesh_owner,
        region="us-east-1",
        spec=appmesh.VirtualServiceSpecArgs(provider=provider),
        tags=tags,
    )

FORMATS: Any = {
    "http": {"text": "%PROTOCOL%"},
    "http2": {"jsons": [{"key": "p", "value": "%PROTOCOL%"}]},
    "grpc": {"text": "-"},
}
GATEWAY_POOLS: Any = {
    "http": {"http": {"max_connections": 1, "max_pending_requests": 2}},
    "http2": {"http2": {"max_requests": 3}},
    "grpc": {"grpc": {"max_requests": 4}},
}
gateways = {
    protocol: appmesh.VirtualGateway(
        f"gateway-{protocol}",
        name=f"gateway-{protocol}",
        mesh_name=mesh.name,
        mesh_owner=mesh.mesh_owner,
        region="us-east-1",
        spec={
            "listeners": [
                {
                    "port_mapping": {"port": 8080, "protocol": protocol},
                    "connection_pool": GATEWAY_POOLS[protocol],
                    "health_check": {
                        "healthy_threshold": 2,
                        "interval_millis": 5000,
                        "protocol": protocol,
                        "timeout_millis": 2000,
                        "unhealthy_threshold": 3,
                        "port": 8080,
                        **({} if protocol == "grpc" else {"path": "/ping"}),
                    },
                    "tls": {
                        "mode": "PERMISSIVE",
                        "certificate": CERTIFICATES[
                            {"http": "file", "http2": "sds", "grpc": "acm"}[protocol]
                        ],
                        "validation": FILE_TRUST if protocol == "http" else SDS_TRUST,
                    },
                }
            ],
            "backend_defaults": {
                "client_policy": {
                    "tls": {
                        "enforce": True,
                        "ports": [443],
                        "certificate": CERTIFICATES["sds" if protocol == "http" else "file"],
                        "validation": {"http": ACM_TRUST, "http2": SDS_TRUST, "grpc": FILE_TRUST}[
                            protocol
                        ],
                    }
                }
            },
            "logging": {
                "access_log": {"file": {"path": "/dev/stdout", "format": FORMATS[protocol]}}
            },
        },
        tags=tags,
    )
    for protocol in ("http", "http2", "grpc")
}


def gateway_route(name: str, protocol: str, spec: Any) -> None:
    """Declare a route of one of the gateways."""
    appmesh.GatewayRoute(
        name,
        name=name,
        mesh_name=mesh.name,
        mesh_owner=mesh.mesh_owner,
        region="us-east-1",
        virtual_gateway_name=gateways[protocol].name,
        spec=spec,
        tags=tags,
    )


TARGET: Any = {
    "virtual_service": {"virtual_service_name": services["color.demo.local"].name},
    "port": 8080,
}
for protocol in ("http", "http2"):
    hostname = {"hostname": {"default_target_hostname": "DISABLED"}}
    for name, match, rewrite in (
        (
            "all",
            {
                "headers": NAMED,
                "hostname": {"exact": "color.example.com"},
                "path": {"exact": "/a"},
                "port": 8080,
                "query_parameters": [{"name": "q", "match": {"exact": "1"}}],
            },
            {"path": {"exact": "/b"}, **hostname},
        ),
        (
            "prefix",
            {"prefix": "/a/", "hostname": {"suffix": ".example.com"}},
            {"prefix": {"value": "/b/"}},
        ),
        ("default", {"prefix": "/c/"}, {"prefix": {"default_prefix": "ENABLED"}}),
        ("regex", {"path": {"regex": "/d.*"}}, hostname),
    ):
        action = {"target": TARGET, "rewrite": rewrite}
        spec = {f"{protocol}_route": {"match": match, "action": action}, "priority": 2}
        gateway_route(f"{protocol}-{name}", protocol, spec)
gateway_route(
    "grpc",
    "grpc",
    {
        "grpc_route": {
            "match": {"service_name": "demo.Color", "port": 8080},
            "action": {"target": TARGET},
        }
    },
)

pulumi.export("arn", mesh.arn)
pulumi.export("created", mesh.created_date)
pulumi.export("updated", mesh.last_updated_date)
pulumi.export("owner", blue.resource_owner)
pulumi.export("region", blue.region)
pulumi.export("tags", services["color.demo.local"].tags_all)
pulumi.export("port", blue.spec.listeners[0].port_mapping.port)
