// Package sim is the simulated fleet: controllers that replay a water network
// and send their reports over real connections, the mishaps that happen to
// their messages on the way, the senders' own ledgers, and the checker that
// holds a store against them.
//
// Everything a controller sends is a pure function of (seed, controller, seq,
// point), so that the checker computes what the store must hold instead of
// remembering it. A [Model] is that function; a [Fleet] drives it through a
// [Transport], one for each protocol; [Check] reads a [Store] back and finds,
// without sampling, what was lost, what was never sent, what is there twice and
// what was changed.
//
// The mishaps of [Impairments] happen to whole messages, above TLS: a link that
// loses packets slows TCP down but cannot make it lose a message, whereas a
// gateway that dies, a proxy that gives up or a controller that resends can. A
// fault of a place, such as one site's radio, is a [Transport] that stands before
// another and knows from the [Message] whose it is.
package sim
