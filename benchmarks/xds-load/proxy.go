// One simulated proxy: its connection, its stream, and what it has.
package main

import (
	"context"
	"encoding/json"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

const service = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"

// subscription is what a proxy asks for of one type, and what it has been sent of it.
type subscription struct {
	typeURL string
	names   []string
}

func (asked *subscription) UnmarshalJSON(content []byte) error {
	return json.Unmarshal(content, &[]any{&asked.typeURL, &asked.names})
}

// held is what a proxy has of one type: versions by name in delta, one version in state of the
// world.
type held struct {
	version  string
	versions map[string]string
}

type proxy struct {
	fleet   *fleet
	who     identity
	has     map[string]*held
	counted bool // guarded by the fleet's lock
}

// raw hands messages over as they are on the wire.
type raw struct{}

func (raw) Name() string { return "proto" }

func (raw) Marshal(message any) ([]byte, error) { return *message.(*[]byte), nil }

func (raw) Unmarshal(data []byte, message any) error {
	*message.(*[]byte) = append([]byte(nil), data...)
	return nil
}

// run holds one stream until it ends; opened is called once its first request is sent.
func (proxy *proxy) run(running context.Context, warm bool, opened func()) error {
	signal := func() { opened(); opened = func() {} }
	defer func() { opened() }()
	connection, err := grpc.NewClient(
		"passthrough:///"+proxy.fleet.address,
		grpc.WithTransportCredentials(proxy.fleet.security),
		grpc.WithSharedWriteBuffer(true),
		grpc.WithReadBufferSize(0),
		// Envoy's windows; with them grpc-go does not measure the way by pings of its own.
		grpc.WithInitialWindowSize(16*1024*1024),
		grpc.WithInitialConnWindowSize(24*1024*1024),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})),
	)
	if err != nil {
		return err
	}
	defer connection.Close()
	method := "StreamAggregatedResources"
	if proxy.fleet.delta {
		method = "DeltaAggregatedResources"
	}
	if proxy.fleet.token != "" {
		bearer := "Bearer " + proxy.fleet.token
		running = metadata.AppendToOutgoingContext(running, "authorization", bearer)
	}
	described := &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}
	stream, err := connection.NewStream(running, described, service+method, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	if !warm || proxy.has == nil {
		proxy.has = map[string]*held{}
	}
	return proxy.converse(stream, signal)
}

// converse asks for a type when the one before it has been answered or is held already.
func (proxy *proxy) converse(stream grpc.ClientStream, opened func()) error {
	answered := map[string]bool{}
	asked := 0
	ask := func() error {
		for asked < len(proxy.who.Names) {
			next := proxy.who.Names[asked]
			asked++
			request := proxy.first(next, asked == 1)
			if err := stream.SendMsg(&request); err != nil {
				return err
			}
			if proxy.has[next.typeURL] == nil {
				break
			}
		}
		return nil
	}
	if err := ask(); err != nil {
		return err
	}
	opened()
	for {
		var data []byte
		if err := stream.RecvMsg(&data); err != nil {
			return err
		}
		got, err := parse(data, proxy.fleet.delta)
		if err != nil {
			return err
		}
		first := !answered[got.typeURL]
		answered[got.typeURL] = true
		if err := proxy.keep(got); err != nil {
			return err
		}
		acknowledgement := proxy.acknowledge(got)
		if err := stream.SendMsg(&acknowledgement); err != nil {
			return err
		}
		proxy.fleet.note(proxy, got, first && len(answered) == len(proxy.who.Names))
		if first {
			if err := ask(); err != nil {
				return err
			}
		}
	}
}

func (proxy *proxy) namesOf(typeURL string) []string {
	for _, asked := range proxy.who.Names {
		if asked.typeURL == typeURL {
			return asked.names
		}
	}
	return nil
}

func (proxy *proxy) keep(got response) error {
	kept := proxy.has[got.typeURL]
	if kept == nil {
		kept = &held{versions: map[string]string{}}
		proxy.has[got.typeURL] = kept
	}
	if got.nonce == "" {
		return fmt.Errorf("a response without a nonce")
	}
	kept.version = got.version
	for name, version := range got.changed {
		kept.versions[name] = version
	}
	for _, name := range got.removed {
		delete(kept.versions, name)
	}
	return nil
}
