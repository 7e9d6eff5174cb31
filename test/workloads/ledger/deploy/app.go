package deploy

import "fmt"

// App is a program that keeps the ledger. All have the same arguments; see ../README.md.
type App struct {
	// Name of the language.
	Name  string
	Image string
	// overheadMebibytes is what the process needs beside its ballast.
	overheadMebibytes int
	command           func(mebibytes int) []string
}

// Command of the app with a ballast of so many mebibytes, nil for the image's own.
func (a App) Command(mebibytes int) []string { return a.command(mebibytes) }

// ledgersImage has all but Go's.
const ledgersImage = "ms2m.dev/ledgers:dev"

// javaClasses are its own and Debian's.
const javaClasses = "/opt/ledger/java:/usr/share/java/amqp-client.jar:/usr/share/java/gson.jar:/usr/share/java/slf4j-api.jar"

// javaHeadroomMebibytes of the heap beside the ballast, which bounds what lies between two collections of garbage.
const javaHeadroomMebibytes = 32

// The apps, each with the client library that its language mostly uses.
var (
	// Go with amqp091-go.
	Go = App{Name: "Go", Image: "ms2m.dev/ledger:dev", overheadMebibytes: 64, command: func(int) []string { return nil }}
	// Python with pika.
	Python = App{Name: "Python", Image: ledgersImage, overheadMebibytes: 64, command: func(int) []string {
		return []string{"python3", "/opt/ledger/python/ledger.py"}
	}}
	// Java with RabbitMQ's client. A heap without a bound would grow to a quarter of the node's memory, and the
	// checkpoint with it.
	Java = App{Name: "Java", Image: ledgersImage, overheadMebibytes: 160, command: func(mebibytes int) []string {
		heap := fmt.Sprintf("-Xmx%dm", mebibytes+javaHeadroomMebibytes)
		return []string{"java", heap, "-cp", javaClasses, "Main"}
	}}
	// Node with amqplib.
	Node = App{Name: "Node", Image: ledgersImage, overheadMebibytes: 96, command: func(int) []string {
		return []string{"node", "/opt/ledger/node/ledger.js"}
	}}
)
