// Package gate tests the gate against a real RabbitMQ: real gate processes, unmodified client library, migrations of a
// deterministic consumer whose state is copied at the cut, as a checkpoint would.
//
//	MS2M_TEST_AMQP=amqp://guest:guest@127.0.0.1:5672/ go test -tags integration ./test/integration/gate
//
// MS2M_TEST_AMQP_LOG may name the log's user with its least privilege.
package gate
