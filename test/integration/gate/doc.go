// Package gate tests the gate against a real RabbitMQ: real gate processes, unmodified client library, migrations of a
// deterministic consumer whose state is copied at the cut, as a checkpoint would.
//
// The broker is one that the tests start (root), or that which the environment names: MS2M_TEST_AMQP is its AMQP URI,
// MS2M_TEST_AMQP_LOG that of the log's user with its least privilege.
package gate
