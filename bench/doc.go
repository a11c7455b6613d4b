// Command bench measures a gateway as its users meet it: a process of its own, driven
// over TLS, with durable acknowledgements and the full pipeline, beside the
// ceilings of the machine from the same run.
package main
