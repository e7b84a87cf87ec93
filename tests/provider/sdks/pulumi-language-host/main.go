// A Pulumi language host that does one thing: generate SDKs. Started as pulumi-language-LANGUAGE by
// the CLI, it hands the package's schema to Pulumi's own generator of that language.
//
// The full hosts of Go, TypeScript and Python come with Pulumi's installer and are not published as
// Go modules; their generators are. Java's full host is one, and lies in pulumi-language-java.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	dotnet "github.com/pulumi/pulumi-dotnet/pulumi-language-dotnet/v3/codegen"
	golang "github.com/pulumi/pulumi/pkg/v3/codegen/go"
	"github.com/pulumi/pulumi/pkg/v3/codegen/nodejs"
	"github.com/pulumi/pulumi/pkg/v3/codegen/python"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

type request = pulumirpc.GeneratePackageRequest

type generator func(*request, *schema.Package, schema.ReferenceLoader) (map[string][]byte, error)

var generators = map[string]generator{
	"dotnet": func(r *request, p *schema.Package, _ schema.ReferenceLoader) (map[string][]byte, error) {
		// The generator fetches a logo, by default from GitHub; this one is empty.
		logo := httptest.NewServer(http.NotFoundHandler())
		defer logo.Close()
		p.LogoURL = logo.URL
		return dotnet.GeneratePackage(tool("dotnet"), p, r.ExtraFiles, r.LocalDependencies)
	},
	"go": func(r *request, p *schema.Package, _ schema.ReferenceLoader) (map[string][]byte, error) {
		return golang.GeneratePackage(tool("go"), p, r.LocalDependencies)
	},
	"nodejs": func(r *request, p *schema.Package, l schema.ReferenceLoader) (map[string][]byte, error) {
		return nodejs.GeneratePackage(tool("nodejs"), p, r.ExtraFiles, r.LocalDependencies, r.Local, l)
	},
	"python": func(r *request, p *schema.Package, l schema.ReferenceLoader) (map[string][]byte, error) {
		return python.GeneratePackage(tool("python"), p, r.ExtraFiles, l)
	},
}

func tool(language string) string { return "pulumi-language-" + language }

type host struct {
	pulumirpc.UnimplementedLanguageRuntimeServer
	language string
}

func (h host) Handshake(
	context.Context, *pulumirpc.LanguageHandshakeRequest,
) (*pulumirpc.LanguageHandshakeResponse, error) {
	return &pulumirpc.LanguageHandshakeResponse{}, nil
}

func (h host) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{}, nil
}

// GeneratePackage writes the SDK of a schema into a folder.
func (h host) GeneratePackage(
	_ context.Context, r *request,
) (*pulumirpc.GeneratePackageResponse, error) {
	loader, err := schema.NewLoaderClient(r.LoaderTarget)
	if err != nil {
		return nil, err
	}
	cached := schema.NewCachedLoader(loader)
	var spec schema.PackageSpec
	if err := json.Unmarshal([]byte(r.Schema), &spec); err != nil {
		return nil, err
	}
	pkg, diagnostics, err := schema.BindSpec(spec, cached, schema.ValidationOptions{})
	if err != nil {
		return nil, err
	}
	response := &pulumirpc.GeneratePackageResponse{
		Diagnostics: plugin.HclDiagnosticsToRPCDiagnostics(diagnostics),
	}
	if diagnostics.HasErrors() {
		return response, nil
	}
	files, err := generators[h.language](r, pkg, cached)
	if err != nil {
		return nil, err
	}
	for name, content := range files {
		path := filepath.Join(r.Directory, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, err
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return nil, err
		}
	}
	return response, nil
}

// Link and InstallDependencies would change a project, which the tests do themselves.
func (h host) Link(context.Context, *pulumirpc.LinkRequest) (*pulumirpc.LinkResponse, error) {
	return &pulumirpc.LinkResponse{}, nil
}

func (h host) InstallDependencies(
	*pulumirpc.InstallDependenciesRequest, grpc.ServerStreamingServer[pulumirpc.InstallDependenciesResponse],
) error {
	return nil
}

func main() {
	language := strings.TrimPrefix(filepath.Base(os.Args[0]), tool(""))
	if generators[language] == nil {
		fmt.Fprintf(os.Stderr, "start this as %sLANGUAGE; there is no generator for '%s'\n", tool(""), language)
		os.Exit(2)
	}
	handle, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{
		Init: func(server *grpc.Server) error {
			pulumirpc.RegisterLanguageRuntimeServer(server, host{language: language})
			return nil
		},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(handle.Port) // the CLI reads the port from here
	if err := <-handle.Done; err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
