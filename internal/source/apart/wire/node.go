package wire

import "log/slog"

// Task is what the parent answers: all that the child knows.
type Task struct {
	Name     string // of the source
	Config   []byte
	Files    string // directory for what the source keeps
	SameDisk bool
	Choosy   bool       // the node asks of each datagram whether it may come in
	Strange  bool       // the node asks the record about controllers that it does not know
	Level    slog.Level // from which on log records are wanted
	Memory   uint64     // bytes that the process may have
	Recall   []byte     // what a process before this one retained, empty for nothing
}

// Task writes a task.
func (o *Out) Task(t Task) {
	o.Text(t.Name)
	o.Bytes(t.Config)
	o.Text(t.Files)
	o.Bool(t.SameDisk)
	o.Bool(t.Choosy)
	o.Bool(t.Strange)
	o.Int(int64(t.Level))
	o.Uint(t.Memory)
	o.Bytes(t.Recall)
}

// Task reads a task.
func (i *In) Task() Task {
	return Task{
		Name: i.Text(), Config: i.Bytes(), Files: i.Text(), SameDisk: i.Bool(), Choosy: i.Bool(), Strange: i.Bool(), Level: slog.Level(i.Int()), Memory: i.Uint(),
		Recall: i.Bytes(),
	}
}

// Question is what the child asks the node.
type Question uint8

// The questions, with what follows them and what the answer holds when it is no
// error.
const (
	WhoIs        Question = iota + 1 // a credential: a principal
	KeyOf                            // the number of a key: the secret and a principal
	MarksOf                          // a controller and an epoch: three numbers
	MayComeIn                        // an address: a truth
	Listen                           // a name and an address: the number of a listener and its address
	Accept                           // the number of a listener: a connection
	ListenPacket                     // a name and an address: a socket
	Meet                             // a controller and an epoch: nothing
	Await                            // the same, and the answer may take a while
)
