package sparkplug

import (
	"maps"
	"slices"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
)

// unknown is the bdSeq of a session whose birth was not seen, or had none.
const unknown = -1

// metricSize is about what a decoded metric takes in memory.
const metricSize = 160

// half of the sequence numbers are ahead, the others behind.
const half = 128

// node is what is known of an edge node.
type node struct {
	group, name string
	alive       bool // a session is under way
	bdSeq       int
	born        stamp // of the birth
	newest      stamp // of the messages in their turn
	next        uint8 // the sequence number that is due
	jumped      bool  // messages may be missing before the next one
	own         table
	devices     map[string]*table
	held        map[uint8]*delivery // what came before its turn
	deadline    time.Time           // when no more is waited for what is missing
	wants       bool                // it is to be asked for its births
	told        bool                // that it may not be asked
	ask         time.Time           // not before
}

// delivery is a message on its way through the host.
type delivery struct {
	token      uint64
	address    address
	controller string
	payload    payload
	size       int
	doubtful   bool // it came out of its turn: aliases may have another meaning by now
}

func (n *node) id() string { return n.group + "/" + n.name }

// nodeBirth begins a session.
func (h *Host) nodeBirth(n *node, d *delivery) {
	p := &d.payload
	early := h.early(n, p.stamp)
	h.closeGap(n)
	if !p.ordered {
		h.event(evidence.Malformed, 1, d.controller, "the birth of %s has no seq; 0 is taken for it", n.id())
	}
	n.alive, n.jumped, n.wants, n.told = true, false, false, false
	n.bdSeq, n.born, n.newest, n.next = p.bdSeq(), p.stamp, p.stamp, p.seq+1
	n.distrust() // each device gives birth anew
	h.event(evidence.Connected, 1, d.controller, "%s was born", n.id())
	h.birth(&n.own, d)
	h.decide(d.token, h.reports(&n.own, d))
	for _, e := range early {
		h.sequenced(n, e)
	}
}

// early takes the held messages that are younger than the birth out of the hold:
// they came before it and belong to its session.
func (h *Host) early(n *node, birth stamp) []*delivery {
	var early []*delivery
	for _, seq := range slices.Sorted(maps.Keys(n.held)) {
		if d := n.held[seq]; d.payload.stamp.after(birth) {
			h.release(n, d)
			early = append(early, d)
		}
	}
	return early
}

// distrust ends the meaning of all aliases until the next births.
func (n *node) distrust() {
	n.own.born = false
	for _, t := range n.devices {
		t.born = false
	}
}

// nodeDeath ends the session that the death belongs to: the broker sends the one
// of an old connection late, when the edge node has long come back.
func (h *Host) nodeDeath(n *node, d *delivery) {
	if n == nil || !n.alive {
		h.decide(d.token, nil)
		return
	}
	if got := d.payload.bdSeq(); n.bdSeq != unknown && got != n.bdSeq {
		h.decide(d.token, nil)
		h.event(evidence.Late, 1, d.controller, "a death with bdSeq %d is not that of the session of %s, which has %d", got, n.id(), n.bdSeq)
		return
	}
	h.closeGap(n)
	var reports []penstock.Report
	n.own.controller = d.controller
	reports = append(reports, n.own.lost(stamp{}, h.now)...)
	for _, device := range slices.Sorted(maps.Keys(n.devices)) {
		reports = append(reports, n.devices[device].lost(stamp{}, h.now)...)
	}
	h.forget(n)
	n.alive = false
	h.event(evidence.Lost, 1, d.controller, "%s has died", n.id())
	h.decide(d.token, reports)
}

// forget drops the metrics of an edge node and its devices.
func (h *Host) forget(n *node) {
	h.entries -= len(n.own.entries)
	for _, t := range n.devices {
		h.entries -= len(t.entries)
	}
	n.own, n.devices = table{controller: n.own.controller}, map[string]*table{}
}

// bdSeq returns the number of the session that a birth or death belongs to.
func (p *payload) bdSeq() int {
	for i := range p.metrics {
		if m := &p.metrics[i]; m.name == "bdSeq" && (m.source == metricInt || m.source == metricLong) && m.bits < 256 {
			return int(m.bits)
		}
	}
	return unknown
}

// sequenced takes a message that has its turn among those of its edge node.
func (h *Host) sequenced(n *node, d *delivery) {
	seq := d.payload.seq
	if !n.alive { // in the middle of a session whose birth was not seen
		n.alive, n.jumped, n.bdSeq, n.born, n.newest, n.next = true, false, unknown, stamp{}, stamp{}, seq
		h.want(n, "the birth is missing")
	}
	if !d.payload.ordered {
		h.event(evidence.Malformed, 1, d.controller, "a message of %s has no seq", n.id())
		h.process(n, d)
		return
	}
	ahead := seq - n.next
	if n.jumped {
		if ahead != 0 && h.rebirth.Covers(n.id()) {
			n.distrust() // a birth may be among what is missing, and can be had again
		}
		h.lose(n, int(seq-n.next))
		n.jumped, n.next, ahead = false, seq, 0
	}
	switch {
	case ahead == 0:
		h.inTurn(n, d)
		h.drain(n)
	case ahead < half || d.payload.stamp.after(n.newest): // what is younger is ahead, however far
		h.hold(n, d)
	default:
		h.late(n, d)
	}
}

// late takes a message after its turn.
func (h *Host) late(n *node, d *delivery) {
	h.event(evidence.Late, 1, d.controller, "a message of %s with seq %d came after its turn", n.id(), d.payload.seq)
	d.doubtful = true
	h.process(n, d)
}

func (h *Host) inTurn(n *node, d *delivery) {
	n.next = d.payload.seq + 1
	if d.payload.stamp.given {
		n.newest = d.payload.stamp
	}
	h.process(n, d)
}

// lose counts messages that are missing.
func (h *Host) lose(n *node, count int) {
	if count == 0 {
		return
	}
	h.event(evidence.Gap, count, n.own.controller, "%d messages of %s are missing before seq %d", count, n.id(), n.next+uint8(count))
	h.want(n, "messages are missing")
}

// hold keeps a message that came before its turn.
func (h *Host) hold(n *node, d *delivery) {
	if other := n.held[d.payload.seq]; other != nil {
		h.clash(n, d, other)
		return
	}
	if len(n.held) == 0 {
		n.deadline = h.now.Add(h.reorder)
		h.waiting = append(h.waiting, n)
	}
	n.held[d.payload.seq] = d
	if h.held += d.size; h.held > maxHeldBytes || len(n.held) >= half {
		h.closeGap(n)
	}
}

// clash takes a message whose number another one that is held has already.
func (h *Host) clash(n *node, d, other *delivery) {
	switch {
	case d.payload.stamp.after(other.payload.stamp): // the numbers have gone round
		h.closeGap(n)
		h.sequenced(n, d)
	case other.payload.stamp.after(d.payload.stamp):
		h.late(n, d)
	default:
		h.event(evidence.Resent, 1, d.controller, "a message of %s with seq %d came twice", n.id(), d.payload.seq)
		h.decide(d.token, nil)
	}
}

// drain takes the held messages whose turn has come.
func (h *Host) drain(n *node) {
	for d := n.held[n.next]; d != nil; d = n.held[n.next] {
		h.release(n, d)
		h.inTurn(n, d)
	}
}

func (h *Host) release(n *node, d *delivery) {
	delete(n.held, d.payload.seq)
	if h.held -= d.size; len(n.held) == 0 {
		h.waiting = slices.DeleteFunc(h.waiting, func(w *node) bool { return w == n })
	}
}

// closeGap gives up what is missing and takes what is held.
func (h *Host) closeGap(n *node) {
	for len(n.held) > 0 {
		missing := uint8(0)
		for n.held[n.next+missing] == nil {
			missing++
		}
		h.lose(n, int(missing))
		n.next += missing
		n.held[n.next].doubtful = true
		h.drain(n)
	}
}

// process takes a message of a device, or the data of an edge node.
func (h *Host) process(n *node, d *delivery) {
	old := d.doubtful && n.born.after(d.payload.stamp) // it may be of the session before
	t := &n.own
	if d.address.device != "" {
		t = n.devices[d.address.device]
	}
	if t == nil || old {
		t = &table{controller: d.controller}
	}
	switch {
	case d.address.kind == deviceBirth && !old:
		n.devices[d.address.device] = t
		h.birth(t, d)
	case d.address.kind == deviceDeath:
		h.deviceDeath(n, t, d, old)
		return
	}
	reports := h.reports(t, d)
	if t.unresolved > 0 {
		h.event(evidence.Gap, t.unresolved, d.controller, "%d metrics of %s have an alias that no birth has told", t.unresolved, d.controller)
		t.unresolved = 0
		h.want(n, "aliases are not known")
	}
	h.decide(d.token, reports)
}

func (h *Host) deviceDeath(n *node, t *table, d *delivery, old bool) {
	if old {
		h.decide(d.token, nil)
		return
	}
	h.entries -= len(t.entries)
	delete(n.devices, d.address.device)
	h.event(evidence.Lost, 1, d.controller, "the device %s of %s has died", d.address.device, n.id())
	h.decide(d.token, t.lost(d.payload.stamp, h.now))
}

// after tells whether both times are known and s is the later one.
func (s stamp) after(other stamp) bool { return s.given && other.given && s.millis > other.millis }
