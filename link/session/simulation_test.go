package session_test

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/link"
	"github.com/penstock/penstock/link/session"
)

const controller = "pump-17"

// weather is what the way between the two ends does to frames.
type weather struct {
	loss, duplicate, reorder, corrupt float64
	delay, jitter                     time.Duration
	restarts                          time.Duration // mean time between restarts of either end, 0 for none
	stream                            bool          // the way is a TLS connection: it loses nothing, but may break
}

// end is the controller's end of a session, in Go or in C.
type end interface {
	Offer(newest uint64)
	Connected(now time.Time)
	Disconnected()
	Backoff() time.Duration
	Receive(now time.Time, f link.Frame) (session.Event, error)
	Output(now time.Time, load session.Load) (frames []byte, lost bool)
	Next() time.Time
	Committed() uint64
	Waiting() uint64
}

// event is something that happens at a time.
type event struct {
	at   time.Time
	turn int // keeps the order of what happens at once
	do   func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].turn < e[j].turn
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// tester is what a test and a property have in common.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// world is a controller, a gateway and the way between them, in virtual time.
type world struct {
	t       tester
	weather weather
	rand    *rand.Rand
	now     time.Time
	queue   events
	turns   int
	order   [2]time.Time // when the last bytes of each direction of a stream arrive
	breaks  int          // counts breaks of the stream: what was under way is lost
	dropped int          // frames lost on the way

	// The controller.
	sender    end
	begin     func() end        // starts the controller, with what its outbox holds
	outbox    map[uint64][]byte // what is held: survives restarts
	newest    uint64
	forgotten uint64
	wake      time.Time
	sent      int // reports in data frames
	refusals  int

	// The gateway.
	receiver  *session.Receiver
	node      map[uint64]bool // what this node accepted: survives its restarts
	record    map[uint64]int  // what the record stored, and how often
	committed uint64
	lag       time.Duration // of the record, behind what is accepted
	heartbeat time.Duration // that the gateway wants
	refuse    func(seq uint64) penstock.Reason
	busy      func() error
}

func newWorld(t tester, w weather, seed uint64) *world {
	made := &world{
		t: t, weather: w, rand: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1_800_000_000, 0),
		lag: 100 * time.Millisecond, heartbeat: 10 * time.Second, outbox: map[uint64][]byte{}, node: map[uint64]bool{}, record: map[uint64]int{},
	}
	made.begin = func() end {
		return session.NewSender(session.SenderConfig{
			Controller: controller, Epoch: 7, Largest: 600, Stream: w.stream, Rand: made.rand.Uint64,
		}, made.newest, made.forgotten)
	}
	return made
}

func (w *world) after(d time.Duration, do func()) {
	w.turns++
	heap.Push(&w.queue, event{w.now.Add(d), w.turns, do})
}

// run lets the world go on until done, at most for the time given.
func (w *world) run(limit time.Duration, done func() bool) {
	w.t.Helper()
	end := w.now.Add(limit)
	for !done() {
		if len(w.queue) == 0 || w.queue[0].at.After(end) {
			w.t.Fatalf("after %v: %d of %d are in the record, the controller waits for %d, committed %d", limit, len(w.record), w.newest, w.sender.Waiting(), w.sender.Committed())
		}
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		e.do()
	}
}

func encode(seq uint64, value float64) []byte {
	r := penstock.Report{Controller: controller, Identity: penstock.SequenceIdentity(7, seq)}
	if value >= 0 {
		r.Samples = []penstock.Sample{{Point: "flow", SourceTime: int64(seq), Value: penstock.FloatValue(value)}}
	}
	return link.AppendReport(nil, &r)
}

// offer gives the controller one more report.
func (w *world) offer() {
	w.newest++
	w.outbox[w.newest] = encode(w.newest, float64(w.newest))
	w.sender.Offer(w.newest)
	w.speak()
}

// start starts the controller, with what its outbox held.
func (w *world) start() {
	w.sender = w.begin()
	w.sender.Connected(w.now)
	w.speak()
}

// load is the outbox as the sender sees it.
func (w *world) load(seq uint64, hollow bool) []byte {
	b, ok := w.outbox[seq]
	if !ok {
		w.t.Fatalf("the controller needs report %d, which it was told to forget: the watermark was %d", seq, w.forgotten)
	}
	if hollow {
		return encode(seq, -1)
	}
	return b
}

// speak has the controller say what it has to say, and sets its clock.
func (w *world) speak() {
	frames, lost := w.sender.Output(w.now, w.load)
	w.carry(frames, w.toGateway)
	if lost && w.weather.stream {
		w.breakStream()
	}
	if next := w.sender.Next(); !next.IsZero() && !next.Equal(w.wake) {
		w.wake = next
		s := w.sender
		w.after(max(next.Sub(w.now), 0), func() {
			if s == w.sender && next.Equal(w.wake) {
				w.wake = time.Time{}
				w.speak()
			}
		})
	}
}

// carry brings frames to the other side, in the weather of the day.
func (w *world) carry(frames []byte, to func(frame []byte)) {
	for len(frames) > 0 {
		size, err := link.FrameSize(frames, link.MaxPayload)
		if err != nil || size == 0 || size > len(frames) {
			w.t.Fatalf("an output of %d bytes is no row of frames: size %d, error %v", len(frames), size, err)
		}
		frame := slices.Clone(frames[:size])
		w.sent += countReports(w.t, frame)
		frames = frames[size:]
		if w.weather.stream {
			breaks := w.breaks
			w.after(w.weather.delay, func() {
				if breaks == w.breaks {
					to(frame)
				}
			})
			continue
		}
		copies := 1
		if w.rand.Float64() < w.weather.duplicate {
			copies++
		}
		for range copies {
			w.drop(slices.Clone(frame), to)
		}
	}
}

// countReports returns how many reports a frame has.
func countReports(t tester, frame []byte) (n int) {
	f, err := link.WholeFrame(frame, link.MaxPayload)
	if err != nil {
		t.Fatal(err)
	}
	if f.Kind != link.KindData {
		return 0
	}
	for rest := f.Payload; len(rest) > 0; n++ {
		h, err := link.ReadHead(rest)
		if err != nil {
			t.Fatal(err)
		}
		rest = rest[h.Size:]
	}
	return n
}

// drop carries one copy of a frame, or does not.
func (w *world) drop(frame []byte, to func(frame []byte)) {
	if w.rand.Float64() < w.weather.loss {
		w.dropped++
		return
	}
	if w.rand.Float64() < w.weather.corrupt {
		bit := w.rand.IntN(8 * len(frame))
		frame[bit/8] ^= 1 << (bit % 8)
	}
	d := w.weather.delay
	if w.weather.jitter > 0 {
		d += time.Duration(w.rand.Int64N(int64(2*w.weather.jitter))) - w.weather.jitter
	}
	if w.rand.Float64() < w.weather.reorder {
		d += w.weather.delay
	}
	w.after(max(d, 0), func() { to(frame) })
}

// toGateway is a frame that arrives at the gateway.
func (w *world) toGateway(frame []byte) {
	f, err := link.WholeFrame(frame, w.limit())
	if err != nil {
		return
	}
	if w.receiver == nil {
		w.receiver = session.NewReceiver(session.ReceiverConfig{Window: 64 << 10, Largest: 1000, Heartbeat: w.heartbeat}, w.now)
	}
	r := w.receiver
	switch e := r.Receive(w.now, f); e.Do {
	case session.Authenticate:
		hello := e.Hello
		w.after(time.Millisecond, func() {
			if r == w.receiver {
				r.Admit(w.now, &hello, session.Standing{LastEpoch: 7, Accepted: w.acceptedMark(), Committed: w.committed})
				w.carry(r.Output(), w.toController)
			}
		})
	case session.Submit:
		batch := e.Batch
		batch.Body = slices.Clone(batch.Body)
		w.after(time.Duration(1+w.rand.IntN(20))*time.Millisecond, func() { w.judge(r, batch) })
	case session.Finish:
		w.carry(r.Output(), w.toController)
		w.receiver = nil
		if w.weather.stream {
			w.breakStream()
		}
	case session.Nothing:
	}
	w.carry(r.Output(), w.toController)
}

func (w *world) limit() int {
	if w.receiver == nil {
		return link.MaxGreeting
	}
	return w.receiver.Limit()
}

// judge is the pipeline: what is accepted is durable before the session hears of it.
func (w *world) judge(r *session.Receiver, b session.Batch) {
	if r != w.receiver {
		return // the gateway crashed before the sync
	}
	if w.busy != nil {
		if err := w.busy(); err != nil {
			r.Judged(b, nil, err)
			w.carry(r.Output(), w.toController)
			return
		}
	}
	var verdicts []penstock.Verdict
	for rest := b.Body; len(rest) > 0; {
		h, err := link.ReadHead(rest)
		if err != nil {
			w.t.Fatal(err)
		}
		seq := h.Identity.Seq
		var got penstock.Report
		if rest, err = new(link.Decoder).Decode(rest, &got); err != nil || len(got.Samples) > 0 && got.Samples[0].SourceTime != int64(seq) {
			w.t.Fatalf("report %d came as %+v, error %v", seq, got, err)
		}
		v := penstock.Verdict{Controller: controller, Identity: h.Identity, Result: penstock.Accepted}
		if w.node[seq] {
			v.Result = penstock.Duplicate
		}
		if w.refuse != nil {
			if v.Reason = w.refuse(seq); v.Reason == penstock.ReasonMalformed && len(got.Samples) == 0 {
				v.Reason = ""
			}
		}
		if v.Reason != "" {
			v.Result, v.Detail = penstock.Rejected, "refused by the test"
		}
		if v.Reason == "" || v.Reason == penstock.ReasonRange {
			w.node[seq] = true
		}
		verdicts = append(verdicts, v)
	}
	for i := range verdicts {
		verdicts[i].Accepted = penstock.Mark{Epoch: 7, Seq: w.acceptedMark()}
		verdicts[i].Committed = penstock.Mark{Epoch: 7, Seq: w.committed}
	}
	r.Judged(b, verdicts, nil)
	w.carry(r.Output(), w.toController)
}

// acceptedMark is what the node's ledger says.
func (w *world) acceptedMark() uint64 {
	mark := w.committed
	for w.node[mark+1] {
		mark++
	}
	return mark
}

// commit is the record, which comes behind. It tells the session.
func (w *world) commit() {
	for range 500 {
		if !w.node[w.committed+1] {
			break
		}
		w.committed++
		w.record[w.committed]++
	}
	if w.receiver != nil {
		w.receiver.Committed(penstock.Mark{Epoch: 7, Seq: w.committed})
		w.carry(w.receiver.Output(), w.toController)
	}
	w.after(w.lag, w.commit)
}

// toController is a frame that arrives at the controller.
func (w *world) toController(frame []byte) {
	f, err := link.WholeFrame(frame, link.MaxPayload)
	if err != nil {
		return
	}
	w.checkAck(f)
	e, err := w.sender.Receive(w.now, f)
	if err != nil {
		w.t.Fatalf("%v: %v", f.Kind, err)
	}
	if e.Refusal != nil && !e.Refusal.Session {
		w.refusals++
	}
	if c := w.sender.Committed(); c > w.forgotten {
		for seq := w.forgotten + 1; seq <= c; seq++ {
			if w.record[seq] != 1 {
				w.t.Fatalf("the controller is told to forget %d, which is in the record %d times", seq, w.record[seq])
			}
			delete(w.outbox, seq)
		}
		w.forgotten = c
	}
	if e.Lost && w.weather.stream {
		w.breakStream()
	}
	w.speak()
}

// checkAck holds what the gateway says against what is true.
func (w *world) checkAck(f link.Frame) {
	if f.Kind != link.KindAck {
		return
	}
	var m link.Ack
	if err := m.Decode(f.Payload); err != nil {
		w.t.Fatal(err)
	}
	if m.Committed > w.committed {
		w.t.Fatalf("an ack says that %d is committed, but only %d is", m.Committed, w.committed)
	}
	for _, r := range append([]link.Range{{First: m.Committed + 1, Last: m.Accepted}}, m.Ranges[:m.Count]...) {
		for seq := r.First; seq <= r.Last; seq++ {
			if !w.node[seq] && seq > w.committed && !w.nodesLost() {
				w.t.Fatalf("an ack says that %d is accepted, but it is not", seq)
			}
		}
	}
}

func (w *world) nodesLost() bool { return w.weather.restarts > 0 }

// breakStream breaks the connection; the controller comes again after its back-off.
func (w *world) breakStream() {
	w.breaks++
	w.receiver = nil
	w.sender.Disconnected()
	s := w.sender
	w.after(s.Backoff(), func() {
		if s == w.sender {
			s.Connected(w.now)
			w.speak()
		}
	})
}

// fall restarts one end or the other now and then; sometimes the node is lost for ever.
func (w *world) fall() {
	switch w.rand.IntN(3) {
	case 0:
		w.receiver = nil
	case 1:
		w.receiver = nil
		w.node = map[uint64]bool{}
		for seq := uint64(1); seq <= w.committed; seq++ {
			w.node[seq] = true
		}
	case 2:
		w.start()
	}
	if w.weather.stream {
		w.breakStream()
	}
	w.after(time.Duration(w.rand.Int64N(int64(2*w.weather.restarts))), w.fall)
}

// deliver sends n reports at an even rate and waits until the record has them and
// the controller knows it.
func (w *world) deliver(n uint64, every time.Duration) {
	w.t.Helper()
	w.after(0, w.start)
	w.after(0, w.commit)
	if w.weather.restarts > 0 {
		w.after(w.weather.restarts, w.fall)
	}
	var feed func()
	feed = func() {
		if w.offer(); w.newest < n {
			w.after(every, feed)
		}
	}
	w.after(time.Millisecond, feed)
	w.run(24*time.Hour, func() bool { return w.newest == n && w.forgotten == n })
	if len(w.record) != int(n) || len(w.outbox) != 0 {
		w.t.Fatalf("%d reports are in the record and %d in the outbox, after %d", len(w.record), len(w.outbox), n)
	}
	for seq, times := range w.record {
		if times != 1 {
			w.t.Errorf("report %d is in the record %d times", seq, times)
		}
	}
}

// TestEverythingArrivesOnce carries reports through worse and worse weather.
func TestEverythingArrivesOnce(t *testing.T) {
	const reports = 3000
	for _, loss := range []float64{0, 0.05, 0.10, 0.30} {
		t.Run(fmt.Sprintf("loss %.0f %%", 100*loss), func(t *testing.T) {
			w := newWorld(t, weather{
				loss: loss, duplicate: 0.10, reorder: 0.10, corrupt: 0.01, delay: 200 * time.Millisecond, jitter: 200 * time.Millisecond,
			}, 1)
			start := w.now
			w.deliver(reports, 10*time.Millisecond)
			goodput, possible := float64(reports)/float64(w.sent), (1-loss)*(1-0.01)
			t.Logf("loss %.0f %%: goodput %.3f, %.0f %% of the %.3f possible; %v for %d reports", 100*loss, goodput, 100*goodput/possible, possible, w.now.Sub(start).Round(time.Second), reports)
			if goodput < 0.8*possible {
				t.Errorf("goodput is %.3f, %.3f is possible", goodput, possible)
			}
		})
	}
}

func TestEverythingArrivesOnceThroughRestarts(t *testing.T) {
	seeds := uint64(6)
	if os.Getenv("PENSTOCK_TORTURE") != "" {
		seeds = 2000
	}
	for seed := range seeds {
		for _, stream := range []bool{false, true} {
			w := newWorld(t, weather{
				loss: 0.1, duplicate: 0.1, reorder: 0.1, corrupt: 0.01, delay: 50 * time.Millisecond, jitter: 50 * time.Millisecond,
				restarts: 5 * time.Second, stream: stream,
			}, seed)
			w.deliver(1000, 20*time.Millisecond)
		}
	}
}
