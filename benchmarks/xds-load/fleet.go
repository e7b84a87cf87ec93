// All proxies of a run, and what was counted of them.
package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// identity is a proxy as the plan describes it; a name list of null asks for everything.
type identity struct {
	ID    string         `json:"id"`
	Names []subscription `json:"names"`
}

// counts are what happened since the last mark; First and Last are when the first and the last
// response since then was acknowledged.
type counts struct {
	Now       int64 `json:"now"`
	First     int64 `json:"first"`
	Last      int64 `json:"last"`
	Proxies   int   `json:"proxies"`
	Whole     int   `json:"whole"`
	Responses int   `json:"responses"`
	Resources int   `json:"resources"`
	Bytes     int   `json:"bytes"`
	Failures  int   `json:"failures"`
}

type fleet struct {
	address  string
	delta    bool
	security credentials.TransportCredentials
	token    string
	plan     []identity
	proxies  []*proxy
	running  sync.WaitGroup
	cancel   context.CancelFunc

	lock    sync.Mutex
	seen    counts
	failure error
	changed chan struct{}
}

func newFleet(address string, delta bool) *fleet {
	return &fleet{
		address:  address,
		delta:    delta,
		security: insecure.NewCredentials(),
		changed:  make(chan struct{}, 1),
	}
}

func (fleet *fleet) begin() {
	for _, who := range fleet.plan {
		fleet.proxies = append(fleet.proxies, &proxy{fleet: fleet, who: who})
	}
}

// connect opens all streams at once, and returns when each has sent its first request.
func (fleet *fleet) connect(warm bool) {
	running, cancel := context.WithCancel(context.Background())
	fleet.cancel = cancel
	fleet.mark()
	fleet.seen.Whole = 0
	var opened sync.WaitGroup
	opened.Add(len(fleet.proxies))
	for _, each := range fleet.proxies {
		fleet.running.Add(1)
		go func() {
			defer fleet.running.Done()
			if err := each.run(running, warm, opened.Done); err != nil && running.Err() == nil {
				fleet.fail(fmt.Errorf("%s: %w", each.who.ID, err))
			}
		}()
	}
	opened.Wait()
}

func (fleet *fleet) disconnect() {
	if fleet.cancel != nil {
		fleet.cancel()
		fleet.running.Wait()
	}
}

func (fleet *fleet) mark() {
	fleet.lock.Lock()
	defer fleet.lock.Unlock()
	whole := fleet.seen.Whole
	fleet.seen = counts{Whole: whole}
	for _, each := range fleet.proxies {
		each.counted = false
	}
}

func (fleet *fleet) note(sender *proxy, answered response, whole bool) {
	fleet.lock.Lock()
	defer fleet.lock.Unlock()
	seen := &fleet.seen
	seen.Last = time.Now().UnixNano()
	if seen.First == 0 {
		seen.First = seen.Last
	}
	if !sender.counted && answered.resources > 0 {
		sender.counted = true
		seen.Proxies++
	}
	if whole {
		seen.Whole++
	}
	seen.Responses++
	seen.Resources += answered.resources
	seen.Bytes += answered.size
	fleet.wake()
}

func (fleet *fleet) fail(err error) {
	fleet.lock.Lock()
	defer fleet.lock.Unlock()
	fleet.seen.Failures++
	fleet.failure = err
	fleet.wake()
}

func (fleet *fleet) wake() {
	select {
	case fleet.changed <- struct{}{}:
	default:
	}
}

func (fleet *fleet) counts() counts {
	fleet.lock.Lock()
	defer fleet.lock.Unlock()
	fleet.seen.Now = time.Now().UnixNano()
	return fleet.seen
}

// await waits until what was counted is enough; a stream that ends meanwhile is an error.
func (fleet *fleet) await(limit time.Duration, enough func(counts) bool) error {
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	for {
		seen := fleet.counts()
		if seen.Failures > 0 {
			return fmt.Errorf("%d streams ended, such as: %w", seen.Failures, fleet.failure)
		}
		if enough(seen) {
			return nil
		}
		select {
		case <-fleet.changed:
		case <-deadline.C:
			return fmt.Errorf("after %s: %+v", limit, seen)
		}
	}
}
