package postgres

import (
	"crypto/tls"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/tlsfiles"
)

// Config are the settings of one database.
type Config struct {
	Server    string          `yaml:"server" jsonschema_description:"server and database: postgres://host:5432/database. Several hosts, with commas between them, are tried until one takes writes; none is the socket of this machine"`
	User      string          `yaml:"user" jsonschema_description:"role at the server"`
	Password  config.Secret   `yaml:"password,omitempty" jsonschema_description:"password of the role"`
	PlainText bool            `yaml:"plain_text,omitempty" jsonschema_description:"allow a server without TLS that is not on this machine"`
	TLS       tlsfiles.Client `yaml:"tls,omitempty" jsonschema_description:"whom to believe and what to show; on this machine TLS is used when ca is set, and elsewhere always"`
	Schema    string          `yaml:"schema,omitempty" jsonschema_description:"schema that holds Penstock's tables; penstock when left out"`
	Partition string          `yaml:"partition,omitempty" jsonschema_description:"length of new partitions of the samples: day, week or month (30 days); week when left out"`
	Retention config.Duration `yaml:"retention,omitempty" jsonschema_description:"samples older than this are dropped, a partition at a time; everything is kept when left out"`
}

// What the settings are when left out.
const (
	defaultSchema    = "penstock"
	defaultPartition = "week"
	defaultPort      = "5432"
	localSocket      = "/var/run/postgresql"
	maxIdentifier    = 63 // bytes of a name in PostgreSQL
)

// Validate returns an error of code [penstock.Invalid] when a setting breaks a
// rule. The sections below it have their own.
func (c *Config) Validate() error {
	_, err := newSettings(*c)
	return err
}

// settings is a configuration with everything filled in.
type settings struct {
	Config
	hosts     []string
	ports     []string
	database  string
	secure    bool
	period    time.Duration
	retention time.Duration
}

func newSettings(c Config) (s settings, err error) {
	s = settings{Config: c, retention: c.Retention.Std()}
	refuse := func(format string, args ...any) (settings, error) {
		return settings{}, penstock.Errorf(penstock.Invalid, format, args...)
	}
	if s.Schema == "" {
		s.Schema = defaultSchema
	}
	if s.Partition == "" {
		s.Partition = defaultPartition
	}
	const day = 24 * time.Hour
	s.period = map[string]time.Duration{"day": day, "week": 7 * day, "month": 30 * day}[s.Partition]
	switch {
	case s.User == "":
		return refuse("user: name the role that Penstock is at the server")
	case s.period == 0:
		return refuse("partition: %q is none of day, week and month", s.Partition)
	case s.retention != 0 && s.retention < day:
		return refuse("retention: %v is less than a day", s.retention)
	case len(s.Schema) > maxIdentifier || strings.ContainsFunc(s.Schema, func(r rune) bool { return r < ' ' }):
		return refuse("schema: a name has at most %d bytes and no control characters", maxIdentifier)
	case strings.HasPrefix(s.Schema, "pg_"):
		return refuse("schema: names that begin with pg_ are PostgreSQL's own")
	}
	if err := s.parse(); err != nil {
		return refuse("server: %w", err)
	}
	return s, nil
}

// parse reads the address of the server.
func (s *settings) parse() error {
	refuse := func(format string, args ...any) error { return penstock.Errorf(penstock.Invalid, format, args...) }
	scheme, rest, _ := strings.Cut(s.Server, "://")
	if scheme != "postgres" && scheme != "postgresql" {
		return refuse("write postgres://host:5432/database")
	}
	hosts, database, _ := strings.Cut(rest, "/")
	switch {
	case strings.Contains(rest, "@"):
		return refuse("it has a user or a password, which are keys of their own")
	case database == "" || strings.ContainsAny(database, "/?#"):
		return refuse("%q needs the name of a database behind the host, and nothing more", s.Server)
	}
	s.database = database
	if hosts == "" {
		s.hosts, s.ports = []string{localSocket}, []string{defaultPort}
		return nil
	}
	local := true
	for address := range strings.SplitSeq(hosts, ",") {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			host, port = strings.Trim(address, "[]"), defaultPort
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" {
			return refuse("%q is no host with a port", address)
		}
		s.hosts, s.ports = append(s.hosts, host), append(s.ports, port)
		local = local && isLoopback(host)
	}
	s.secure = !s.PlainText && !local || s.TLS.CA != ""
	return nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// poolSize is the connections of a sink: one settles, the others answer people.
const poolSize = 4

// pool returns the settings of the connections. The files of TLS are read now.
func (s *settings) pool() (*pgxpool.Config, error) {
	quote := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	var text strings.Builder
	for _, pair := range [][2]string{
		{"host", strings.Join(s.hosts, ",")}, {"port", strings.Join(s.ports, ",")}, {"dbname", s.database}, {"user", s.User},
		{"password", s.Password.Reveal()}, {"sslmode", "disable"}, {"connect_timeout", "10"},
	} {
		text.WriteString(pair[0] + "='" + quote.Replace(pair[1]) + "' ")
	}
	if len(s.hosts) > 1 {
		text.WriteString("target_session_attrs=read-write ")
	}
	pool, err := pgxpool.ParseConfig(text.String())
	if err != nil {
		return nil, penstock.Errorf(penstock.Invalid, "the settings of the connection are refused: %s", redact(err.Error(), s.Password))
	}
	pool.MaxConns = poolSize
	if !s.secure {
		return pool, nil
	}
	base, err := s.TLS.Config()
	if err != nil {
		return nil, err
	}
	conn := &pool.ConnConfig.Config
	conn.TLSConfig = named(base, conn.Host)
	for _, other := range conn.Fallbacks {
		other.TLSConfig = named(base, other.Host)
	}
	return pool, nil
}

// named returns the settings with the name that the server must show.
func named(base *tls.Config, host string) *tls.Config {
	c := base.Clone()
	if c.ServerName == "" {
		c.ServerName = host
	}
	return c
}

// redact takes a password out of an error of the library.
func redact(text string, password config.Secret) string {
	if secret := password.Reveal(); secret != "" {
		text = strings.ReplaceAll(text, secret, "[redacted]")
	}
	return text
}
