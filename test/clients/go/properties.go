package main

import (
	"encoding/base64"
	"math"
	"time"

	"github.com/rabbitmq/amqp091-go"
)

func publishing(p map[string]any) amqp091.Publishing {
	s := step(p)
	m := amqp091.Publishing{
		ContentType: s.text("contentType"), ContentEncoding: s.text("contentEncoding"), Headers: s.table("headers"),
		DeliveryMode: uint8(s.number("deliveryMode")), Priority: uint8(s.number("priority")),
		CorrelationId: s.text("correlationId"), ReplyTo: s.text("replyTo"), Expiration: s.text("expiration"),
		MessageId: s.text("messageId"), Type: s.text("type"), UserId: s.text("userId"), AppId: s.text("appId"),
	}
	if p["timestamp"] != nil {
		m.Timestamp = time.Unix(int64(s.number("timestamp")), 0)
	}
	return m
}

func propertiesOf(m amqp091.Delivery) map[string]any {
	return present(map[string]any{
		"contentType": m.ContentType, "contentEncoding": m.ContentEncoding, "headers": neutral(m.Headers),
		"deliveryMode": m.DeliveryMode, "priority": m.Priority, "correlationId": m.CorrelationId, "replyTo": m.ReplyTo,
		"expiration": m.Expiration, "messageId": m.MessageId, "timestamp": seconds(m.Timestamp), "type": m.Type,
		"userId": m.UserId, "appId": m.AppId,
	})
}

func propertiesOfReturn(m amqp091.Return) map[string]any {
	return propertiesOf(amqp091.Delivery{
		ContentType: m.ContentType, ContentEncoding: m.ContentEncoding, Headers: m.Headers, DeliveryMode: m.DeliveryMode,
		Priority: m.Priority, CorrelationId: m.CorrelationId, ReplyTo: m.ReplyTo, Expiration: m.Expiration,
		MessageId: m.MessageId, Timestamp: m.Timestamp, Type: m.Type, UserId: m.UserId, AppId: m.AppId,
	})
}

// present properties only.
func present(all map[string]any) map[string]any {
	for k, v := range all {
		switch v := v.(type) {
		case string:
			if v == "" {
				delete(all, k)
			}
		case uint8:
			if v == 0 {
				delete(all, k)
			}
		case int64:
			if v == 0 {
				delete(all, k)
			}
		case map[string]any:
			if len(v) == 0 {
				delete(all, k)
			}
		}
	}
	return all
}

func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// tableOf a table as cases write it. What JSON cannot say is an object with one key: !bytes, !time or !decimal.
func tableOf(m map[string]any) amqp091.Table {
	if len(m) == 0 {
		return nil
	}
	t := amqp091.Table{}
	for k, v := range m {
		t[k] = fieldOf(v)
	}
	return t
}

func fieldOf(v any) any {
	switch v := v.(type) {
	case float64:
		if v == math.Trunc(v) {
			return int64(v)
		}
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = fieldOf(v[i])
		}
		return list
	case map[string]any:
		if s, ok := v["!bytes"].(string); ok {
			b, _ := base64.StdEncoding.DecodeString(s)
			return b
		}
		if n, ok := v["!time"].(float64); ok {
			return time.Unix(int64(n), 0)
		}
		if d, ok := v["!decimal"].([]any); ok {
			return amqp091.Decimal{Value: int32(d[0].(float64)), Scale: uint8(d[1].(float64))}
		}
		return tableOf(v)
	}
	return v
}

// neutral is what tableOf turns into the table.
func neutral(t amqp091.Table) map[string]any {
	m := map[string]any{}
	for k, v := range t {
		m[k] = neutralField(v)
	}
	return m
}

func neutralField(v any) any {
	switch v := v.(type) {
	case amqp091.Table:
		return neutral(v)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = neutralField(v[i])
		}
		return list
	case []byte:
		return map[string]any{"!bytes": base64.StdEncoding.EncodeToString(v)}
	case time.Time:
		return map[string]any{"!time": v.Unix()}
	case amqp091.Decimal:
		return map[string]any{"!decimal": []any{v.Value, v.Scale}}
	}
	return v
}
