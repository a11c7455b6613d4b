package opcua

import (
	"time"

	"github.com/penstock/penstock/internal/config"
	"github.com/penstock/penstock/internal/source/opcua/session"
)

// Config is one server and what is subscribed there.
type Config struct {
	Endpoint     string           `yaml:"endpoint" jsonschema_description:"the server: opc.tcp://host:4840/path"`
	Security     session.Security `yaml:"security,omitempty" jsonschema_description:"how the connection is secured, and whom to believe"`
	User         string           `yaml:"user,omitempty" jsonschema_description:"user at the server; nobody in particular when left out"`
	Password     config.Secret    `yaml:"password,omitempty" jsonschema_description:"password of user"`
	UserIdentity session.Pair     `yaml:"user_identity,omitempty" jsonschema_description:"certificate and key of a user, in place of user and password"`
	Keepalive    config.Duration  `yaml:"keepalive,omitempty" jsonschema_description:"how often the server says that a subscription without news is alive, 100ms to 1h; 10s when left out"`
	Timeout      config.Duration  `yaml:"timeout,omitempty" jsonschema_description:"how long the server may take to answer, 100ms to 5m; 10s when left out"`
	Lifetime     config.Duration  `yaml:"lifetime,omitempty" jsonschema_description:"how long the server is asked to keep the subscriptions while the connection is lost, 10s to 24h; 10m when left out"`
	Groups       []Group          `yaml:"groups" jsonschema_description:"what is subscribed; each group is a subscription of its own"`
}

// Group is one subscription.
type Group struct {
	Name        string          `yaml:"name,omitempty" jsonschema_description:"name of the group in logs; needed when there is more than one"`
	Publish     config.Duration `yaml:"publish,omitempty" jsonschema_description:"how often the server sends what has changed, 10ms to 1h; 1s when left out"`
	Sampling    config.Duration `yaml:"sampling,omitempty" jsonschema_description:"how often the server looks at the values, 1ms to 1h; as publish when left out"`
	EveryChange bool            `yaml:"every_change,omitempty" jsonschema_description:"in place of sampling: the server is to tell of every change as it happens, where it can"`
	Queue       uint32          `yaml:"queue,omitempty" jsonschema_description:"changes of a node that the server keeps until they are sent, 1 to 100000; 100 when left out"`
	KeepOldest  bool            `yaml:"keep_oldest,omitempty" jsonschema_description:"when the server's queue is full keep the oldest changes and not the newest"`
	Nodes       []Node          `yaml:"nodes" jsonschema_description:"what is watched"`
}

// Node is one variable of the server.
type Node struct {
	Node       string  `yaml:"node" jsonschema_description:"the variable's node id, as in ns=2;s=Pump17.Flow, or nsu=urn:maker:plant;s=Pump17.Flow with the URI of the namespace, whose number may be another when the server starts anew"`
	Controller string  `yaml:"controller" jsonschema_description:"name of the controller"`
	Point      string  `yaml:"point" jsonschema_description:"name of the point"`
	Unit       string  `yaml:"unit,omitempty" jsonschema_description:"unit (UCUM) of the value"`
	Index      *uint32 `yaml:"index,omitempty" jsonschema_description:"which element of an array, from 0; a variable that holds an array needs it"`
}

// What the settings are when left out.
const (
	defaultKeepalive = 10 * time.Second
	defaultTimeout   = 10 * time.Second
	defaultLifetime  = 10 * time.Minute
	defaultPublish   = time.Second
	defaultQueue     = 100
)

// Limits of the settings.
const (
	maxGroups = 100
	maxNodes  = 100_000 // of a source
	maxQueue  = 100_000
)
