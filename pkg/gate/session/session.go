// Package session is an app's AMQP session as an explicit value: what a gate must know of one connection to answer for
// it, and to go on with it elsewhere. Its JSON is its written form.
package session

import "ms2m.dev/ms2m-descheduler/pkg/gate/amqp"

// Session of one connection.
type Session struct {
	VHost    string              `json:"vhost"`
	Tune     amqp.Tune           `json:"tune"`
	Channels map[uint16]*Channel `json:"channels,omitempty"`
}

// Channel of a session.
type Channel struct {
	ID uint16 `json:"id"`
	// Qos per consumer, as set last, for consumers that subscribe later; GlobalQos is the channel's.
	Qos       amqp.Qos  `json:"qos"`
	GlobalQos *amqp.Qos `json:"globalQos,omitempty"`
	// Consumers in the order of their subscription.
	Consumers []*Consumer `json:"consumers,omitempty"`
	// Tags of deliveries that the app has not settled, as the app sees them.
	Tags Window `json:"tags"`
	// TagOffset: tag at the app = tag at the broker + TagOffset.
	TagOffset uint64   `json:"tagOffset,omitempty"`
	Confirms  Confirms `json:"confirms"`
	// Tx, Gets: the app uses transactions or basic.get here.
	Tx   bool `json:"tx,omitempty"`
	Gets bool `json:"gets,omitempty"`
	// Batches: the app settles deliveries in batches, so that it may need several before it settles one.
	Batches bool `json:"batches,omitempty"`
}

// Consumer of a channel.
type Consumer struct {
	amqp.Consume
	// Qos per consumer that was in force when it subscribed.
	Qos amqp.Qos `json:"qos"`
	// Order of its subscription among all consumers of the gate.
	Order uint64 `json:"order"`
	// Subscribed at the broker, or about to be: what the broker was asked last.
	Subscribed bool `json:"subscribed"`
	// Inspected: the broker has been asked what the queue is. Unfit says why its consumers cannot be migrated.
	Inspected bool   `json:"inspected,omitempty"`
	Unfit     string `json:"unfit,omitempty"`
}

// Confirms of a channel's publishes.
//
// Invariant: the app's number of a publish = its number at the broker + Offset, for publishes after the app's select.
type Confirms struct {
	// Broker confirms: the channel is in confirm mode there. App: the app asked for confirms.
	Broker bool  `json:"broker,omitempty"`
	App    bool  `json:"app,omitempty"`
	Offset int64 `json:"offset,omitempty"`
	// Open numbers at the broker that are not confirmed.
	Open Window `json:"open"`
}

// Consumer with the tag, or nil.
func (c *Channel) Consumer(tag []byte) *Consumer {
	for _, k := range c.Consumers {
		if k.Tag == string(tag) {
			return k
		}
	}
	return nil
}

// Remove the consumer with the tag; it tells whether there was one.
func (c *Channel) Remove(tag string) bool {
	for i, k := range c.Consumers {
		if k.Tag == tag {
			c.Consumers = append(c.Consumers[:i:i], c.Consumers[i+1:]...)
			return true
		}
	}
	return false
}
