package mongotest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Server is a FerretDB of its own.
type Server struct {
	Address string // on 127.0.0.1
	Dir     string

	program string
	tls     []string // certificate and key
	process *exec.Cmd
	input   io.Closer // it ends when this does
	number  atomic.Int64
}

// Start starts a server with its data in a new directory below dir. With a
// certificate and a key, files both, it speaks TLS.
func Start(dir string, certificate ...string) (s *Server, err error) {
	s = &Server{tls: certificate}
	if s.program, err = build(); err != nil {
		return nil, err
	}
	if s.Dir, err = os.MkdirTemp(dir, "penstock-mongo-"); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		s.Address = l.Addr().String()
		err = errors.Join(l.Close(), s.Up())
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.Dir))
	}
	return s, nil
}

// build returns the path of the program, which make tools builds beforehand.
func build() (string, error) {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("mongotest: the module's directory: %w", err)
	}
	var said bytes.Buffer
	cmd := exec.Command(filepath.Join(strings.TrimSpace(string(root)), "scripts", "ferretdb"))
	cmd.Stderr = &said
	path, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("mongotest: building FerretDB: %w: %s", err, said.String())
	}
	return strings.TrimSpace(string(path)), nil
}

// Up starts the server after a Down, and returns when it answers.
func (s *Server) Up() error {
	s.process = exec.Command(s.program, append([]string{s.Address, s.Dir}, s.tls...)...)
	s.process.Stderr = os.Stderr
	input, err := s.process.StdinPipe()
	if err != nil {
		return err
	}
	if err := s.process.Start(); err != nil {
		return err
	}
	s.input = input
	const patience = 60 * time.Second
	for deadline := time.Now().Add(patience); ; {
		conn, err := net.Dial("tcp", s.Address)
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("mongotest: FerretDB did not come up: %w", err), s.Down())
		}
		<-time.After(20 * time.Millisecond)
	}
}

// Down kills the server. Connections break.
func (s *Server) Down() error {
	if s.process == nil {
		return nil
	}
	if err := s.process.Process.Kill(); err != nil {
		return err
	}
	_ = s.process.Wait() // its status is that of the signal
	_ = s.input.Close()
	s.process = nil
	return nil
}

// Close ends the server and removes its data. It is legal twice.
func (s *Server) Close() error { return errors.Join(s.Down(), os.RemoveAll(s.Dir)) }

// Database returns the name of a database that nobody has used.
func (s *Server) Database() string { return fmt.Sprintf("test%d", s.number.Add(1)) }

// Connect returns a database of the server, whose connections end with the test.
func (s *Server) Connect(t testing.TB, database string) *mongo.Database {
	t.Helper()
	client, err := mongo.Connect(options.Client().SetHosts([]string{s.Address}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(context.Background()) })
	return client.Database(database)
}

// Save notes what a database holds. Restore takes it back to that, as a failover to a
// replica does that lacks what came later.
func Save(t testing.TB, db *mongo.Database) (restore func()) {
	t.Helper()
	ctx := context.Background()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	kept := map[string][]bson.Raw{}
	names, err := db.ListCollectionNames(ctx, bson.D{})
	check(err)
	for _, name := range names {
		cursor, err := db.Collection(name).Find(ctx, bson.D{})
		check(err)
		var docs []bson.Raw
		check(cursor.All(ctx, &docs))
		kept[name] = docs
	}
	return func() {
		t.Helper()
		names, err := db.ListCollectionNames(ctx, bson.D{})
		check(err)
		for _, name := range names {
			_, err := db.Collection(name).DeleteMany(ctx, bson.D{})
			check(err)
			if len(kept[name]) > 0 {
				_, err = db.Collection(name).InsertMany(ctx, kept[name])
				check(err)
			}
		}
	}
}
