// A program of a Java user, over the SDK that `pulumi package add` made: a mesh with each of the
// seven types of resources, and what two functions say of it.
package colors;

import com.pulumi.Context;
import com.pulumi.Pulumi;
import com.pulumi.deployment.InvokeOutputOptions;
import com.pulumi.meshwright.GatewayRoute;
import com.pulumi.meshwright.GatewayRouteArgs;
import com.pulumi.meshwright.Mesh;
import com.pulumi.meshwright.MeshArgs;
import com.pulumi.meshwright.MeshwrightFunctions;
import com.pulumi.meshwright.Route;
import com.pulumi.meshwright.RouteArgs;
import com.pulumi.meshwright.VirtualGateway;
import com.pulumi.meshwright.VirtualGatewayArgs;
import com.pulumi.meshwright.VirtualNode;
import com.pulumi.meshwright.VirtualNodeArgs;
import com.pulumi.meshwright.VirtualRouter;
import com.pulumi.meshwright.VirtualRouterArgs;
import com.pulumi.meshwright.VirtualService;
import com.pulumi.meshwright.VirtualServiceArgs;
import com.pulumi.meshwright.enums.EgressFilterType;
import com.pulumi.meshwright.enums.PortProtocol;
import com.pulumi.meshwright.inputs.DnsServiceDiscoveryArgs;
import com.pulumi.meshwright.inputs.EgressFilterArgs;
import com.pulumi.meshwright.inputs.ExplainRouteArgs;
import com.pulumi.meshwright.inputs.GatewayRouteSpecArgs;
import com.pulumi.meshwright.inputs.GatewayRouteTargetArgs;
import com.pulumi.meshwright.inputs.GatewayRouteVirtualServiceArgs;
import com.pulumi.meshwright.inputs.GetVirtualNodeArgs;
import com.pulumi.meshwright.inputs.HttpGatewayRouteActionArgs;
import com.pulumi.meshwright.inputs.HttpGatewayRouteArgs;
import com.pulumi.meshwright.inputs.HttpGatewayRouteMatchArgs;
import com.pulumi.meshwright.inputs.HttpRouteActionArgs;
import com.pulumi.meshwright.inputs.HttpRouteArgs;
import com.pulumi.meshwright.inputs.HttpRouteMatchArgs;
import com.pulumi.meshwright.inputs.ListenerArgs;
import com.pulumi.meshwright.inputs.MeshSpecArgs;
import com.pulumi.meshwright.inputs.PortMappingArgs;
import com.pulumi.meshwright.inputs.RouteSpecArgs;
import com.pulumi.meshwright.inputs.ServiceDiscoveryArgs;
import com.pulumi.meshwright.inputs.VirtualGatewayListenerArgs;
import com.pulumi.meshwright.inputs.VirtualGatewayPortMappingArgs;
import com.pulumi.meshwright.inputs.VirtualGatewaySpecArgs;
import com.pulumi.meshwright.inputs.VirtualNodeSpecArgs;
import com.pulumi.meshwright.inputs.VirtualRouterListenerArgs;
import com.pulumi.meshwright.inputs.VirtualRouterServiceProviderArgs;
import com.pulumi.meshwright.inputs.VirtualRouterSpecArgs;
import com.pulumi.meshwright.inputs.VirtualServiceProviderArgs;
import com.pulumi.meshwright.inputs.VirtualServiceSpecArgs;
import com.pulumi.meshwright.inputs.WeightedTargetArgs;
import com.pulumi.meshwright.outputs.ExplainRouteResult;
import com.pulumi.meshwright.outputs.GetVirtualNodeResult;
import java.util.Map;

public class App {
    public static void main(String[] args) {
        Pulumi.run(App::declare);
    }

    static void declare(Context context) {
        var mesh = new Mesh("demo", MeshArgs.builder()
            .spec(MeshSpecArgs.builder()
                .egressFilter(EgressFilterArgs.builder().type(EgressFilterType.AllowAll).build())
                .build())
            .tags(Map.of("team", "paint"))
            .build());
        var blue = new VirtualNode("blue", VirtualNodeArgs.builder()
            .meshName(mesh.name())
            .spec(VirtualNodeSpecArgs.builder()
                .listeners(ListenerArgs.builder().portMapping(httpPort(8080)).build())
                .serviceDiscovery(ServiceDiscoveryArgs.builder()
                    .dns(DnsServiceDiscoveryArgs.builder().hostname("blue.local").build())
                    .build())
                .build())
            .build());
        var router = new VirtualRouter("color", VirtualRouterArgs.builder()
            .meshName(mesh.name())
            .spec(VirtualRouterSpecArgs.builder()
                .listeners(VirtualRouterListenerArgs.builder().portMapping(httpPort(8080)).build())
                .build())
            .build());
        var route = new Route("all", RouteArgs.builder()
            .meshName(mesh.name())
            .virtualRouterName(router.name())
            .spec(RouteSpecArgs.builder()
                .httpRoute(HttpRouteArgs.builder()
                    .match(HttpRouteMatchArgs.builder().prefix("/").build())
                    .action(HttpRouteActionArgs.builder()
                        .weightedTargets(WeightedTargetArgs.builder()
                            .virtualNode(blue.name()).weight(100)
                            .build())
                        .build())
                    .build())
                .build())
            .build());
        var service = new VirtualService("color.local", VirtualServiceArgs.builder()
            .meshName(mesh.name())
            .spec(VirtualServiceSpecArgs.builder()
                .provider(VirtualServiceProviderArgs.builder()
                    .virtualRouter(VirtualRouterServiceProviderArgs.builder()
                        .virtualRouterName(router.name())
                        .build())
                    .build())
                .build())
            .build());
        var gateway = new VirtualGateway("edge", VirtualGatewayArgs.builder()
            .meshName(mesh.name())
            .spec(VirtualGatewaySpecArgs.builder()
                .listeners(VirtualGatewayListenerArgs.builder()
                    .portMapping(VirtualGatewayPortMappingArgs.builder()
                        .port(9080).protocol("http")
                        .build())
                    .build())
                .build())
            .build());
        var gatewayRoute = new GatewayRoute("color", GatewayRouteArgs.builder()
            .meshName(mesh.name())
            .virtualGatewayName(gateway.name())
            .spec(GatewayRouteSpecArgs.builder()
                .httpRoute(HttpGatewayRouteArgs.builder()
                    .match(HttpGatewayRouteMatchArgs.builder().prefix("/").build())
                    .action(HttpGatewayRouteActionArgs.builder()
                        .target(GatewayRouteTargetArgs.builder()
                            .virtualService(GatewayRouteVirtualServiceArgs.builder()
                                .virtualServiceName(service.name())
                                .build())
                            .build())
                        .build())
                    .build())
                .build())
            .build());
        var got = MeshwrightFunctions.getVirtualNode(
            GetVirtualNodeArgs.builder().meshName(mesh.name()).name(blue.name()).build());
        var answer = MeshwrightFunctions.explainRoute(
            ExplainRouteArgs.builder()
                .meshName(mesh.name()).from(blue.name()).url("http://elsewhere.local/")
                .build(),
            new InvokeOutputOptions.Builder().dependsOn(route, gatewayRoute).build());
        context.export("arn", blue.arn());
        context.export("port", blue.spec().applyValue(
            spec -> spec.listeners().get(0).portMapping().port()));
        context.export("tags", mesh.tagsAll());
        context.export("got", got.applyValue(GetVirtualNodeResult::arn));
        context.export("routed", answer.applyValue(ExplainRouteResult::routed));
    }

    static PortMappingArgs httpPort(int port) {
        return PortMappingArgs.builder().port(port).protocol(PortProtocol.Http).build();
    }
}
