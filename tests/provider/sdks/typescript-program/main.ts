// A program of a TypeScript user, over the SDK that `pulumi package add` made: it brings up a mesh in
// the stack of a folder, prints its outputs as JSON, and with "destroy" takes it down again.
import * as pulumi from "@pulumi/pulumi";
import { LocalWorkspace } from "@pulumi/pulumi/automation";
import * as meshwright from "./sdks/meshwright";

async function declare(): Promise<Record<string, pulumi.Input<unknown>>> {
    const mesh = new meshwright.Mesh("demo", {
        spec: { egressFilter: { type: meshwright.EgressFilterType.AllowAll } },
        tags: { team: "paint" },
    });
    const blue = new meshwright.VirtualNode("blue", {
        meshName: mesh.name,
        spec: {
            listeners: [{ portMapping: { port: 8080, protocol: "http" } }],
            serviceDiscovery: { dns: { hostname: "blue.local" } },
        },
    });
    const port = blue.spec.apply((spec) => spec.listeners?.[0].portMapping.port);
    const got = meshwright.getVirtualNodeOutput({ meshName: mesh.name, name: blue.name });
    const answer = meshwright.explainRouteOutput({
        meshName: mesh.name, from: blue.name, url: "http://elsewhere.local/",
    });
    return { arn: blue.arn, port, tags: mesh.tagsAll, got: got.arn, routed: answer.routed };
}

async function run(folder: string, verb?: string): Promise<void> {
    const stack = await LocalWorkspace.createOrSelectStack(
        { stackName: "test", projectName: "colors", program: declare },
        { workDir: folder },
    );
    if (verb === "destroy") {
        await stack.destroy();
        return;
    }
    const { outputs } = await stack.up();
    const values = Object.entries(outputs).map(([name, output]) => [name, output.value]);
    console.log(JSON.stringify(Object.fromEntries(values)));
}

run(process.argv[2], process.argv[3]).catch((error) => {
    console.error(error);
    process.exit(1);
});
