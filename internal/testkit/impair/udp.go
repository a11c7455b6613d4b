package impair

import (
	"container/heap"
	"net"
	"net/netip"
	"sync"
	"time"
)

// UDP is a way for datagrams. Clients send to its address; what comes through
// goes to the target, from a socket for each client, and back.
type UDP struct {
	target   netip.AddrPort
	front    *net.UDPConn
	up, down *direction
	later    schedule
	work     sync.WaitGroup

	mu     sync.Mutex // guards the next two
	backs  map[netip.AddrPort]*net.UDPConn
	closed bool
}

// NewUDP returns a way to the target, at work until Close.
func NewUDP(target string, p Profile) (*UDP, error) {
	to, err := net.ResolveUDPAddr("udp", target)
	if err != nil {
		return nil, err
	}
	front, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	u := &UDP{
		target: to.AddrPort(), front: front, up: newDirection(p, 1), down: newDirection(p, 2),
		backs: map[netip.AddrPort]*net.UDPConn{}, later: newSchedule(),
	}
	u.work.Go(u.later.run)
	u.work.Go(u.read)
	return u, nil
}

// Addr returns where clients send to.
func (u *UDP) Addr() string { return u.front.LocalAddr().String() }

// Set changes what happens from now on.
func (u *UDP) Set(p Profile) {
	u.up.set(p)
	u.down.set(p)
}

// Counts tells what was done on the way to the target, and back.
func (u *UDP) Counts() (up, down Counts) { return u.up.told(), u.down.told() }

// Rebind gives every client a new address towards the target, as a NAT does that
// has forgotten them.
func (u *UDP) Rebind() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, back := range u.backs {
		back.Close()
	}
	clear(u.backs)
}

// Close ends the way; what is delayed is lost.
func (u *UDP) Close() {
	u.mu.Lock()
	u.closed = true
	u.mu.Unlock()
	u.Rebind()
	u.front.Close()
	u.later.close()
	u.work.Wait()
}

// read takes what the clients send.
func (u *UDP) read() {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := u.front.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		back := u.back(from)
		if back == nil {
			continue
		}
		u.pass(u.up, buf[:n], func(b []byte) { back.Write(b) }) // a closed socket loses it, as networks do
	}
}

// back returns the socket towards the target of a client.
func (u *UDP) back(client netip.AddrPort) *net.UDPConn {
	u.mu.Lock()
	defer u.mu.Unlock()
	if c := u.backs[client]; c != nil || u.closed {
		return c
	}
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(u.target))
	if err != nil {
		return nil
	}
	u.backs[client] = c
	u.work.Go(func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := c.Read(buf)
			if err != nil {
				if isClosed(err) {
					return
				}
				continue // nobody listens at the target for now
			}
			u.pass(u.down, buf[:n], func(b []byte) { u.front.WriteToUDPAddrPort(b, client) })
		}
	})
	return c
}

// pass decides about a packet and sends what is left of it when it is due.
func (u *UDP) pass(d *direction, packet []byte, send func([]byte)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.profile
	d.counts.Packets++
	d.counts.Bytes += uint64(len(packet))
	if d.chance(p.Loss) {
		d.counts.Lost++
		return
	}
	copies := 1
	if d.chance(p.Duplicate) {
		d.counts.Duplicated++
		copies = 2
	}
	for range copies {
		b := append([]byte(nil), packet...)
		d.damage(b)
		now := time.Now()
		at := d.due(now, len(b))
		if d.chance(p.Reorder) {
			d.counts.Reordered++
			at = at.Add(5*time.Millisecond + p.Delay/2)
		}
		if !at.After(now) {
			send(b)
			continue
		}
		u.later.add(at, func() { send(b) })
	}
}

// schedule does things at their time, in one goroutine.
type schedule struct {
	wake chan struct{}
	done chan struct{}
	mu   *sync.Mutex // guards jobs
	jobs *jobs
}

type job struct {
	at time.Time
	do func()
}

type jobs []job

func (j jobs) Len() int           { return len(j) }
func (j jobs) Less(a, b int) bool { return j[a].at.Before(j[b].at) }
func (j jobs) Swap(a, b int)      { j[a], j[b] = j[b], j[a] }
func (j *jobs) Push(x any)        { *j = append(*j, x.(job)) }
func (j *jobs) Pop() any {
	last := len(*j) - 1
	x := (*j)[last]
	*j = (*j)[:last]
	return x
}

func newSchedule() schedule {
	return schedule{wake: make(chan struct{}, 1), done: make(chan struct{}), mu: new(sync.Mutex), jobs: new(jobs)}
}

func (s schedule) add(at time.Time, do func()) {
	s.mu.Lock()
	heap.Push(s.jobs, job{at, do})
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s schedule) close() { close(s.done) }

func (s schedule) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-s.done:
			return
		case <-s.wake:
		case <-timer.C:
		}
		for {
			s.mu.Lock()
			if s.jobs.Len() == 0 {
				s.mu.Unlock()
				break
			}
			if wait := time.Until((*s.jobs)[0].at); wait > 0 {
				timer.Reset(wait)
				s.mu.Unlock()
				break
			}
			j := heap.Pop(s.jobs).(job)
			s.mu.Unlock()
			j.do()
		}
	}
}
