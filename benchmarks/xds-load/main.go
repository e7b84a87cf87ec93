// The load of `./dev bench xds`: thousands of simulated proxies that speak ADS as Envoy does.
//
// Each has a connection of its own, asks for clusters, then listeners, then routes, acknowledges
// what it is sent, and keeps its versions for the next connection. Of a response it reads the
// envelope alone, so that both cores are the server's.
//
//	argv   --address HOST:PORT --dialect delta|sotw --plan FILE [--ca FILE] [--token TOKEN]
//	       FILE: [{"id": NODE_ID, "names": [[TYPE_URL, [NAME, ...]], ...]}, ...]; no names: all
//	stdin  {"do": "connect"}           with "warm": true, with the versions of the last time
//	       {"do": "disconnect"}
//	       {"do": "mark"}              count from here on
//	       {"do": "count"}
//	       {"do": "await", "proxies": N, "seconds": S}   N proxies have taken a resource
//	       {"do": "settle", "seconds": S}                every proxy has every type
//	stdout one line for each command; times in nanoseconds since the epoch
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc/credentials"
)

type command struct {
	Do      string  `json:"do"`
	Warm    bool    `json:"warm"`
	Proxies int     `json:"proxies"`
	Seconds float64 `json:"seconds"`
}

func main() {
	address := flag.String("address", "", "the server's HOST:PORT")
	dialect := flag.String("dialect", "delta", "delta or sotw")
	plan := flag.String("plan", "", "who the proxies are, as JSON")
	ca := flag.String("ca", "", "connect with TLS, to a server with a certificate of this authority")
	token := flag.String("token", "", "the token that each proxy shows")
	flag.Parse()

	content, err := os.ReadFile(*plan)
	check(err)
	fleet := newFleet(*address, *dialect == "delta")
	fleet.token = *token
	if *ca != "" {
		fleet.security, err = credentials.NewClientTLSFromFile(*ca, "localhost")
		check(err)
	}
	check(json.Unmarshal(content, &fleet.plan))
	fleet.begin()

	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var asked command
		check(json.Unmarshal(lines.Bytes(), &asked))
		limit := time.Duration(asked.Seconds * float64(time.Second))
		switch asked.Do {
		case "connect":
			fleet.connect(asked.Warm)
		case "disconnect":
			fleet.disconnect()
		case "mark":
			fleet.mark()
		case "count":
		case "await":
			check(fleet.await(limit, func(seen counts) bool { return seen.Proxies >= asked.Proxies }))
		case "settle":
			check(fleet.await(limit, func(seen counts) bool { return seen.Whole == len(fleet.plan) }))
		default:
			check(fmt.Errorf("no such command: %q", asked.Do))
		}
		check(json.NewEncoder(os.Stdout).Encode(fleet.counts()))
	}
	fleet.disconnect()
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "xds-load:", err)
		os.Exit(1)
	}
}
