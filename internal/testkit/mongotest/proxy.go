package mongotest

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Proxy stands between clients and a server, and breaks their connections.
type Proxy struct {
	Address string // on 127.0.0.1

	server   string
	listener net.Listener
	running  sync.WaitGroup

	calm sync.RWMutex // held for reading while a command is under way

	mu      sync.Mutex
	down    bool
	hook    func(Command) Cut
	answers map[Command]any // of the next such command each
	conns   map[net.Conn]bool
}

// Command is what a client asks of the server.
type Command struct {
	Name       string // such as insert
	Collection string
}

// Cut says what happens to a command.
type Cut uint8

// The cuts.
const (
	None   Cut = iota
	Before     // the connection breaks before the server has it
	After      // the server has done it, and the connection breaks before its answer
)

// NewProxy returns a proxy before the address, which ends with the test.
func NewProxy(t testing.TB, address string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Address: l.Addr().String(), server: address, listener: l, answers: map[Command]any{}, conns: map[net.Conn]bool{}}
	p.running.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.Break()
		p.running.Wait()
	})
	return p
}

// Break ends all connections and refuses new ones, until Mend.
func (p *Proxy) Break() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = true
	for c := range p.conns {
		_ = c.Close()
	}
}

// Mend lets connections through again.
func (p *Proxy) Mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
}

// Each has hook decide about each command, from the goroutine of its connection; nil
// ends that.
func (p *Proxy) Each(hook func(Command) Cut) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hook = hook
}

// CutNext cuts the connection at the next such command.
func (p *Proxy) CutNext(c Command, how Cut) {
	var once sync.Once
	p.Each(func(other Command) (cut Cut) {
		if other == c {
			once.Do(func() { cut = how })
		}
		return cut
	})
}

// AnswerNext has the next such command answered with the document, and the server not
// asked.
func (p *Proxy) AnswerNext(c Command, document any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers[c] = document
}

// Still calls do while no command is under way.
func (p *Proxy) Still(do func()) {
	p.calm.Lock()
	defer p.calm.Unlock()
	do()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil || !p.add(client, server) {
			_ = client.Close()
			if err == nil {
				_ = server.Close()
			}
			continue
		}
		p.running.Go(func() { p.talk(client, server) })
	}
}

func (p *Proxy) add(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		p.conns[c] = true
	}
	return !p.down
}

// talk carries commands and their answers, one after the other: so a client asks that
// does not stream.
func (p *Proxy) talk(client, server net.Conn) {
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, c := range []net.Conn{client, server} {
			_ = c.Close()
			delete(p.conns, c)
		}
	}()
	for {
		asked, err := message(client)
		if err != nil {
			return
		}
		answer := p.ask(server, asked)
		if answer == nil {
			return
		}
		if _, err := client.Write(answer); err != nil {
			return
		}
	}
}

// ask returns the answer to a command, or nothing when the connection is to break.
func (p *Proxy) ask(server net.Conn, asked []byte) []byte {
	command := commandOf(asked)
	p.mu.Lock()
	hook, ready := p.hook, p.answers[command]
	delete(p.answers, command)
	p.mu.Unlock()
	if ready != nil {
		return answerTo(asked, ready)
	}
	cut := None
	if hook != nil {
		cut = hook(command)
	}
	if cut == Before {
		return nil
	}
	p.calm.RLock()
	defer p.calm.RUnlock()
	if _, err := server.Write(asked); err != nil {
		return nil
	}
	answer, err := message(server)
	if err != nil || cut == After {
		return nil
	}
	return answer
}

// answerTo returns a message that answers another with the document.
func answerTo(asked []byte, document any) []byte {
	body, err := bson.Marshal(document)
	if err != nil {
		return nil
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(headerSize+flagsSize+1+len(body)))
	b = binary.LittleEndian.AppendUint32(b, 1)
	b = append(b, asked[4:8]...) // its number
	b = binary.LittleEndian.AppendUint32(b, opMsg)
	b = append(b, make([]byte, flagsSize+1)...)
	return append(b, body...)
}

const (
	headerSize = 16
	maxMessage = 64 << 20
	opMsg      = 2013
	flagsSize  = 4
)

// message reads one message.
func message(from io.Reader) ([]byte, error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(from, header[:]); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(header[:])
	if size < headerSize || size > maxMessage {
		return nil, io.ErrUnexpectedEOF
	}
	b := append(make([]byte, 0, size), header[:]...)[:size]
	_, err := io.ReadFull(from, b[headerSize:])
	return b, err
}

// commandOf returns what a message asks.
func commandOf(message []byte) Command {
	if binary.LittleEndian.Uint32(message[12:]) != opMsg || len(message) < headerSize+flagsSize+1 {
		return Command{}
	}
	first, err := bson.Raw(message[headerSize+flagsSize+1:]).IndexErr(0)
	if err != nil {
		return Command{}
	}
	collection, _ := first.Value().StringValueOK()
	return Command{Name: first.Key(), Collection: collection}
}
