package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/app/settings"
	"github.com/penstock/penstock/internal/intake"
	"github.com/penstock/penstock/internal/pipeline"
	"github.com/penstock/penstock/internal/reportjson"
	"github.com/penstock/penstock/link"
)

// The memory of a request serves the next one. Many senders at once, with
// requests of all shapes and formats, must each have their own reports answered
// and kept, to the bit: memory that is given back while somebody still reads it
// is overwritten in a build for the race detector, and shows here in any build.
func TestEveryRequestKeepsItsOwn(t *testing.T) {
	n, err := openNode(nodeOptions{config: settings.Default(), fs: vfs.NewMem(), dir: "data", log: slog.New(slog.DiscardHandler), now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	token, err := n.fleet.EnsureAdmin(nil)
	if err != nil {
		t.Fatal(err)
	}
	const count, rounds = 8, 40
	senders := make([]*reuseSender, count)
	var all sync.WaitGroup
	for i := range senders {
		senders[i] = &reuseSender{
			t: t, name: fmt.Sprintf("pump-%d", i), node: n, token: token,
			rng: rand.New(rand.NewPCG(uint64(i), 7)), sent: map[reportKey][]penstock.Sample{},
		}
		all.Go(func() {
			for range rounds {
				senders[i].send()
			}
		})
	}
	all.Wait()
	sent := map[reportKey][]penstock.Sample{}
	for _, s := range senders {
		maps.Copy(sent, s.sent)
	}
	checkKept(t, n, sent)
	if err := n.close(); err != nil {
		t.Fatal(err)
	}
}

// reuseSender sends as one controller and remembers what.
type reuseSender struct {
	t     *testing.T
	name  string
	node  *node
	token string
	rng   *rand.Rand
	seq   uint64
	sent  map[reportKey][]penstock.Sample
}

// send sends one to three envelopes in one call, each in a format of its own, and
// looks at the answers.
func (s *reuseSender) send() {
	var es []penstock.Envelope
	var keys []reportKey
	for range 1 + s.rng.IntN(3) {
		media := []string{pipeline.JSONType, pipeline.NDJSONType, link.MediaType}[s.rng.IntN(3)]
		e := penstock.Envelope{Source: "https", ContentType: media, Credential: penstock.Credential{Token: s.token}, ReceivedTime: time.Now().UnixNano()}
		reports := 1
		if media != pipeline.JSONType {
			reports += s.rng.IntN(4)
		}
		for range reports {
			s.seq++
			keys = append(keys, reportKey{s.name, s.seq})
			e.Body = s.appendReport(e.Body, media)
		}
		es = append(es, e)
	}
	outcomes, err := s.node.pipeline.Submit(s.t.Context(), es).Wait(s.t.Context())
	if err != nil {
		s.t.Error(err)
		return
	}
	var verdicts []penstock.Verdict
	for _, o := range outcomes {
		if o.Err != nil {
			s.t.Error(o.Err)
		}
		verdicts = append(verdicts, o.Verdicts...)
	}
	if len(verdicts) != len(keys) {
		s.t.Errorf("%d verdicts on %d reports", len(verdicts), len(keys))
		return
	}
	for i, v := range verdicts {
		if v.Controller != s.name || v.Identity.Seq != keys[i].seq || v.Result != penstock.Accepted {
			s.t.Errorf("%v was answered with %+v", keys[i], v)
		}
	}
}

func (s *reuseSender) appendReport(body []byte, media string) []byte {
	r := penstock.Report{Controller: s.name, Identity: penstock.SequenceIdentity(1, s.seq)}
	now := time.Now().UnixNano()
	for i := range 1 + s.rng.IntN(60) {
		sample := penstock.Sample{Point: fmt.Sprintf("signal-%d", i), SourceTime: now + int64(i), Value: penstock.FloatValue(s.rng.NormFloat64())}
		if i%7 == 3 {
			sample.Value = penstock.TextValue(fmt.Sprintf("%s says %d", s.name, s.rng.Uint64()))
		}
		r.Samples = append(r.Samples, sample)
	}
	s.sent[reportKey{s.name, s.seq}] = r.Samples
	if media == link.MediaType {
		return link.AppendReport(body, &r)
	}
	body, err := reportjson.AppendReport(body, &r)
	if err != nil {
		s.t.Error(err)
	}
	return append(body, '\n')
}

// checkKept reads the spool from its start and compares it with what was sent.
func checkKept(t *testing.T, n *node, sent map[reportKey][]penstock.Sample) {
	t.Helper()
	if _, err := n.spool.Wait(context.Background(), 0); err != nil {
		t.Fatal(err)
	}
	reader := n.spool.NewReader(1)
	defer reader.Close()
	var decoder intake.Decoder
	kept := map[reportKey]bool{}
	for {
		records, err := reader.Next(64)
		for i := range records {
			_, r, err := decoder.Decode(records[i].Data)
			if err != nil {
				t.Fatal(err)
			}
			if r == nil {
				continue
			}
			key := reportKey{r.Controller, r.Identity.Seq}
			if kept[key] || !reflect.DeepEqual(r.Samples, sent[key]) {
				t.Errorf("%v: kept %+v, sent %+v, seen before: %v", key, r.Samples, sent[key], kept[key])
			}
			kept[key] = true
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(kept) != len(sent) {
		t.Errorf("%d reports of %d are kept", len(kept), len(sent))
	}
}
