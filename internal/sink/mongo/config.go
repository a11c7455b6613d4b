package mongo

import (
	"cmp"
	"net"
	"strconv"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/tlsfiles"
)

// Config are the settings of one database.
type Config struct {
	Server       string          `yaml:"server" jsonschema_description:"server and database: mongodb://host:27017/database. Of a replica set name several hosts, with commas between them"`
	User         string          `yaml:"user,omitempty" jsonschema_description:"user at the server; none for a server without authentication"`
	Password     config.Secret   `yaml:"password,omitempty" jsonschema_description:"password of the user"`
	AuthDatabase string          `yaml:"auth_database,omitempty" jsonschema_description:"database that knows the user; the one that is written to when left out"`
	PlainText    bool            `yaml:"plain_text,omitempty" jsonschema_description:"allow a server without TLS that is not on this machine"`
	TLS          tlsfiles.Client `yaml:"tls,omitempty" jsonschema_description:"whom to believe and what to show; on this machine TLS is used when ca is set, and elsewhere always"`
	Retention    config.Duration `yaml:"retention,omitempty" jsonschema_description:"reports whose newest sample is older than this are dropped; everything is kept when left out"`
}

// What the settings are when left out, and their bounds.
const (
	defaultPort  = "27017"
	scheme       = "mongodb://"
	maxDatabase  = 63 // bytes of a database's name
	notInName    = "/\\. \"$*<>:|?#@"
	minRetention = 24 * time.Hour
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
	hosts    []string // host:port
	database string
	secure   bool
}

func newSettings(c Config) (settings, error) {
	s := settings{Config: c}
	if err := s.parse(); err != nil {
		return settings{}, penstock.Errorf(penstock.Invalid, "server: %w", err)
	}
	s.AuthDatabase = cmp.Or(s.AuthDatabase, s.database)
	switch {
	case s.User == "" && s.Password.Reveal() != "":
		return settings{}, penstock.Errorf(penstock.Invalid, "user: name the user whose password this is")
	case s.User != "" && s.Password.Reveal() == "":
		return settings{}, penstock.Errorf(penstock.Invalid, "password: user %s needs one", s.User)
	case s.Retention != 0 && s.Retention.Std() < minRetention:
		return settings{}, penstock.Errorf(penstock.Invalid, "retention: %v is less than a day", s.Retention.Std())
	}
	return s, nil
}

// parse reads the address of the server.
func (s *settings) parse() error {
	rest, ours := strings.CutPrefix(s.Server, scheme)
	if !ours {
		return penstock.Errorf(penstock.Invalid, "write mongodb://host:27017/database")
	}
	hosts, database, _ := strings.Cut(rest, "/")
	if strings.Contains(hosts, "@") {
		return penstock.Errorf(penstock.Invalid, "it has a user or a password, which are keys of their own")
	}
	if database == "" || len(database) > maxDatabase || strings.ContainsAny(database, notInName) {
		return penstock.Errorf(penstock.Invalid, "%q needs the name of a database behind the hosts, and nothing more", s.Server)
	}
	s.database, s.secure = database, s.TLS.CA != ""
	for address := range strings.SplitSeq(hosts, ",") {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			host, port = strings.Trim(address, "[]"), defaultPort
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" {
			return penstock.Errorf(penstock.Invalid, "%q is no host with a port", address)
		}
		s.hosts = append(s.hosts, net.JoinHostPort(host, port))
		ip := net.ParseIP(host)
		if host != "localhost" && (ip == nil || !ip.IsLoopback()) && !s.PlainText {
			s.secure = true
		}
	}
	return nil
}

// Bounds of the connections: one settles, the others answer people.
const (
	poolSize       = 4
	connectTimeout = 10 * time.Second
	findServer     = 3 * time.Second
)

// client returns the settings of the connections. The files of TLS are read now.
func (s *settings) client() (*options.ClientOptions, error) {
	journal := true
	o := options.Client().SetHosts(s.hosts).SetAppName("penstock").SetMaxPoolSize(poolSize).
		SetConnectTimeout(connectTimeout).SetServerSelectionTimeout(findServer).
		SetWriteConcern(&writeconcern.WriteConcern{W: "majority", Journal: &journal}).
		SetReadConcern(readconcern.Majority()).SetReadPreference(readpref.Primary()).
		SetRetryWrites(true).SetRetryReads(true)
	if s.User != "" {
		o.SetAuth(options.Credential{AuthSource: s.AuthDatabase, Username: s.User, Password: s.Password.Reveal(), PasswordSet: true})
	}
	if s.secure {
		base, err := s.TLS.Config()
		if err != nil {
			return nil, err
		}
		o.SetTLSConfig(base)
	}
	return o, nil
}
