// The peer of `./dev bench xds`: a minimal control plane on go-control-plane's snapshot cache.
//
// It is given finished Envoy resources, so that nothing of it is translation:
//
//	stdin  {"do": "load", "file": "mesh.json"}   variants of what each node has
//	       {"do": "set", "variant": 1, "nodes": [...]}   a change; without nodes, of all
//	stdout {"address": "127.0.0.1:..."}, then one line for each command
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	_ "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
)

// A command may name thousands of nodes.
const maxLineBytes = 16 * 1024 * 1024

// A node's resources: for each variant, serialized `Any`s by type.
type variants []map[string][][]byte

type node struct {
	snapshots []map[string][]types.Resource
}

type command struct {
	Do      string   `json:"do"`
	File    string   `json:"file"`
	Variant int      `json:"variant"`
	Nodes   []string `json:"nodes"`
}

// All proxies of a virtual node name it as their node id, and share its snapshot.
type byID struct{}

func (byID) ID(node *core.Node) string { return node.GetId() }

type peer struct {
	snapshots cache.SnapshotCache
	nodes     map[string]node
}

func main() {
	certificate := flag.String("certificate", "", "serve with TLS, and with this certificate")
	key := flag.String("key", "", "its key")
	flag.Parse()
	security := insecure.NewCredentials()
	if *certificate != "" {
		var err error
		security, err = credentials.NewServerTLSFromFile(*certificate, *key)
		check(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	snapshots := cache.NewSnapshotCache(true, byID{}, nil)
	served := grpc.NewServer(
		grpc.Creds(security),
		grpc.MaxConcurrentStreams(1_000_000),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(
			keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true},
		),
	)
	xds := server.NewServer(context.Background(), snapshots, nil)
	discovery.RegisterAggregatedDiscoveryServiceServer(served, xds)
	go func() { check(served.Serve(listener)) }()
	answer(map[string]any{"address": listener.Addr().String()})

	peer := peer{snapshots, map[string]node{}}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, maxLineBytes)
	for lines.Scan() {
		var asked command
		check(json.Unmarshal(lines.Bytes(), &asked))
		switch asked.Do {
		case "load":
			check(peer.load(asked.File))
		case "set":
			check(peer.set(asked.Variant, asked.Nodes))
		default:
			check(fmt.Errorf("no such command: %q", asked.Do))
		}
		answer(map[string]any{"done": asked.Do})
	}
	check(lines.Err())
}

func (peer *peer) load(file string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var loaded map[string]variants
	if err := json.Unmarshal(content, &loaded); err != nil {
		return err
	}
	for id, variants := range loaded {
		parsed := node{}
		for _, resources := range variants {
			snapshot := map[string][]types.Resource{}
			for url, packed := range resources {
				if snapshot[url], err = parse(packed); err != nil {
					return err
				}
			}
			parsed.snapshots = append(parsed.snapshots, snapshot)
		}
		peer.nodes[id] = parsed
	}
	return peer.set(0, nil)
}

func parse(packed [][]byte) ([]types.Resource, error) {
	resources := make([]types.Resource, 0, len(packed))
	for _, bytes := range packed {
		wrapped := &anypb.Any{}
		if err := proto.Unmarshal(bytes, wrapped); err != nil {
			return nil, err
		}
		resource, err := wrapped.UnmarshalNew()
		if err != nil {
			return nil, err
		}
		resources = append(resources, resource)
	}
	return resources, nil
}

// set gives nodes a variant. A variant differs from the others in its routes, so that no other
// type gets a new version; what does not exist in go-control-plane is a way to say so by resource.
func (peer *peer) set(variant int, ids []string) error {
	if ids == nil {
		for id := range peer.nodes {
			ids = append(ids, id)
		}
	}
	for _, id := range ids {
		snapshot, err := cache.NewSnapshot("0", peer.nodes[id].snapshots[variant])
		if err != nil {
			return err
		}
		snapshot.Resources[types.Route].Version = strconv.Itoa(variant)
		if err := peer.snapshots.SetSnapshot(context.Background(), id, snapshot); err != nil {
			return err
		}
	}
	return nil
}

func answer(line map[string]any) {
	check(json.NewEncoder(os.Stdout).Encode(line))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "xds-peer:", err)
		os.Exit(1)
	}
}
