// A program of a Go user, over the SDK that `pulumi package add` made: it brings up a mesh in the
// stack of a folder, prints its outputs as JSON, and with "destroy" takes it down again.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/meshwright/meshwright/sdk/go/meshwright"
	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

func declare(ctx *pulumi.Context) error {
	mesh, err := meshwright.NewMesh(ctx, "demo", &meshwright.MeshArgs{
		Spec: meshwright.MeshSpecArgs{
			EgressFilter: meshwright.EgressFilterArgs{Type: meshwright.EgressFilterTypeAllowAll},
		},
		Tags: pulumi.StringMap{"team": pulumi.String("paint")},
	})
	if err != nil {
		return err
	}
	blue, err := meshwright.NewVirtualNode(ctx, "blue", &meshwright.VirtualNodeArgs{
		MeshName: mesh.Name,
		Spec: meshwright.VirtualNodeSpecArgs{
			Listeners: meshwright.ListenerArray{
				meshwright.ListenerArgs{
					PortMapping: meshwright.PortMappingArgs{
						Port: pulumi.Int(8080), Protocol: meshwright.PortProtocolHttp,
					},
				},
			},
			ServiceDiscovery: meshwright.ServiceDiscoveryArgs{
				Dns: meshwright.DnsServiceDiscoveryArgs{Hostname: pulumi.String("blue.local")},
			},
		},
	})
	if err != nil {
		return err
	}
	ctx.Export("arn", blue.Arn)
	ctx.Export("port", blue.Spec.Listeners().Index(pulumi.Int(0)).PortMapping().Port())
	ctx.Export("tags", mesh.TagsAll)
	got := meshwright.LookupVirtualNodeOutput(ctx, meshwright.LookupVirtualNodeOutputArgs{
		MeshName: mesh.Name, Name: blue.Name,
	})
	ctx.Export("got", got.Arn())
	answer := meshwright.ExplainRouteOutput(ctx, meshwright.ExplainRouteOutputArgs{
		MeshName: mesh.Name, From: blue.Name, Url: pulumi.String("http://elsewhere.local/"),
	})
	ctx.Export("routed", answer.Routed())
	return nil
}

func run(ctx context.Context, folder string, destroy bool) error {
	stack, err := auto.UpsertStackInlineSource(
		ctx, "test", "colors", declare, auto.WorkDir(folder),
	)
	if err != nil {
		return err
	}
	if destroy {
		_, err := stack.Destroy(ctx)
		return err
	}
	result, err := stack.Up(ctx)
	if err != nil {
		return err
	}
	outputs := map[string]any{}
	for name, output := range result.Outputs {
		outputs[name] = output.Value
	}
	return json.NewEncoder(os.Stdout).Encode(outputs)
}

func main() {
	destroy := len(os.Args) > 2 && os.Args[2] == "destroy"
	if err := run(context.Background(), os.Args[1], destroy); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
