import com.rabbitmq.client.AMQP;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.DefaultConsumer;
import com.rabbitmq.client.Envelope;
import com.rabbitmq.client.GetResponse;
import com.rabbitmq.client.ShutdownSignalException;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.TimeoutException;

/** A channel and what it tells. */
class Line {
    private record Delivered(String consumer, Envelope envelope, AMQP.BasicProperties properties, byte[] body) {}

    private final Session session;
    private final Channel channel;
    private final Mailbox<Delivered> deliveries = new Mailbox<>();
    private final Mailbox<Map<String, Object>> returns = new Mailbox<>();
    private final Mailbox<String> cancelled = new Mailbox<>();
    private final Mailbox<ShutdownSignalException> closed = new Mailbox<>();
    private final Mailbox<Boolean> confirms = new Mailbox<>();
    /** The highest number that a confirm of several has told. */
    private long confirmed;

    Line(Session session, Channel channel) {
        this.session = session;
        this.channel = channel;
        channel.addShutdownListener(closed::put);
        channel.addConfirmListener((tag, multiple) -> confirm(tag, multiple, true), (tag, multiple) -> confirm(tag, multiple, false));
        channel.addReturnListener((code, text, exchange, key, properties, body) -> {
            Map<String, Object> r = Content.shown(properties, body);
            r.putAll(Map.of("code", code, "text", text, "exchange", exchange, "key", key));
            returns.put(r);
        });
    }

    private void confirm(long tag, boolean multiple, boolean ack) {
        for (long n = multiple ? confirmed + 1 : tag; n <= tag; n++) {
            confirms.put(ack);
        }
        confirmed = Math.max(confirmed, tag);
    }

    Map<String, Object> perform(Step s) throws Exception {
        switch (s.text("op")) {
            case "channel.close" -> channel.close();
            case "queue.declare" -> { return declareQueue(s); }
            case "queue.bind" -> bindQueue(s);
            case "queue.unbind" -> channel.queueUnbind(s.text("queue"), s.text("exchange"), s.text("key"), s.arguments());
            case "queue.purge" -> { return Map.of("messages", channel.queuePurge(s.text("queue")).getMessageCount()); }
            case "queue.delete" -> { return deleteQueue(s); }
            case "exchange.declare" -> declareExchange(s);
            case "exchange.bind" -> bindExchange(s);
            case "exchange.unbind" -> channel.exchangeUnbind(s.text("destination"), s.text("source"), s.text("key"));
            case "exchange.delete" -> channel.exchangeDelete(s.text("exchange"), s.flag("ifUnused"));
            case "qos" -> channel.basicQos(s.number("count"), s.flag("global"));
            case "publish" -> channel.basicPublish(
                    s.text("exchange"), s.text("key"), s.flag("mandatory"), Content.properties(s), Content.body(s));
            case "confirm.select" -> selectConfirms();
            case "tx.select" -> channel.txSelect();
            case "tx.commit" -> channel.txCommit();
            case "tx.rollback" -> channel.txRollback();
            case "consume" -> { return consume(s); }
            case "cancel" -> channel.basicCancel(s.text("tag"));
            case "get" -> { return get(s); }
            case "ack" -> channel.basicAck(s.number("tag"), s.flag("multiple"));
            case "nack" -> channel.basicNack(s.number("tag"), s.flag("multiple"), s.flag("requeue"));
            case "reject" -> channel.basicReject(s.number("tag"), s.flag("requeue"));
            case "recover" -> channel.basicRecover(true);
            case "await delivery" -> { return awaitDelivery(s); }
            case "await return" -> { return returns.take(); }
            case "await confirms" -> { return awaitConfirms(s); }
            case "await cancelled" -> { return Map.of("consumer", cancelled.take()); }
            case "await closed" -> { return Reason.of(closed.take()); }
            case "await queue" -> awaitQueue(s);
            default -> throw new IllegalArgumentException("unknown step " + s);
        }
        return null;
    }

    private Map<String, Object> declareQueue(Step s) throws IOException {
        String queue = s.text("queue");
        if (s.flag("nowait")) {
            channel.queueDeclareNoWait(queue, !s.flag("transient"), s.flag("exclusive"), s.flag("autoDelete"), s.arguments());
            return null;
        }
        var declared = s.flag("passive")
                ? channel.queueDeclarePassive(queue)
                : channel.queueDeclare(queue, !s.flag("transient"), s.flag("exclusive"), s.flag("autoDelete"), s.arguments());
        session.queue = declared.getQueue();
        return Map.of("queue", declared.getQueue(), "messages", declared.getMessageCount(), "consumers", declared.getConsumerCount());
    }

    private Map<String, Object> deleteQueue(Step s) throws IOException {
        if (s.flag("nowait")) {
            channel.queueDeleteNoWait(s.text("queue"), s.flag("ifUnused"), s.flag("ifEmpty"));
            return null;
        }
        return Map.of("messages", channel.queueDelete(s.text("queue"), s.flag("ifUnused"), s.flag("ifEmpty")).getMessageCount());
    }

    private void bindQueue(Step s) throws IOException {
        if (s.flag("nowait")) {
            channel.queueBindNoWait(s.text("queue"), s.text("exchange"), s.text("key"), s.arguments());
            return;
        }
        channel.queueBind(s.text("queue"), s.text("exchange"), s.text("key"), s.arguments());
    }

    private void declareExchange(Step s) throws IOException {
        String name = s.text("exchange");
        boolean durable = !s.flag("transient");
        if (s.flag("passive")) {
            channel.exchangeDeclarePassive(name);
        } else if (s.flag("nowait")) {
            channel.exchangeDeclareNoWait(name, s.text("type"), durable, s.flag("autoDelete"), s.flag("internal"), s.arguments());
        } else {
            channel.exchangeDeclare(name, s.text("type"), durable, s.flag("autoDelete"), s.flag("internal"), s.arguments());
        }
    }

    private void bindExchange(Step s) throws IOException {
        if (s.flag("nowait")) {
            channel.exchangeBindNoWait(s.text("destination"), s.text("source"), s.text("key"), s.arguments());
            return;
        }
        channel.exchangeBind(s.text("destination"), s.text("source"), s.text("key"));
    }

    void selectConfirms() throws IOException {
        channel.confirmSelect();
    }

    private Map<String, Object> awaitConfirms(Step s) throws InterruptedException, TimeoutException {
        int acked = 0;
        for (int n = 0; n < s.number("count"); n++) {
            acked += confirms.take() ? 1 : 0;
        }
        return Map.of("acked", acked, "nacked", s.number("count") - acked);
    }

    private Map<String, Object> consume(Step s) throws IOException {
        DefaultConsumer consumer = new DefaultConsumer(channel) {
            @Override
            public void handleDelivery(String tag, Envelope envelope, AMQP.BasicProperties properties, byte[] body) {
                deliveries.put(new Delivered(tag, envelope, properties, body));
            }

            @Override
            public void handleCancel(String tag) {
                cancelled.put(tag);
            }
        };
        channel.basicConsume(s.text("queue"), s.flag("noAck"), s.text("tag"), false, s.flag("exclusive"), s.arguments(), consumer);
        return Map.of("tag", s.text("tag"));
    }

    private Map<String, Object> awaitDelivery(Step s) throws InterruptedException, TimeoutException {
        Delivered d = deliveries.take(m -> s.text("consumer", m.consumer()).equals(m.consumer()));
        Map<String, Object> r = message(d.envelope(), d.properties(), d.body());
        r.put("consumer", d.consumer());
        return r;
    }

    private Map<String, Object> get(Step s) throws IOException {
        GetResponse response = channel.basicGet(s.text("queue"), s.flag("noAck"));
        if (response == null) {
            return Map.of("empty", true);
        }
        Map<String, Object> r = message(response.getEnvelope(), response.getProps(), response.getBody());
        r.put("remaining", response.getMessageCount());
        return r;
    }

    private Map<String, Object> message(Envelope e, AMQP.BasicProperties properties, byte[] body) {
        session.reply = properties.getReplyTo() == null ? "" : properties.getReplyTo();
        Map<String, Object> r = new LinkedHashMap<>(Content.shown(properties, body));
        r.putAll(Map.of("tag", e.getDeliveryTag(), "redelivered", e.isRedeliver(), "exchange", e.getExchange(), "key", e.getRoutingKey()));
        return r;
    }

    /** Waits until a queue has so many messages ready and so many consumers. */
    private void awaitQueue(Step s) throws IOException, InterruptedException, TimeoutException {
        for (long begin = System.nanoTime();; Thread.sleep(10)) {
            var queue = channel.queueDeclarePassive(s.text("queue"));
            if (queue.getMessageCount() == s.number("ready") && queue.getConsumerCount() == s.number("consumers")) {
                return;
            }
            if (System.nanoTime() - begin > Mailbox.PATIENCE) {
                throw new TimeoutException(queue.getMessageCount() + " messages ready, " + queue.getConsumerCount() + " consumers");
            }
        }
    }
}
