import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonParseException;
import com.google.gson.JsonPrimitive;
import com.google.gson.JsonSerializer;
import com.rabbitmq.client.AMQP.BasicProperties;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import com.rabbitmq.client.DefaultConsumer;
import com.rabbitmq.client.Envelope;
import com.rabbitmq.client.ShutdownSignalException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.time.Instant;
import java.util.Map;
import java.util.Objects;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeoutException;

/** The ledger as a service with RabbitMQ's Java client: reconnects, confirms, acknowledges after the work. */
final class Service {
    private static final String HEADER_RESENT = "ledger-resent";
    private static final String TYPE_FENCE = "fence";
    private static final int PERSISTENT = 2;
    private static final long MIN_BACKOFF_MILLIS = 20;
    private static final long MAX_BACKOFF_MILLIS = 500;
    private static final Gson GSON = new GsonBuilder()
        .registerTypeAdapter(Digest.class, (JsonSerializer<Digest>) (digest, type, context) -> new JsonPrimitive(digest.toString()))
        .create();

    record Options(String broker, String in, String out, String queueType, int prefetch, long serviceMillis, int mebibytes) {}

    private record Publishing(BasicProperties properties, byte[] body) {}

    private record Delivery(Envelope envelope, BasicProperties properties, byte[] body) {}

    /** Ends the deliveries of a session. */
    private static final Delivery END = new Delivery(null, null, null);

    private final Options options;
    private final Ballast ballast;
    private final Ledger ledger = new Ledger(UUID.randomUUID().toString(), Instant.now().toString());

    /**
     * The output that the broker has not confirmed. Its message is applied, so a redelivery would be skipped: the next
     * session must publish it first.
     */
    private Publishing pending;

    Service(Options options) throws GeneralSecurityException {
        this.options = options;
        this.ballast = new Ballast(options.mebibytes);
    }

    String state(boolean withMemory) {
        Ballast.Memory memory = withMemory ? ballast.memory() : null;
        synchronized (ledger) {
            ledger.memory = memory;
            return GSON.toJson(ledger);
        }
    }

    /** Consumes for good, through any number of connections. */
    void run() throws Exception {
        ConnectionFactory factory = new ConnectionFactory();
        // To this client a path of "/" is a virtual host without a name.
        factory.setUri(options.broker.replaceFirst("/$", ""));
        factory.setRequestedHeartbeat(10);
        // Its own recovery would mix deliveries of the broken connection with those of the next.
        factory.setAutomaticRecoveryEnabled(false);
        long backoff = MIN_BACKOFF_MILLIS;
        while (true) {
            try (Connection connection = factory.newConnection("ledger")) {
                backoff = MIN_BACKOFF_MILLIS;
                consume(connection.createChannel());
            } catch (IOException | TimeoutException | ShutdownSignalException e) {
                System.err.printf("Session with the broker ended, reconnecting in %d ms: %s%n", backoff, e);
            }
            Thread.sleep(backoff);
            backoff = Math.min(2 * backoff, MAX_BACKOFF_MILLIS);
        }
    }

    private void consume(Channel channel) throws IOException, InterruptedException, TimeoutException {
        channel.confirmSelect();
        for (String queue : new String[] {options.in, options.out}) {
            channel.queueDeclare(queue, true, false, false, Map.of("x-queue-type", options.queueType));
        }
        channel.basicQos(options.prefetch);
        if (pending != null) {
            BasicProperties resent = pending.properties.builder().headers(Map.of(HEADER_RESENT, true)).build();
            pending = new Publishing(resent, pending.body);
            publishPending(channel);
        }
        BlockingQueue<Delivery> deliveries = new LinkedBlockingQueue<>();
        channel.basicConsume(options.in, new DefaultConsumer(channel) {
            @Override
            public void handleDelivery(String tag, Envelope envelope, BasicProperties properties, byte[] body) {
                deliveries.add(new Delivery(envelope, properties, body));
            }

            @Override
            public void handleShutdownSignal(String tag, ShutdownSignalException cause) {
                deliveries.add(END);
            }

            @Override
            public void handleCancel(String tag) {
                deliveries.add(END);
            }
        });
        for (Delivery d = deliveries.take(); d != END; d = deliveries.take()) {
            handle(channel, d);
        }
        throw new IOException("the deliveries ended");
    }

    /** Takes one message to its end: work, apply, output, confirm, acknowledge. */
    private void handle(Channel channel, Delivery d) throws IOException, InterruptedException, TimeoutException {
        BasicProperties.Builder properties = new BasicProperties.Builder().deliveryMode(PERSISTENT);
        if (TYPE_FENCE.equals(d.properties.getType())) {
            publish(channel, new Publishing(properties.type(TYPE_FENCE).messageId(d.properties.getMessageId()).build(), new byte[0]));
        } else {
            Thread.sleep(options.serviceMillis);
            Ledger.Output output = apply(d);
            if (output != null) {
                // The time is the message's, not the clock's: the output is a function of the state alone.
                properties.contentType("application/json").timestamp(d.properties.getTimestamp())
                    .messageId(output.producer() + "/" + output.sequence());
                pending = new Publishing(properties.build(), GSON.toJson(output).getBytes(StandardCharsets.UTF_8));
                publishPending(channel);
            }
        }
        channel.basicAck(d.envelope.getDeliveryTag(), false);
    }

    private Ledger.Output apply(Delivery d) {
        synchronized (ledger) {
            Ledger.Message message;
            try {
                message = Ledger.Message.parse(d.body);
            } catch (JsonParseException e) {
                ledger.malformed(e.getMessage());
                return null;
            }
            BasicProperties p = d.properties;
            long timestamp = p.getTimestamp() == null ? 0 : p.getTimestamp().getTime() / 1000;
            Digest digest = Digest.ofEnvelope(d.envelope.getExchange(), d.envelope.getRoutingKey(),
                Objects.requireNonNullElse(p.getContentType(), ""), Objects.requireNonNullElse(p.getMessageId(), ""), timestamp, d.body);
            boolean resent = p.getHeaders() != null && Boolean.TRUE.equals(p.getHeaders().get(HEADER_RESENT));
            return ledger.apply(new Ledger.Arrival(message, digest, d.envelope.isRedeliver(), resent));
        }
    }

    private void publishPending(Channel channel) throws IOException, InterruptedException, TimeoutException {
        publish(channel, pending);
        pending = null;
    }

    private void publish(Channel channel, Publishing p) throws IOException, InterruptedException, TimeoutException {
        channel.basicPublish("", options.out, p.properties, p.body);
        channel.waitForConfirmsOrDie();
    }
}
