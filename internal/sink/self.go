package sink

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"sync"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/store"
)

// Self is who this node is, on its disk: its id, and the history of its spool. It is
// safe for concurrent use.
type Self struct {
	table *store.Table
	rand  io.Reader

	mu   sync.Mutex // guards what follows
	node Node
}

// maxLives is how many processes of the node are remembered. A record that was last
// reached by an older one finds another history, and is given everything again.
const maxLives = 1024

// selfKey is the row of the node.
const selfKey = "node"

// selfVersion is the version of the row.
const selfVersion = 1

type selfRow struct {
	Version int
	Node    Node
}

// OpenSelf reads who the node is, makes it up at the first start, and adds this
// process, whose first position is first, to the history. It must be called after
// the spool was opened and before anything is appended. Name is for people.
func OpenSelf(table *store.Table, name string, first penstock.Position, rand io.Reader) (*Self, error) {
	s := &Self{table: table, rand: rand}
	value, found, err := table.Get([]byte(selfKey))
	if err != nil {
		return nil, penstock.Errorf(penstock.CodeOf(err), "who this node is: %w", err)
	}
	if found {
		if s.node, err = readSelf(value); err != nil {
			return nil, err
		}
	}
	if n := len(s.node.Lives); n > 0 && s.node.Lives[n-1].First > first {
		s.node = Node{} // the spool is younger than the node: what it writes is another history
	}
	id, err := s.make()
	if err != nil {
		return nil, err
	}
	next := Node{ID: s.node.ID, Name: name, Lives: append(s.node.Lives, Life{ID: id, First: first})}
	next.Lives = next.Lives[max(0, len(next.Lives)-maxLives):]
	if next.ID == "" {
		if next.ID, err = s.make(); err != nil {
			return nil, err
		}
	}
	return s, s.keep(next)
}

func readSelf(value []byte) (Node, error) {
	var row selfRow
	if err := json.Unmarshal(value, &row); err != nil {
		return Node{}, penstock.Errorf(penstock.Corrupt, "who this node is cannot be read: restore the store from a backup: %w", err)
	}
	if row.Version != selfVersion {
		return Node{}, penstock.Errorf(penstock.Unsupported, "who this node is has version %d, this program reads version %d: run the newer program", row.Version, selfVersion)
	}
	return row.Node, nil
}

// make returns an id that no other has.
func (s *Self) make() (string, error) {
	var id [16]byte
	if _, err := io.ReadFull(s.rand, id[:]); err != nil {
		return "", penstock.Errorf(penstock.Internal, "no randomness: %w", err)
	}
	return hex.EncodeToString(id[:]), nil
}

// keep makes the node durable.
func (s *Self) keep(n Node) error {
	value, err := json.Marshal(selfRow{selfVersion, n})
	if err != nil {
		return err
	}
	if err := s.table.Put([]byte(selfKey), value); err != nil {
		return penstock.Errorf(penstock.CodeOf(err), "who this node is: %w", err)
	}
	s.node = n
	return nil
}

// Node returns who the node is. Nobody changes what it returns.
func (s *Self) Node() Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.node
}

// Renew gives the node another id, unless it has one other than was already: a record
// has shown that somebody else delivers under that one.
func (s *Self) Renew(was string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.node.ID != was {
		return nil
	}
	id, err := s.make()
	if err != nil {
		return err
	}
	n := s.node
	n.ID = id
	return s.keep(n)
}
