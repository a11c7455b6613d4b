// Package script runs the user's own step of the pipeline: a JavaScript file that
// exports onReport(report, ctx). It may change, add and drop samples, and keep a
// small state of each controller.
//
// A script runs in virtual machines of its own, each with one goroutine, and has
// no files, no network and no modules. A machine that is over its time or memory
// is stopped and made anew. Inside of a single operation of the language (a search
// in a very long text, a product of huge numbers) no machine can be stopped: who
// waits for it is let go after twice its time, and the machine is out of use until
// the operation ends. What a script did wrong is a [Fault], which names its file
// and line; the report goes on as the configuration says.
package script
