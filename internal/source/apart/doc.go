// Package apart runs a source in a process of its own, so that what ends that
// process ends nothing else: a panic in a goroutine of a library, or memory without
// end.
//
// The process is a second one of the same program. It gets its source's
// configuration, and what the node lends a source, over a pair of sockets that is its
// standard input, and hands envelopes over it to the gateway, which submits them and
// tells what became of them. So the promise stays where it was: a source
// acknowledges when the gateway's ticket has resolved.
//
// # What is guaranteed
//
// What a source that runs in the gateway guarantees. The order of the envelopes is
// kept, and at most a stated number of submissions is undecided; beyond that the
// source waits. When the process dies, what it had handed over is decided all the
// same, and what it had not is its protocol's to bring again, as after a restart of
// the gateway.
//
// A source that fails is started again within its process, which keeps what it
// remembers. A process that dies is a failure of this source, and what it
// remembered is gone with it, as after a panic: who knows what of it was sound. Only
// what it retained on purpose is recalled by the next one, once: a state of which a
// process dies before it retained another is forgotten.
//
// # Its end
//
// The process ends when it is told to, when the gateway closes the pair or dies, and
// is killed when it takes too long. It is waited for in every case. Its memory is
// bounded by the kernel (RLIMIT_DATA) above what the collector works towards.
//
// # What the node lends, and what not
//
// Evidence, state, log, credentials, keys, marks and sockets are lent over the pair.
// The gateway accepts the connections, so that whoever may not come in does not. Not
// lent is the certificate of the node's listeners: its key stays in the gateway.
package apart
