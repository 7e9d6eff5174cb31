import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ShutdownSignalException;
import java.util.Map;

/** A connection and what it tells. */
class Link {
    final Connection connection;
    final Mailbox<ShutdownSignalException> closed = new Mailbox<>();
    final Mailbox<String> blocked = new Mailbox<>();
    final Mailbox<Boolean> unblocked = new Mailbox<>();

    Link(Connection connection) {
        this.connection = connection;
        connection.addShutdownListener(closed::put);
        connection.addBlockedListener(blocked::put, () -> unblocked.put(true));
    }

    Map<String, Object> describe() {
        Object server = Values.neutral(connection.getServerProperties());
        return Map.of(
                "product", ((Map<?, ?>) server).get("product"), "server", server, "frameMax", connection.getFrameMax(),
                "channelMax", connection.getChannelMax(), "heartbeat", connection.getHeartbeat());
    }
}
