package amqp

// Method is class and method number: class<<16 | method.
type Method uint32

// Class of the method.
func (m Method) Class() uint16 { return uint16(m >> 16) }

// Classes.
const (
	ClassConnection = 10
	ClassChannel    = 20
	ClassExchange   = 40
	ClassQueue      = 50
	ClassBasic      = 60
	ClassConfirm    = 85
	ClassTx         = 90
)

// Methods.
const (
	ConnectionStart     Method = ClassConnection<<16 | 10
	ConnectionStartOk   Method = ClassConnection<<16 | 11
	ConnectionTune      Method = ClassConnection<<16 | 30
	ConnectionTuneOk    Method = ClassConnection<<16 | 31
	ConnectionOpen      Method = ClassConnection<<16 | 40
	ConnectionOpenOk    Method = ClassConnection<<16 | 41
	ConnectionClose     Method = ClassConnection<<16 | 50
	ConnectionCloseOk   Method = ClassConnection<<16 | 51
	ConnectionBlocked   Method = ClassConnection<<16 | 60
	ConnectionUnblocked Method = ClassConnection<<16 | 61

	ChannelOpen    Method = ClassChannel<<16 | 10
	ChannelOpenOk  Method = ClassChannel<<16 | 11
	ChannelFlow    Method = ClassChannel<<16 | 20
	ChannelFlowOk  Method = ClassChannel<<16 | 21
	ChannelClose   Method = ClassChannel<<16 | 40
	ChannelCloseOk Method = ClassChannel<<16 | 41

	ExchangeDeclare   Method = ClassExchange<<16 | 10
	ExchangeDeclareOk Method = ClassExchange<<16 | 11
	ExchangeDelete    Method = ClassExchange<<16 | 20
	ExchangeDeleteOk  Method = ClassExchange<<16 | 21
	ExchangeBind      Method = ClassExchange<<16 | 30
	ExchangeBindOk    Method = ClassExchange<<16 | 31
	ExchangeUnbind    Method = ClassExchange<<16 | 40
	ExchangeUnbindOk  Method = ClassExchange<<16 | 51

	QueueDeclare   Method = ClassQueue<<16 | 10
	QueueDeclareOk Method = ClassQueue<<16 | 11
	QueueBind      Method = ClassQueue<<16 | 20
	QueueBindOk    Method = ClassQueue<<16 | 21
	QueuePurge     Method = ClassQueue<<16 | 30
	QueuePurgeOk   Method = ClassQueue<<16 | 31
	QueueDelete    Method = ClassQueue<<16 | 40
	QueueDeleteOk  Method = ClassQueue<<16 | 41
	QueueUnbind    Method = ClassQueue<<16 | 50
	QueueUnbindOk  Method = ClassQueue<<16 | 51

	BasicQos          Method = ClassBasic<<16 | 10
	BasicQosOk        Method = ClassBasic<<16 | 11
	BasicConsume      Method = ClassBasic<<16 | 20
	BasicConsumeOk    Method = ClassBasic<<16 | 21
	BasicCancel       Method = ClassBasic<<16 | 30
	BasicCancelOk     Method = ClassBasic<<16 | 31
	BasicPublish      Method = ClassBasic<<16 | 40
	BasicReturn       Method = ClassBasic<<16 | 50
	BasicDeliver      Method = ClassBasic<<16 | 60
	BasicGet          Method = ClassBasic<<16 | 70
	BasicGetOk        Method = ClassBasic<<16 | 71
	BasicGetEmpty     Method = ClassBasic<<16 | 72
	BasicAck          Method = ClassBasic<<16 | 80
	BasicReject       Method = ClassBasic<<16 | 90
	BasicRecoverAsync Method = ClassBasic<<16 | 100
	BasicRecover      Method = ClassBasic<<16 | 110
	BasicRecoverOk    Method = ClassBasic<<16 | 111
	BasicNack         Method = ClassBasic<<16 | 120

	ConfirmSelect   Method = ClassConfirm<<16 | 10
	ConfirmSelectOk Method = ClassConfirm<<16 | 11

	TxSelect   Method = ClassTx<<16 | 10
	TxSelectOk Method = ClassTx<<16 | 11
	TxCommit   Method = ClassTx<<16 | 20
	TxRollback Method = ClassTx<<16 | 30
)

// HasContent tells whether a header and body frames follow the method.
func (m Method) HasContent() bool {
	return m == BasicPublish || m == BasicDeliver || m == BasicReturn || m == BasicGetOk
}

// Reply is the method that answers a request of a client; 0 for methods without an answer. basic.get may be answered
// by BasicGetEmpty, too.
func (m Method) Reply() Method {
	switch m {
	case ExchangeUnbind:
		return ExchangeUnbindOk
	case ChannelOpen, ChannelFlow, ChannelClose,
		ExchangeDeclare, ExchangeDelete, ExchangeBind,
		QueueDeclare, QueueBind, QueuePurge, QueueDelete, QueueUnbind,
		BasicQos, BasicConsume, BasicCancel, BasicGet, BasicRecover,
		ConfirmSelect, TxSelect, TxCommit, TxRollback:
		return m + 1
	}
	return 0
}
