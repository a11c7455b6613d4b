package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is a PostgreSQL of its own. It believes whom they are all but the role
// penstock, which must show its password. Its superuser is postgres.
type Server struct {
	Port string // on 127.0.0.1; the socket is in Dir
	Dir  string

	programs string
	owner    *syscall.Credential // PostgreSQL refuses to run as root
	process  *exec.Cmd
	number   atomic.Int64 // of databases
}

// Memory returns a directory whose files are in memory, where the machine has one:
// tests that do not cut the power are quicker there.
func Memory() string {
	const dir = "/dev/shm"
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return os.TempDir()
	}
	return dir
}

// Start starts a server with its data in a new directory below dir, and the
// settings as lines of its configuration file.
func Start(dir string, settings ...string) (s *Server, err error) {
	s = &Server{}
	if s.Dir, err = os.MkdirTemp(dir, "penstock-pg-"); err != nil {
		return nil, err
	}
	if err := s.make(settings); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.Dir))
	}
	return s, nil
}

// make makes the data and starts the server.
func (s *Server) make(settings []string) error {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return errors.New("pgtest: the tests need PostgreSQL: make tools")
	}
	slices.Sort(found)
	s.programs = filepath.Dir(found[len(found)-1])
	if err := s.own(); err != nil {
		return err
	}
	if err := s.run("initdb", "-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	_, s.Port, _ = net.SplitHostPort(l.Addr().String())
	if err := l.Close(); err != nil {
		return err
	}
	text := fmt.Sprintf("listen_addresses = '127.0.0.1'\nport = %s\nunix_socket_directories = '%s'\nmax_connections = 50\nshared_buffers = 64MB\n"+
		"min_wal_size = 32MB\nfsync = on\nlog_min_messages = panic\nautovacuum_naptime = 1h\n", s.Port, s.Dir)
	for _, line := range settings {
		text += line + "\n"
	}
	file, err := os.OpenFile(filepath.Join(s.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := file.WriteString(text); err != nil {
		return err
	}
	return errors.Join(file.Close(), s.distrust(), s.Up())
}

// distrust has the role penstock show its password.
func (s *Server) distrust() error {
	path := filepath.Join(s.data(), "pg_hba.conf")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, append([]byte("host all penstock 127.0.0.1/32 scram-sha-256\n"), text...), 0o600)
}

func (s *Server) data() string { return filepath.Join(s.Dir, "data") }

// own makes the directory, for a user that the server runs as.
func (s *Server) own() error {
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return fmt.Errorf("pgtest: root needs the user that PostgreSQL's package makes: %w", err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	s.owner = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(s.Dir, uid, gid)
}

func (s *Server) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.programs, program), args...)
	cmd.Dir = s.Dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.owner, Setpgid: true}
	return cmd
}

func (s *Server) run(program string, args ...string) error {
	if out, err := s.command(program, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("pgtest: %s: %w: %s", program, err, out)
	}
	return nil
}

// Up starts the server after a Down, and returns when it answers.
func (s *Server) Up() error {
	s.process = s.command("postgres", "-D", s.data())
	s.process.Stderr = os.Stderr
	if err := s.process.Start(); err != nil {
		return err
	}
	const patience = 60 * time.Second
	for deadline := time.Now().Add(patience); ; {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		conn, err := pgx.Connect(ctx, s.URL("postgres"))
		if err == nil {
			err = conn.Close(ctx)
		}
		cancel()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("pgtest: PostgreSQL did not come up: %w", err), s.Down())
		}
		<-time.After(20 * time.Millisecond)
	}
}

// Down stops the server without ado, as a crash of its machine would. Connections
// break.
func (s *Server) Down() error { return s.end(syscall.SIGQUIT) }

// Stop stops the server in good order.
func (s *Server) Stop() error { return s.end(syscall.SIGINT) }

func (s *Server) end(how os.Signal) error {
	if s.process == nil {
		return nil
	}
	if err := s.process.Process.Signal(how); err != nil {
		return err
	}
	_ = s.process.Wait() // its status is that of the signal
	s.process = nil
	return nil
}

// Close stops the server and removes its data. It is legal twice.
func (s *Server) Close() error { return errors.Join(s.Down(), os.RemoveAll(s.Dir)) }

// Save copies the data of the server, which goes on. Restore takes it back to them,
// as a failover to a replica does that lacks what came later.
func (s *Server) Save(t testing.TB) (restore func()) {
	t.Helper()
	check := func(errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	kept := filepath.Join(s.Dir, "kept")
	check(os.RemoveAll(kept))
	check(s.run("pg_basebackup", "-D", kept, "-h", "127.0.0.1", "-p", s.Port, "-U", "postgres", "--checkpoint=fast", "--no-sync"))
	return func() {
		t.Helper()
		check(s.Down(), os.RemoveAll(s.data()), os.Rename(kept, s.data()), s.Up())
	}
}

// URL returns the address of a database of the server for its superuser.
func (s *Server) URL(database string) string {
	return "postgres://postgres@127.0.0.1:" + s.Port + "/" + database + "?sslmode=disable"
}

// Database makes an empty database and returns its name.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", s.number.Add(1))
	s.Exec(t, "postgres", "CREATE DATABASE "+name)
	return name
}

// Connect returns a connection of the superuser, closed at the end of the test.
func (s *Server) Connect(t testing.TB, database string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), s.URL(database))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// Exec runs statements as the superuser.
func (s *Server) Exec(t testing.TB, database, statements string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), s.URL(database))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.PgConn().Exec(context.Background(), statements).ReadAll(); err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
}

// Number returns what a query for one number answers.
func (s *Server) Number(t testing.TB, database, query string) (n int64) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), s.URL(database))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(context.Background(), query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}
