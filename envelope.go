package penstock

import (
	"crypto/x509"
	"strings"
)

// Envelope is what a source received, before it is a report. One envelope may
// hold many reports.
type Envelope struct {
	Source       string     // configured name of the source
	Peer         string     // the sender's network address or line, for logs and limits
	Credential   Credential // as presented; nothing in it is verified but a certificate chain
	ContentType  string     // media type of Body, or the name of a declared mapping
	Key          string     // idempotency key that came beside the body, empty for none
	Checksum     uint32     // CRC-32/ISO-HDLC of Body as the sender declared it
	HasChecksum  bool       // Checksum was declared
	Topic        string     // topic or routing key that the body came under, empty for none
	Properties   Properties // what else came beside the body; nil for none
	Body         []byte     // as received; owned by the pipeline until its ticket resolves
	ReceivedTime int64      // nanoseconds since 1970 UTC, at the last byte

	// Refusal is why the source itself will not have it, nil for nothing: a message above
	// its limit, of which Body has the first bytes. The pipeline books it and answers so.
	Refusal error

	// Principal is who sent it: set by the authenticate step, or before by a source
	// that speaks for controllers of its own configuration, where nobody shows a
	// credential.
	Principal *Principal
}

// Properties are what a protocol carries beside a body, by name: user properties
// of MQTT, headers of AMQP. Declared mappings read them; nothing else does.
type Properties map[string]string

// Credential is what a sender shows of itself.
type Credential struct {
	Token        string              // bearer token or password, empty for none
	User         string              // user or client name where the protocol has one
	Certificates []*x509.Certificate // verified chain, leaf first; nil for none
}

// Role is what a credential may do beyond sending reports.
type Role string

// The roles, each with the rights of those before it. Controllers send; viewers
// read what their scope covers; operators act on quarantine and sinks; admins
// manage credentials.
const (
	RoleController Role = "controller"
	RoleViewer     Role = "viewer"
	RoleOperator   Role = "operator"
	RoleAdmin      Role = "admin"
)

// Principal is a verified sender.
type Principal struct {
	Credential string // the credential's public id, for logs, limits and revocation
	Role       Role
	Scope      Scope
}

// Scope is the set of controllers that a credential may speak for or read.
// Each pattern is a controller's name, where '*' stands for any run of
// characters; a lone "*" covers all.
type Scope []string

// Covers tells whether the scope covers the controller.
func (s Scope) Covers(controller string) bool {
	for _, p := range s {
		if p == controller || strings.Contains(p, "*") && matchPattern(p, controller) {
			return true
		}
	}
	return false
}

// matchPattern matches greedily from the left, which is exact for patterns
// whose only wildcard is '*'. It allocates nothing: it runs for every report.
func matchPattern(pattern, name string) bool {
	head, pattern, _ := strings.Cut(pattern, "*")
	if !strings.HasPrefix(name, head) {
		return false
	}
	name = name[len(head):]
	for {
		part, rest, more := strings.Cut(pattern, "*")
		if !more {
			return strings.HasSuffix(name, part)
		}
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name, pattern = name[i+len(part):], rest
	}
}
