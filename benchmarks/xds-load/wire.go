// The envelopes of ADS: requests written and responses read field by field.
//
// Numbers of fields are those of envoy/service/discovery/v3/discovery.proto.
package main

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
)

type response struct {
	typeURL   string
	nonce     string
	version   string
	changed   map[string]string // delta alone
	removed   []string
	resources int
	size      int
}

// first is a request that subscribes to a type.
func (proxy *proxy) first(asked subscription, withNode bool) []byte {
	var request []byte
	kept := proxy.has[asked.typeURL]
	if proxy.fleet.delta {
		if withNode {
			request = appendNode(request, 1, proxy.who.ID)
		}
		request = appendText(request, 2, asked.typeURL)
		for _, name := range asked.names {
			request = appendText(request, 3, name)
		}
		if kept != nil {
			for name, version := range kept.versions {
				entry := appendText(appendText(nil, 1, name), 2, version)
				request = appendBytes(request, 5, entry)
			}
		}
		return request
	}
	if kept != nil {
		request = appendText(request, 1, kept.version)
	}
	if withNode {
		request = appendNode(request, 2, proxy.who.ID)
	}
	for _, name := range asked.names {
		request = appendText(request, 3, name)
	}
	return appendText(request, 4, asked.typeURL)
}

func (proxy *proxy) acknowledge(got response) []byte {
	if proxy.fleet.delta {
		return appendText(appendText(nil, 2, got.typeURL), 6, got.nonce)
	}
	request := appendText(nil, 1, got.version)
	for _, name := range proxy.namesOf(got.typeURL) {
		request = appendText(request, 3, name)
	}
	return appendText(appendText(request, 4, got.typeURL), 5, got.nonce)
}

func appendNode(message []byte, number protowire.Number, id string) []byte {
	return appendBytes(message, number, appendText(nil, 1, id))
}

func appendText(message []byte, number protowire.Number, text string) []byte {
	return appendBytes(message, number, []byte(text))
}

func appendBytes(message []byte, number protowire.Number, content []byte) []byte {
	message = protowire.AppendTag(message, number, protowire.BytesType)
	return protowire.AppendBytes(message, content)
}

// parse reads a DeltaDiscoveryResponse or a DiscoveryResponse.
func parse(data []byte, delta bool) (response, error) {
	got := response{size: len(data), changed: map[string]string{}}
	err := eachField(data, func(number protowire.Number, content []byte) error {
		switch {
		case number == 2:
			got.resources++
			if delta {
				return got.readResource(content)
			}
		case number == 4:
			got.typeURL = string(content)
		case number == 5:
			got.nonce = string(content)
		case number == 1 && !delta:
			got.version = string(content)
		case number == 6 && delta:
			got.removed = append(got.removed, string(content))
		}
		return nil
	})
	return got, err
}

func (got *response) readResource(data []byte) error {
	var name, version string
	err := eachField(data, func(number protowire.Number, content []byte) error {
		switch number {
		case 1:
			version = string(content)
		case 3:
			name = string(content)
		}
		return nil
	})
	got.changed[name] = version
	return err
}

func eachField(data []byte, take func(protowire.Number, []byte) error) error {
	for len(data) > 0 {
		number, kind, length := protowire.ConsumeTag(data)
		if length < 0 {
			return protowire.ParseError(length)
		}
		data = data[length:]
		if kind != protowire.BytesType {
			if length = protowire.ConsumeFieldValue(number, kind, data); length < 0 {
				return protowire.ParseError(length)
			}
			data = data[length:]
			continue
		}
		content, length := protowire.ConsumeBytes(data)
		if length < 0 {
			return errors.New("a field is cut off")
		}
		if err := take(number, content); err != nil {
			return err
		}
		data = data[length:]
	}
	return nil
}
